"""Wiring of the cases service."""

from functools import partial

from services.cases import api, metrics, problems, store, usecases
from services.cases.retention import TABLES
from services.cases.settings import Settings
from services.cases.usecases import Rules
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.areas.carrying import ByArea
from shared.kit.service import Service
from shared.known.leaving import erase_riders

DEADLINES_EVERY_S = 60.0


def build(settings: Settings | None = None) -> Service:
    """The service; its settings come from the environment where none are given."""
    settings = settings or Settings()
    rules = Rules.of(settings)
    service = Service("cases", settings, title="BeeGrid cases 案件")
    service.provide(rules)
    service.consumes(REPORT_ROUTED, partial(usecases.take_routed_reports, rules), refuses=(problems.GRID_MISSING,))
    service.include(api.router)
    service.keeps(*TABLES)
    service.keeps_by_area(ByArea(usecases.count_by_area, usecases.carry_over))
    service.erases(erase_riders)
    service.tallies(store.tallies)
    service.measures("deadlines", usecases.measure_deadlines, metrics.DEADLINES, every_s=DEADLINES_EVERY_S)
    return service
