"""Wiring of the points service."""

import asyncio
from functools import partial

from services.points import api, metrics, problems, usecases
from services.points.api import adjustments, statements
from services.points.api import expiry as expiry_api
from services.points.api import sealing as sealing_api
from services.points.earning import api as earning_api
from services.points.earning import budgets, deeds
from services.points.earning.terms import Terms
from services.points.retention import TABLES
from services.points.settings import Settings
from services.points.store import ledger
from services.points.usecases import cases, expiry, sealing, suspicions
from services.points.usecases.checking import Checking
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.deed_done import DEED_DONE
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.events.suspicion_changed import SUSPICION_CHANGED
from shared.kit import clock
from shared.kit.messaging.work import database_now
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

LEDGER_EVERY_S = 60.0
UNFINISHED_EVERY_S = 15.0
EXPIRE_EVERY_S = 60.0
SEAL_EVERY_S = 60.0
SETTLE_EVERY_S, SETTLE_IDLE_S = 2.0, 20.0


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started.

    Raises:
        CatalogueError: the catalogue's files can't be used.
    """
    settings = settings or Settings()
    service = Service("points", settings, title="BeeGrid points")
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    terms = Terms(catalogue, settings.city_zone, partial(getattr, service, "tree"))
    service.provide(terms)
    knows(service, riders=Riders())
    service.consumes(CASE_CHANGED, partial(cases.follow_cases, terms), refuses=(problems.UNKNOWN_KIND,))
    spoilt = (problems.UNPAID_VOUCHER, problems.KEY_REUSED)
    service.consumes(REDEMPTION_CHANGED, usecases.follow_redemptions, refuses=spoilt)
    service.consumes(DEED_DONE, partial(deeds.follow_deeds, terms), refuses=(problems.DEED_CONFLICT,))
    service.consumes(SUSPICION_CHANGED, partial(suspicions.follow_suspicions, terms))
    service.include(api.router, earning_api.router)
    service.include(statements.router, adjustments.router, expiry_api.router, sealing_api.router)
    service.every(SETTLE_EVERY_S, partial(cases.settle, terms), idle_s=SETTLE_IDLE_S)
    service.every(SETTLE_EVERY_S, partial(budgets.settle, terms), idle_s=SETTLE_IDLE_S, name="settle-budgets")
    service.every(EXPIRE_EVERY_S, partial(expiry.expire, terms.zone), leader=True, name="expire-lots")
    service.every(EXPIRE_EVERY_S, expiry.expire_holds, leader=True, name="expire-holds")
    service.every(SEAL_EVERY_S, partial(sealing.seal, terms.zone), leader=True, name="seal-ledger")
    checking = Checking(service.leading, service.pool_of, database_now, clock.monotonic_s, asyncio.sleep)
    service.background("check-ledger", checking.run)
    service.keeps(*TABLES)
    # the ledger stays whole: it knows riders by bare ids, which lead to nobody after an erasure
    service.erases()
    service.tallies(ledger.tallies)
    service.measures("ledger", usecases.measure_ledger, *metrics.LEDGER, every_s=LEDGER_EVERY_S)
    service.measures("settlements", cases.measure_settlements, metrics.SETTLEMENT_AGE, every_s=UNFINISHED_EVERY_S)
    return service
