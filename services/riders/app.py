"""Wiring of the riders service."""

from services.riders import metrics, problems, store, usecases
from services.riders.api import companies, riders
from services.riders.retention import TABLES
from services.riders.settings import Settings
from services.riders.states import STATES
from shared.events.inbound_riders import INBOUND_RIDERS
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.keys import UnsealedKeys

KEYS_EVERY_S = 300.0
DUE_EVERY_S = 5.0
RETIRED_AGAIN_EVERY_S = 86_400.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("riders", settings, title="BeeGrid riders")
    sealer = Sealer(settings.sealing_key.get_secret_value())
    service.provide(sealer)
    service.consumes(INBOUND_RIDERS, usecases.take_submissions, refuses=problems.OF_A_RECORD)
    service.include(companies.router, riders.router)
    # it owns what others know
    service.key_ring = UnsealedKeys(service.pool_of, sealer, store.sealed_keys_of, store.company_codes).ring()
    service.seals(usecases.sealed_secrets(sealer))
    service.every(DUE_EVERY_S, usecases.end_due_keys)
    service.every(RETIRED_AGAIN_EVERY_S, usecases.retire_again, leader=True)
    service.restates(*STATES)
    service.keeps(*TABLES)
    service.erases(usecases.forget)
    service.tallies(store.tallies)
    service.measures("keys", usecases.measure_keys, metrics.KEY_MADE, every_s=KEYS_EVERY_S)
    return service
