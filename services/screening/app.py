"""Wiring of the screening service."""

from datetime import timedelta
from functools import partial

from services.screening import api, metrics, usecases
from services.screening.retention import TABLES
from services.screening.settings import Settings
from services.screening.store import reports as report_store
from services.screening.store import suspicions
from services.screening.usecases import cases, reports
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

MEASURE_EVERY_S = 15.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("screening", settings, title="BeeGrid screening 反作弊")
    knows(service, riders=Riders(also=report_store.keep_vehicles))
    service.consumes(REPORT_ROUTED, partial(reports.follow_reports, settings.city_zone))
    service.consumes(CASE_CHANGED, cases.follow_cases)
    service.include(api.router)
    service.keeps(*TABLES, sightings=timedelta(hours=settings.places_kept_hours))
    service.erases(report_store.forget)
    service.tallies(suspicions.tallies)
    service.measures("suspicions", usecases.measure, metrics.OPEN, metrics.OLDEST, every_s=MEASURE_EVERY_S)
    return service
