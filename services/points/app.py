"""Wiring of the points service."""

from functools import partial
from zoneinfo import ZoneInfo

from services.points import api, handlers, store
from services.points.settings import Settings
from services.points.usecases import Terms
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit.service import Service


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started.

    Raises:
        CatalogueError: the catalogue's files can't be used.
    """
    settings = settings or Settings()  # type: ignore[call-arg]  # pydantic-settings reads the environment
    terms = Terms(Catalogue.load(settings.catalogue_path), ZoneInfo(settings.city_timezone))
    service = Service("points", settings, title="BeeGrid points")
    service.consumes(CASE_CHANGED, partial(handlers.on_case_changed, terms))
    service.consumes(REDEMPTION_CHANGED, handlers.on_redemption_changed)
    service.consumes(RIDER_CHANGED, handlers.on_rider_changed)
    service.include(api.router)
    service.tallies(store.tallies)
    return service
