"""Wiring of the notifications service."""

from datetime import timedelta
from functools import partial

from services.notifications import metrics
from services.notifications.api import routers, sends
from services.notifications.outbound.channel import ChannelSender
from services.notifications.outbound.sender import IDLE_TIMES, SWEEP_EVERY_S, Sender
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.retention import TABLES
from services.notifications.settings import Settings
from services.notifications.store import messages, people
from services.notifications.texts import Texts
from services.notifications.usecases import cases, notifying, sending
from services.notifications.usecases import preferences as choices
from services.notifications.usecases.sealing import secrets
from shared.catalog import Catalogue
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.badge_awarded import BADGE_AWARDED
from shared.events.case_changed import CASE_CHANGED
from shared.events.points_expiring import POINTS_EXPIRING
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.events.signup_changed import SIGNUP_CHANGED
from shared.events.task_claim_changed import TASK_CLAIM_CHANGED
from shared.kit.areas.carrying import ByArea
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.knowing import Riders, knows

UNFINISHED_EVERY_S = 15.0
UNSENT_EVERY_S = 5.0


def build(settings: Settings | None = None) -> Service:
    """The service, ready to run. Settings come from the environment if not given."""
    settings = settings or Settings()
    service = Service("notifications", settings, title="BeeGrid notifications")
    sealer = Sealer(settings.sealing_key.get_secret_value())
    texts = Texts(Catalogue.load(settings.catalogue_path, settings.city_zone), settings.city_zone)
    webhooks, channels = WebhookSender(settings, sealer), ChannelSender(settings, sealer, texts)
    sender = Sender(service.pool_of, settings, webhooks, channels, service.pulse)
    service.provide(sealer, texts, webhooks, channels)
    service.consumes(ACCOUNT_CHANGED, partial(notifying.notify_of_movements, settings))
    service.consumes(POINTS_EXPIRING, partial(notifying.notify_of_expiring, settings))
    service.consumes(BADGE_AWARDED, partial(notifying.notify_of_badges, settings))
    service.consumes(TASK_CLAIM_CHANGED, partial(notifying.notify_of_tasks, settings))
    service.consumes(CASE_CHANGED, partial(cases.notify_of_cases, settings, known=service.known_areas))
    service.consumes(REDEMPTION_CHANGED, partial(notifying.notify_of_redemptions, settings))
    service.consumes(SIGNUP_CHANGED, partial(notifying.notify_of_signups, settings))
    knows(service, riders=Riders(left=people.forget_addresses), companies=sealer)
    service.include(*routers)
    service.sends(sends)
    service.seals(*secrets(sealer))
    service.background("webhooks", sender.webhooks_forever)
    service.background("channels", sender.channels_forever)
    poll_s = 2 * settings.sender_poll_s
    service.every(poll_s, partial(cases.notify_crowd, settings), idle_s=IDLE_TIMES * poll_s)
    service.repeats(SWEEP_EVERY_S, sender.sweep)
    service.on_stop(webhooks.aclose, channels.aclose)
    service.keeps(
        *TABLES,
        messages=timedelta(days=settings.message_kept_days),
        deliveries=timedelta(days=settings.delivery_kept_days),
    )
    service.keeps_by_area(ByArea(choices.count_by_area, partial(choices.carry_channels, sealer)))
    service.erases(people.forget)
    service.tallies(messages.tallies)
    service.measures("deliveries", sending.measure, metrics.UNSENT, metrics.OLDEST, every_s=UNSENT_EVERY_S)
    service.measures("crowds", cases.measure_crowds, metrics.CROWD_AGE, every_s=UNFINISHED_EVERY_S)
    return service
