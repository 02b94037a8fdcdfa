"""Wiring of the points service."""

from functools import partial
from zoneinfo import ZoneInfo

from services.points import api, handlers, metrics, store
from services.points.settings import Settings
from services.points.usecases import Terms
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit import clock
from shared.kit.db import Connection
from shared.kit.service import Service

LEDGER_EVERY_S = 60.0


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started.

    Raises:
        CatalogueError: the catalogue's files can't be used.
    """
    settings = settings or Settings()
    terms = Terms(Catalogue.load(settings.catalogue_path), ZoneInfo(settings.city_timezone))
    service = Service("points", settings, title="BeeGrid points")
    service.consumes(CASE_CHANGED, partial(handlers.on_case_changed, terms))
    service.consumes(REDEMPTION_CHANGED, handlers.on_redemption_changed)
    service.consumes(RIDER_CHANGED, handlers.on_rider_changed)
    service.include(api.router)
    service.tallies(store.tallies)
    service.measures("ledger", _measure_ledger, *metrics.LEDGER, every_s=LEDGER_EVERY_S)
    return service


async def _measure_ledger(conn: Connection) -> None:
    figures = await store.balances(conn)
    metrics.LEDGER_SUM.set(figures["ledger_sum"])
    metrics.LEDGER_UNBALANCED.set(figures["imbalance"])
    metrics.LEDGER_CHECKED.set(clock.unix_s())
