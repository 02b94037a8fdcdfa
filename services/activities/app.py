"""Wiring of the activities service."""

from datetime import timedelta
from functools import partial

from services.activities import metrics
from services.activities.api import routers
from services.activities.retention import TABLES
from services.activities.settings import Settings
from services.activities.states import STATES
from services.activities.store import signups
from services.activities.usecases import attending, saying, signing_up
from services.activities.usecases.attending import Door
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

MOVE_UP_EVERY_S = 5.0
CLOSE_EVERY_S = 30.0
MEASURE_EVERY_S = 15.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("activities", settings, title="BeeGrid activities 活动")
    service.provide(Door(settings.code_keys(), settings.early, settings.late))
    service.batches(partial(signing_up.sign_up, settings.signups_max))
    knows(service, riders=Riders(), companies=Sealer(settings.sealing_key.get_secret_value()))
    service.include(*routers)
    before, most = timedelta(hours=settings.remind_hours), settings.rows_max
    service.every(settings.say_every_s, partial(saying.say_changes, most=most))
    service.every(settings.draw_every_s, signing_up.draw)
    service.every(MOVE_UP_EVERY_S, partial(signing_up.move_up, most=most))
    service.every(settings.remind_every_s, partial(attending.remind, before=before, most=most))
    service.every(CLOSE_EVERY_S, partial(attending.close, late=settings.late))
    service.measures("draws", saying.measure, metrics.OVERDUE, every_s=MEASURE_EVERY_S)
    service.keeps(*TABLES)
    service.erases(signups.forget)
    service.tallies(signups.tallies)
    service.restates(*STATES)
    return service
