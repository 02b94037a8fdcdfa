"""Wiring of the riders service."""

import asyncio
from functools import partial

from services.riders import metrics, store, usecases
from services.riders.api import companies, riders
from services.riders.handlers import on_rider_submission
from services.riders.retention import TABLES
from services.riders.settings import Settings
from shared.events.inbound_riders import INBOUND_RIDERS
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.db import Connection
from shared.kit.measuring import LEADER_POLL_S
from shared.kit.service import Service
from shared.known.keys import UnsealedKeys

KEYS_EVERY_S = 300.0
DUE_EVERY_S = 5.0
RETIRED_AGAIN_EVERY_S = 86_400.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    sealer = Sealer(settings.sealing_key.get_secret_value())
    service = Service("riders", settings, title="BeeGrid riders")
    service.keeps(*TABLES)
    # it owns what others know
    service.key_ring = UnsealedKeys(lambda: service.pool, sealer, store.sealed_keys_of, store.company_codes).ring()
    service.consumes(INBOUND_RIDERS, on_rider_submission)
    service.include(companies.router)
    service.include(riders.router)
    service.erases(usecases.forget)
    service.background("retire-again", partial(_retire_again, service))
    service.tallies(store.tallies)
    service.seals(usecases.sealed_secrets(sealer))
    service.background("end-due-keys", partial(_end_due_keys, service))
    service.measures("keys", _measure_keys, metrics.KEY_MADE, every_s=KEYS_EVERY_S)
    return service


async def _end_due_keys(service: Service) -> None:
    while True:
        async with service.work() as work:
            await usecases.end_due_keys(work)
        await asyncio.sleep(DUE_EVERY_S)


async def _retire_again(service: Service) -> None:
    while True:
        led = service.relay.leading
        if led:
            async with service.work() as work:
                await usecases.retire_again(work)
        await asyncio.sleep(clock.jittered(RETIRED_AGAIN_EVERY_S if led else LEADER_POLL_S))


async def _measure_keys(conn: Connection) -> None:
    made = await store.oldest_keys(conn)
    metrics.KEY_MADE.clear()
    for company, at in made.items():
        metrics.KEY_MADE.labels(company).set(at.timestamp())
