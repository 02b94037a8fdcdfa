"""Wiring of the badges service."""

from functools import partial

from services.badges.api import routers
from services.badges.retention import TABLES
from services.badges.settings import Settings
from services.badges.states import STATES
from services.badges.store import standings
from services.badges.store.boards import PATIENCE_S, Boards
from services.badges.usecases import crediting, levelling
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.kit.service import Service
from shared.kit.volatile import volatile

RETIRED_AGAIN_EVERY_S = 86_400.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("badges", settings, title="BeeGrid badges 徽章与榜单")
    # the rest of the connections is for those who don't wait for a board
    makers = max(1, settings.postgres_pool_max // 2)
    boards = Boards(volatile(settings.redis_url.get_secret_value(), PATIENCE_S), settings.board_seconds, makers)
    service.provide(boards)
    service.consumes(ACCOUNT_CHANGED, partial(crediting.follow_points, settings.city_zone))
    service.include(*routers)
    service.on_stop(boards.aclose)
    service.keeps(*TABLES)
    service.every(RETIRED_AGAIN_EVERY_S, levelling.retire_again, leader=True)
    service.restates(*STATES)
    service.erases(levelling.forget)
    service.tallies(standings.tallies)
    return service
