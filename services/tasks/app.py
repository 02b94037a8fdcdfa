"""Wiring of the tasks service."""

from functools import partial

from services.tasks import metrics
from services.tasks.api import routers
from services.tasks.retention import TABLES
from services.tasks.settings import Settings
from services.tasks.states import STATES
from services.tasks.store import tasks
from services.tasks.usecases import claiming, leaving, publishing, weather
from services.tasks.usecases.claiming import Counter
from services.tasks.usecases.measuring import measure
from services.tasks.usecases.sealing import sealed_contacts
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

MEASURE_EVERY_S = 15.0
SERIES_EVERY_S = 60.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("tasks", settings, title="BeeGrid tasks 任务")
    sealer = Sealer(settings.sealing_key.get_secret_value())
    knows(service, riders=Riders(), companies=sealer)
    service.provide(sealer, Counter(settings, sealer))
    service.include(*routers)
    rows, every_s = settings.clock_rows, settings.clock_every_s
    service.every(every_s, partial(weather.keep_up, service.known_areas, rows))
    service.every(every_s, partial(claiming.fill, rows))
    service.every(every_s, partial(publishing.close_lines, rows))
    service.every(every_s, partial(publishing.end_due, settings))
    service.every(SERIES_EVERY_S, partial(publishing.make_due, settings))
    service.every(SERIES_EVERY_S, partial(publishing.leave_topic, settings))
    service.keeps(*TABLES)
    service.erases(leaving.forget)
    service.seals(sealed_contacts(sealer))
    service.restates(*STATES)
    service.tallies(tasks.tallies)
    service.measures(
        "reviews", measure, metrics.OVERDUE, metrics.OLDEST_OVERDUE, metrics.APPEALS, every_s=MEASURE_EVERY_S
    )
    return service
