"""Wiring of routing."""

from functools import partial
from typing import get_args

from services.routing import handlers, metrics
from services.routing.api import areas, routing
from services.routing.api.map_in_force import Routing
from services.routing.retention import TABLES
from services.routing.settings import Settings
from services.routing.store import routes
from services.routing.usecases import reports, taking_over, versions
from services.routing.usecases.current_map import CurrentMap
from services.routing.usecases.exports import Exports
from shared.catalog import Catalogue
from shared.events.common import Level
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.areas.carrying import ByArea
from shared.kit.db import Connection
from shared.kit.http.open_answers import OpenAnswers

WAITING_EVERY_S = 15.0


def build(settings: Settings | None = None) -> Routing:
    """The service; without settings they come from the environment."""
    settings = settings or Settings()
    service = Routing("routing", settings, title="BeeGrid routing 网格路由")
    service.keeps(*TABLES)
    service.catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    service.exports = Exports()
    service.open_exports = OpenAnswers(of_caller=areas.EXPORTS_OF_CALLER, of_all=areas.EXPORTS_OPEN)
    service.areas = CurrentMap(lambda: service.pool, settings.map_poll_s)
    service.consumes(REPORT_RECEIVED, partial(handlers.on_report_received, service.areas, service.catalogue))
    service.include(areas.router)
    service.include(routing.router)
    # Before anything is consumed: else the first reports of a new process would be unroutable.
    service.on_start(service.areas.refresh)
    service.background("follow-map", service.areas.follow)
    service.background("drop-drafts", partial(versions.drop_abandoned_forever, service))
    service.measures("waiting", measure_waiting, metrics.WAITING_AGE, every_s=WAITING_EVERY_S)
    service.erases(routes.forget)
    service.tallies(routes.tallies)
    # responsibilities are carried over in the activation itself, the manual queue by the map that came into force
    service.keeps_by_area(ByArea(taking_over.dependents, partial(reports.carry_queue, service.areas)))
    return service


async def measure_waiting(conn: Connection) -> None:
    """Set the gauge of how long the manual queue's oldest reports wait."""
    for level, age_s in (await routes.oldest_ages(conn, get_args(Level))).items():
        metrics.WAITING_AGE.labels(level).set(age_s)
