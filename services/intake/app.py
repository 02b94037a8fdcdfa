"""Wiring of the intake service."""

from functools import partial

from services.intake import metrics, problems
from services.intake.api import photos as photos_api
from services.intake.api import reports as reports_api
from services.intake.retention import TABLES
from services.intake.settings import Settings
from services.intake.store.objects import PhotoObjects
from services.intake.store.reports import tallies
from services.intake.usecases import late, photos, refusals, reports, waiting
from services.intake.usecases.imaging import PhotoWorkers
from services.intake.usecases.leaving import forget
from services.intake.usecases.photos import PURGE_EVERY_S, REFUSED_EVERY_S, Photos
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.knowing import Riders, knows


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("intake", settings, title="BeeGrid intake")
    catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
    objects, workers = PhotoObjects(settings.photo_store_url), PhotoWorkers.of(settings)
    kept_photos = Photos(service.pool_of, objects, workers, settings.photo_unused_hours)
    service.provide(catalogue, kept_photos)
    service.batches(partial(reports.receive, catalogue), queue_max=settings.intake_queue_max)
    take = partial(reports.take_events, catalogue, waits=settings.waits)
    service.consumes(INBOUND_REPORTS, take, refusing=refusals.publish, refuses=problems.OF_A_STREAM)
    service.consumes(CASE_CHANGED, photos.follow_cases)
    knows(service, riders=Riders(numbers=True), companies=Sealer(settings.sealing_key.get_secret_value()))
    service.include(reports_api.router, photos_api.router)
    service.on_start(objects.open, workers.start)
    service.on_stop(workers.stop)
    service.repeats(PURGE_EVERY_S, kept_photos.purge, name="purge-photos")
    service.every(late.EVERY_S, late.of(settings, catalogue).take_up, idle_s=late.IDLE_S, name="take-up-waiting")
    service.keeps(*TABLES)
    service.erases(forget, kept_photos.purge_erased)
    service.measures("photos-refused", photos.measure_refused, metrics.PHOTOS_REFUSED, every_s=REFUSED_EVERY_S)
    service.measures("waiting", waiting.measure, metrics.WAITING, every_s=waiting.MEASURE_EVERY_S)
    service.tallies(tallies)
    return service
