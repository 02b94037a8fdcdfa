"""Wiring of the intake service."""

from functools import partial

from services.intake import handlers, metrics
from services.intake.api import photos as photos_api
from services.intake.api import reports as reports_api
from services.intake.api.inlets import Inlets, Intake
from services.intake.domain import Submission
from services.intake.retention import TABLES
from services.intake.settings import Settings
from services.intake.store.objects import PhotoObjects
from services.intake.store.reports import tallies
from services.intake.usecases import reports
from services.intake.usecases.imaging import PhotoWorkers
from services.intake.usecases.leaving import forget
from services.intake.usecases.photos import REFUSED_EVERY_S, Photos, measure_refused
from services.intake.usecases.reports import Outcome
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.auth import Sealer
from shared.kit.batcher import Batcher
from shared.kit.service import Service
from shared.known.knowing import Riders, knows


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Intake("intake", settings, title="BeeGrid intake")
    service.keeps(*TABLES)
    knows(service, riders=Riders(numbers=True), companies=Sealer(settings.sealing_key.get_secret_value()))
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    service.consumes(INBOUND_REPORTS, partial(handlers.on_report_submission, catalogue))
    service.consumes(CASE_CHANGED, handlers.on_case_changed)

    async def flush(submissions: list[Submission]) -> list[Outcome | Exception]:
        async with service.work() as work:
            outcomes: list[Outcome | Exception] = []
            outcomes += await reports.receive(catalogue, work, submissions)
        return outcomes

    singles: Batcher[Submission, Outcome] = Batcher(flush, name="intake", queue_max=settings.intake_queue_max)
    workers = PhotoWorkers(
        settings.photo_workers,
        settings.photo_queue_max,
        memory_mb=settings.photo_memory_mb,
        seconds=settings.photo_seconds,
    )
    objects = PhotoObjects(settings.photo_store_url)
    photos = Photos(lambda: service.pool, objects, workers)
    service.inlets = Inlets(settings, catalogue, singles, photos)
    service.include(reports_api.router)
    service.include(photos_api.router)
    service.on_start(objects.open)
    service.on_start(workers.start)
    service.on_start(singles.start)
    service.on_stop(singles.stop)
    service.on_stop(workers.stop)
    service.background("purge-photos", photos.purge_forever)
    service.erases(forget, photos.purge_erased)
    service.measures("photos-refused", measure_refused, metrics.PHOTOS_REFUSED, every_s=REFUSED_EVERY_S)
    service.tallies(tallies)
    return service
