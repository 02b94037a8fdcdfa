"""Wiring of the notifications service."""

import asyncio
from datetime import timedelta
from functools import partial

from services.notifications import handlers, metrics
from services.notifications.api import routers
from services.notifications.api.parts import Parts
from services.notifications.outbound.channel import ChannelSender
from services.notifications.outbound.sender import Sender
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.retention import TABLES
from services.notifications.settings import Settings
from services.notifications.store import messages, people, reporters
from services.notifications.texts import Texts
from services.notifications.usecases import cases
from services.notifications.usecases import preferences as choices
from services.notifications.usecases.sealing import secrets
from shared.catalog import Catalogue
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit.areas.carrying import ByArea
from shared.kit.auth import Sealer
from shared.kit.db import Connection
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

UNFINISHED_EVERY_S = 15.0


class NotificationsService(Service):
    """The kit's service with what this one's routes need."""

    parts: Parts


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    sealer = Sealer(settings.sealing_key.get_secret_value())
    texts = Texts(Catalogue.load(settings.catalogue_path, settings.city_zone), settings.city_zone)
    service = NotificationsService("notifications", settings, title="BeeGrid notifications")
    service.keeps(
        *TABLES,
        messages=timedelta(days=settings.message_kept_days),
        deliveries=timedelta(days=settings.delivery_kept_days),
    )
    parts = Parts(settings, sealer, texts, WebhookSender(settings, sealer), ChannelSender(settings, sealer, texts))
    service.parts = parts
    knows(service, riders=Riders(left=people.forget_addresses), companies=sealer)
    service.consumes(ACCOUNT_CHANGED, partial(handlers.on_account_changed, settings))
    service.consumes(CASE_CHANGED, partial(handlers.on_case_changed, settings, service.known_areas))
    service.consumes(REDEMPTION_CHANGED, partial(handlers.on_redemption_changed, settings))
    for router in routers:
        service.include(router)
    sender = Sender(lambda: service.pool, settings, parts.webhooks, parts.channels)
    service.background("webhooks", sender.webhooks_forever)
    service.background("channels", sender.channels_forever)
    service.background("crowds", partial(_tell_crowds_forever, service, settings))
    service.background("sweep", sender.sweep_forever)
    service.background("measure-deliveries", sender.measure_forever)
    service.on_stop(parts.webhooks.aclose)
    service.on_stop(parts.channels.aclose)
    service.measures("crowds", _measure_crowds, metrics.CROWD_AGE, every_s=UNFINISHED_EVERY_S)
    service.erases(people.forget)
    service.tallies(_tallies)
    service.seals(*secrets(sealer))
    service.keeps_by_area(ByArea(choices.count_by_area, partial(choices.carry_channels, sealer)))
    return service


async def _measure_crowds(conn: Connection) -> None:
    metrics.CROWD_AGE.set(await reporters.oldest_age_s(conn))


async def _tallies(conn: Connection) -> dict[str, int]:
    return await messages.tallies(conn)


async def _tell_crowds_forever(service: Service, settings: Settings) -> None:
    """Tell the reporters of crowded cases, a bounded transaction after the other."""
    while True:
        async with service.work() as work:
            more = await cases.tell_crowd(settings, work)
        if not more:
            await asyncio.sleep(2 * settings.sender_poll_s)
