"""Wiring of the stations service."""

from functools import partial

from services.stations import metrics
from services.stations.api import routers
from services.stations.index import StationIndex
from services.stations.open_data import OpenData
from services.stations.page import StationsPage
from services.stations.retention import TABLES
from services.stations.settings import Settings
from services.stations.states import states_with
from services.stations.store import stations
from services.stations.usecases import living, visiting
from services.stations.usecases.keeping import by_area
from services.stations.usecases.rules import Rules
from shared.kit.areas.carrying import ByArea
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

FOLD_EVERY_S, FOLD_ROWS_MAX = 600.0, 2_000
MEASURE_EVERY_S = 15.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("stations", settings, title="BeeGrid stations 驿站")
    rules = Rules.of(settings, partial(getattr, service, "tree"))
    index = StationIndex(service.pool_of, settings.index_poll_s)
    service.provide(rules, index, OpenData(index), StationsPage(index, rules, settings))
    knows(service, riders=Riders())
    service.include(*routers)
    service.on_start(index.refresh)
    service.background("follow-stations", index.follow)
    service.every(settings.clock_every_s, partial(living.look_at_due, rules, settings.clock_rows_max), leader=True)
    service.every(FOLD_EVERY_S, partial(visiting.fold_visits, rules, FOLD_ROWS_MAX), leader=True)
    service.restates(*states_with(rules))
    service.keeps(*TABLES)
    service.keeps_by_area(ByArea(by_area))
    service.erases(visiting.forget)
    service.tallies(stations.tallies)
    service.measures("clock", living.measure, metrics.BEHIND, every_s=MEASURE_EVERY_S)
    service.measures("feedback", visiting.measure_feedback, metrics.FEEDBACK_OVERDUE, every_s=MEASURE_EVERY_S)
    return service
