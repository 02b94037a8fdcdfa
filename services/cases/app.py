"""Wiring of the cases service."""

from functools import partial
from typing import get_args

from services.cases import api, handlers, metrics, store, usecases
from services.cases.retention import TABLES
from services.cases.settings import Settings
from services.cases.usecases import Rules
from shared.events.common import Level
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.areas.carrying import ByArea
from shared.kit.db import Connection
from shared.kit.service import Service
from shared.kit.work import database_now

DEADLINES_EVERY_S = 60.0


def build(settings: Settings | None = None) -> Service:
    """The service; its settings come from the environment where none are given."""
    settings = settings or Settings()
    service = Service("cases", settings, title="BeeGrid cases 案件")
    service.keeps(*TABLES)
    service.consumes(REPORT_ROUTED, partial(handlers.on_report_routed, Rules.of(settings)))
    service.include(api.router)
    service.erases(store.forget)
    service.tallies(store.tallies)
    service.keeps_by_area(ByArea(usecases.count_by_area, usecases.carry_over))
    service.measures("deadlines", _measure_deadlines, metrics.DEADLINES, every_s=DEADLINES_EVERY_S)
    return service


async def _measure_deadlines(conn: Connection) -> None:
    """Every level and state, so that none and unknown are told apart."""
    counts = await store.deadlines(conn, await database_now(conn))
    for level in get_args(Level):
        for state in ("soon", "overdue"):
            metrics.DEADLINES.labels(level, state).set(counts.get((level, state), 0))
