"""Wiring of routing."""

from functools import partial

from services.routing import handlers
from services.routing.api import areas, routing
from services.routing.settings import Settings
from services.routing.store import routes
from services.routing.usecases.current_map import CurrentMap, RoutingService
from shared.catalog import Catalogue
from shared.events.report_received import REPORT_RECEIVED


def build(settings: Settings | None = None) -> RoutingService:
    """The service; without settings they come from the environment."""
    settings = settings or Settings()
    service = RoutingService("routing", settings, title="BeeGrid routing 网格路由")
    service.catalogue = Catalogue.load(settings.catalogue_path)
    service.areas = CurrentMap(lambda: service.pool, settings.map_poll_s)
    service.consumes(REPORT_RECEIVED, partial(handlers.on_report_received, service.areas, service.catalogue))
    service.include(areas.router)
    service.include(routing.router)
    # Before anything is consumed: else the first reports of a new process would be unroutable.
    service.on_start(service.areas.refresh)
    service.background("follow-map", service.areas.follow)
    service.tallies(routes.tallies)
    return service
