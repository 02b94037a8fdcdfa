"""Wiring of the points service."""

import asyncio
from functools import partial

from services.points import api, metrics, problems, usecases
from services.points.retention import TABLES
from services.points.settings import Settings
from services.points.store import ledger
from services.points.usecases import cases, suspicions
from services.points.usecases.cases import Terms
from services.points.usecases.checking import Checking
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.events.suspicion_changed import SUSPICION_CHANGED
from shared.kit import clock
from shared.kit.messaging.work import database_now
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

LEDGER_EVERY_S = 60.0
UNFINISHED_EVERY_S = 15.0
SETTLE_EVERY_S, SETTLE_IDLE_S = 2.0, 20.0


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started.

    Raises:
        CatalogueError: the catalogue's files can't be used.
    """
    settings = settings or Settings()
    terms = Terms(Catalogue.load(settings.catalogue_path, settings.city_zone), settings.city_zone)
    service = Service("points", settings, title="BeeGrid points")
    knows(service, riders=Riders())
    service.consumes(CASE_CHANGED, partial(cases.follow_cases, terms), refuses=(problems.UNKNOWN_KIND,))
    service.consumes(REDEMPTION_CHANGED, usecases.follow_redemptions, refuses=(problems.UNPAID_VOUCHER,))
    service.consumes(SUSPICION_CHANGED, suspicions.follow_suspicions)
    service.include(api.router)
    service.every(SETTLE_EVERY_S, cases.settle, idle_s=SETTLE_IDLE_S)
    checking = Checking(service.leading, service.pool_of, database_now, clock.monotonic_s, asyncio.sleep)
    service.background("check-ledger", checking.run)
    service.keeps(*TABLES)
    # the ledger stays whole: it knows riders by bare ids, which lead to nobody after an erasure
    service.erases()
    service.tallies(ledger.tallies)
    service.measures("ledger", usecases.measure_ledger, *metrics.LEDGER, every_s=LEDGER_EVERY_S)
    service.measures("settlements", cases.measure_settlements, metrics.SETTLEMENT_AGE, every_s=UNFINISHED_EVERY_S)
    return service
