"""Wiring of routing."""

from functools import partial

from services.routing import metrics
from services.routing.api import areas, routing
from services.routing.api import catalogue as catalogue_api
from services.routing.retention import TABLES
from services.routing.settings import Settings
from services.routing.states import STATES
from services.routing.store import routes
from services.routing.usecases import catalogue as publishing
from services.routing.usecases import reports, taking_over, versions
from services.routing.usecases.current_map import CurrentMap
from services.routing.usecases.exports import Exports
from shared.catalog import Catalogue
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.areas.carrying import ByArea
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.service import Service

WAITING_EVERY_S = 15.0


def build(settings: Settings | None = None) -> Service:
    """The service; without settings they come from the environment."""
    settings = settings or Settings()
    service = Service("routing", settings, title="BeeGrid routing 网格路由")
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    current = CurrentMap(service.pool_of)
    open_exports = OpenAnswers(of_caller=settings.exports_of_caller, of_all=settings.exports_open_max)
    service.provide(catalogue, current, Exports(), open_exports)
    service.consumes(REPORT_RECEIVED, partial(reports.follow_reports, current, catalogue))
    service.include(areas.router, catalogue_api.router, routing.router)
    # Before anything is consumed: else the first reports of a new process would be unroutable.
    service.on_start(current.refresh)
    service.repeats(settings.map_poll_s, current.refresh, name="follow-map")
    service.every(versions.DROP_EVERY_S, partial(versions.drop_abandoned, days=settings.draft_kept_days))
    public = publishing.Publishing(catalogue)
    service.every(publishing.PUBLISH_EVERY_S, public.publish_catalogue, leader=True)
    service.restates(*STATES, publishing.STATES)
    service.keeps(*TABLES)
    # responsibilities are carried over in the activation itself, the manual queue by the map that came into force
    service.keeps_by_area(ByArea(taking_over.dependents, partial(reports.carry_queue, current)))
    service.erases(routes.forget)
    service.tallies(routes.tallies)
    service.measures("waiting", reports.measure_waiting, metrics.WAITING_AGE, every_s=WAITING_EVERY_S)
    return service
