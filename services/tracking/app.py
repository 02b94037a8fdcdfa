"""Wiring of the tracking service."""

from functools import partial

from services.tracking import states, usecases
from services.tracking.api import routers
from services.tracking.domain import Links
from services.tracking.retention import TABLES
from services.tracking.settings import Settings
from services.tracking.store import figures
from services.tracking.usecases import outbound
from shared.catalog import Catalogue
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_received import REPORT_RECEIVED
from shared.events.report_refused import REPORT_REFUSED
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.auth import Sealer
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.service import Service
from shared.known.knowing import knows
from shared.known.leaving import erase_riders

RETIRE_EVERY_S = 60.0
OUTBOUND_EVERY_S, OUTBOUND_IDLE_S = 0.2, 2.0


def build(settings: Settings | None = None) -> Service:
    """The service; its settings come from the environment where none are given."""
    settings = settings or Settings()
    service = Service("tracking", settings, title="BeeGrid tracking 进度")
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    # however many open a page at once, and with Redis empty: one of them reads
    overview = SharedAnswer(partial(usecases.read_overview, service.pool_of), settings.overview_seconds)
    exports = OpenAnswers(of_caller=settings.exports_of_caller, of_all=settings.exports_open_max)
    service.provide(catalogue, overview, exports, Links(settings.link_keys()))
    service.consumes(REPORT_RECEIVED, usecases.follow_reports)
    service.consumes(REPORT_REFUSED, outbound.follow_refusals)
    service.consumes(REPORT_ROUTED, usecases.follow_routings)
    service.consumes(CASE_CHANGED, partial(usecases.follow_cases, catalogue))
    service.consumes(ACCOUNT_CHANGED, usecases.follow_points)
    knows(service, companies=Sealer(settings.sealing_key.get_secret_value()))
    service.include(*routers)
    service.every(OUTBOUND_EVERY_S, outbound.publish_changes, idle_s=OUTBOUND_IDLE_S, name="publish-outbound")
    service.every(RETIRE_EVERY_S, partial(usecases.retire_cases, days=settings.public_ended_days), leader=True)
    service.restates(*states.states_with(catalogue))
    service.keeps(*TABLES)
    service.erases(erase_riders)
    service.tallies(figures.tallies)
    return service
