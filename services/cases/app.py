"""Wiring of the cases service."""

from functools import partial

from services.cases import api, handlers, store
from services.cases.settings import Settings
from services.cases.usecases import Rules
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.service import Service


def build(settings: Settings | None = None) -> Service:
    """The service; its settings come from the environment where none are given."""
    settings = settings or Settings()  # type: ignore[call-arg]  # pydantic-settings reads the environment
    service = Service("cases", settings, title="BeeGrid cases 案件")
    service.consumes(REPORT_ROUTED, partial(handlers.on_report_routed, Rules.of(settings)))
    service.include(api.router)
    service.tallies(store.tallies)
    return service
