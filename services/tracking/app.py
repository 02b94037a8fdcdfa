"""Wiring of the tracking service."""

import asyncio
from functools import partial

from services.tracking import handlers, usecases
from services.tracking.api import routers
from services.tracking.api.parts import Parts, TrackingService
from services.tracking.api.reports import EXPORTS_OF_CALLER, EXPORTS_OPEN
from services.tracking.retention import TABLES
from services.tracking.settings import Settings
from services.tracking.store import figures, leaving
from shared.catalog import Catalogue
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_received import REPORT_RECEIVED
from shared.events.report_routed import REPORT_ROUTED
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.http.shared_answer import SharedAnswer
from shared.known.knowing import knows

RETIRE_EVERY_S = 60.0


def build(settings: Settings | None = None) -> TrackingService:
    """The service; its settings come from the environment where none are given."""
    settings = settings or Settings()
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    service = TrackingService("tracking", settings, title="BeeGrid tracking 进度")
    service.keeps(*TABLES)
    # however many open a page at once, and with Redis empty: one of them reads
    overview = SharedAnswer(lambda: usecases.read_overview(service.pool), settings.overview_seconds)
    exports = OpenAnswers(of_caller=EXPORTS_OF_CALLER, of_all=EXPORTS_OPEN)
    service.parts = Parts(settings, catalogue, overview, settings.link_keys(), exports)
    knows(service, companies=Sealer(settings.sealing_key.get_secret_value()))
    service.consumes(REPORT_RECEIVED, handlers.on_report_received)
    service.consumes(REPORT_ROUTED, handlers.on_report_routed)
    service.consumes(CASE_CHANGED, partial(handlers.on_case_changed, catalogue))
    service.consumes(ACCOUNT_CHANGED, handlers.on_account_changed)
    service.background("retire-cases", partial(_retire_cases, service, settings.public_ended_days))
    for router in routers:
        service.include(router)
    service.erases(leaving.forget)
    service.tallies(figures.tallies)
    return service


async def _retire_cases(service: TrackingService, days: int) -> None:
    while True:
        await asyncio.sleep(clock.jittered(RETIRE_EVERY_S))
        more = service.relay.leading
        while more:
            async with service.work() as work:
                more = await usecases.retire_cases(work, days) == usecases.RETIRED_AT_ONCE
