"""Wiring of the points service."""

import asyncio
from functools import partial

from services.points import api, handlers, metrics, usecases
from services.points.retention import TABLES
from services.points.settings import Settings
from services.points.store import cases as case_store
from services.points.store import ledger
from services.points.usecases import cases
from services.points.usecases.cases import Terms
from services.points.usecases.checking import Checking
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit import clock
from shared.kit.db import Connection
from shared.kit.service import Service
from shared.kit.work import database_now
from shared.known.knowing import Riders, knows

LEDGER_EVERY_S = 60.0
UNFINISHED_EVERY_S = 15.0
SETTLE_EVERY_S = 2.0


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started.

    Raises:
        CatalogueError: the catalogue's files can't be used.
    """
    settings = settings or Settings()
    terms = Terms(Catalogue.load(settings.catalogue_path, settings.city_zone), settings.city_zone)
    service = Service("points", settings, title="BeeGrid points")
    service.keeps(*TABLES)
    knows(service, riders=Riders())
    service.consumes(CASE_CHANGED, partial(handlers.on_case_changed, terms))
    service.consumes(REDEMPTION_CHANGED, handlers.on_redemption_changed)
    service.include(api.router)
    service.background("settle", partial(_settle_forever, service))
    checking = Checking(
        lambda: service.relay.leading, lambda: service.pool, database_now, clock.monotonic_s, asyncio.sleep
    )
    service.background("check-ledger", checking.run)
    # the ledger stays whole: it knows riders by bare ids, which lead to nobody after an erasure
    service.erases()
    service.tallies(ledger.tallies)
    service.measures("ledger", _measure_ledger, *metrics.LEDGER, every_s=LEDGER_EVERY_S)
    service.measures("settlements", _measure_settlements, metrics.SETTLEMENT_AGE, every_s=UNFINISHED_EVERY_S)
    return service


async def _measure_settlements(conn: Connection) -> None:
    metrics.SETTLEMENT_AGE.set(await case_store.oldest_age_s(conn))


async def _measure_ledger(conn: Connection) -> None:
    recent = await usecases.check_recent(conn)
    figures = await ledger.tallies(conn)
    metrics.LEDGER_SUM.set(figures["ledger_sum"])
    metrics.LEDGER_UNBALANCED.set(max(recent, figures["imbalance"]))
    metrics.LEDGER_CHECKED.set(clock.unix_s())  # process clock: a gauge


async def _settle_forever(service: Service) -> None:
    """Carry out what is left of verdicts on crowded cases, a bounded transaction after the other."""
    while True:
        more = False
        if not service.overloaded():
            async with service.work() as work:
                more = await cases.settle(work)
        if not more:
            await asyncio.sleep(SETTLE_EVERY_S)
