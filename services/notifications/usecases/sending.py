"""Claiming what is due, and writing down what came of it. The transport itself is outbound/.

All by the database's clock: a process whose own is ahead would spend a delivery's attempts, and give it up, in minutes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from services.notifications import domain, metrics
from services.notifications.domain import ChannelParcel, Delivery, DeliveryState, Outcome, Webhook, WebhookParcel
from services.notifications.settings import Settings
from services.notifications.store import deliveries, webhooks
from services.notifications.usecases import verifying
from services.notifications.usecases.choosing import LEASE, ChannelPlaces, channel_places, choose
from services.notifications.usecases.places import Places
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.messaging.work import database_now
from shared.kit.postgres.db import Connection, Pool, begun

# Of the places one webhook may have a quarter, one that is slow an eighth. All that are slow have a half at most and an
# eighth at least: nobody waits for those who are slow, and these not for ever.
EACH, SLOW_EACH, SLOW_TOGETHER = 4, 8, 2
# How much of the channels' queue one claim looks at, in places of a kind; and how often, while nothing of it may leave.
PAGE, PAGES_MAX = 4, 16
# One share of what is given up or looked at: 5,000 took a quarter of a second among 200,000 that wait.
SHARE_ROWS = 500
CODE_OUTCOMES = {"sent": "sent", "dead": "undelivered"}


def webhook_places(settings: Settings) -> Places[UUID]:
    """Of one process."""
    total = settings.sender_parallel * 2
    return Places(total, each=max(1, total // EACH))


async def claim_webhooks(pool: Pool, settings: Settings, places: Places[UUID] | None = None) -> list[WebhookParcel]:
    """Due deliveries to webhooks, taken for this process. `places`: what it has under way; None: nothing."""
    places = places or webhook_places(settings)
    slow, each = places.slow(), places.each
    rooms = {one: 0 if one in slow else max(0, each - places.under_way(one)) for one in places.busy() | slow}
    slow_each, slow_taken = max(1, places.total // SLOW_EACH), sum(map(places.under_way, slow))
    slow_rooms = {one: max(0, slow_each - places.under_way(one)) for one in slow}
    slow_most = max(1, places.total // SLOW_TOGETHER) - slow_taken
    kept = max(0, slow_each - slow_taken) if slow else 0
    most = min(settings.sender_parallel, places.free)
    async with begun(pool) as conn:
        now = await database_now(conn)
        claim = partial(deliveries.claim_webhooks, conn, now=now, lease=LEASE)
        claimed = await claim(most=max(0, most - kept), each=each, rooms=rooms)
        slow_most = min(slow_most, most - len(claimed))
        if slow_most > 0 and any(slow_rooms.values()):
            claimed += await claim(most=slow_most, each=0, rooms=slow_rooms)
        if not claimed:
            return []
        hooks = await webhooks.by_id(conn, [one.target_id for one in claimed])
    return [WebhookParcel(one, hooks[one.target_id], now) for one in claimed]


async def claim_channels(pool: Pool, settings: Settings, places: ChannelPlaces | None = None) -> list[ChannelParcel]:
    """Due deliveries to channels that may leave now; others are put off without an attempt, see choosing.py.

    `places`: what this process has under way; None: nothing.
    """
    places = places or channel_places(settings)
    page = settings.sender_parallel * PAGE
    for _ in range(PAGES_MAX):
        async with begun(pool) as conn:
            now = await database_now(conn)
            due = await deliveries.due_channels(conn, now, page)
            claims = await choose(conn, settings, places, due, now)
            await deliveries.claim(conn, claims)
            leaving = {one.delivery_id for one in claims if one.attempt}
            parcels = [await _leaving(conn, settings, one) for one in due if one.delivery.delivery_id in leaving]
        if parcels or len(claims) < page:
            return parcels
    return []


async def settle_webhook(pool: Pool, parcel: WebhookParcel, outcome: Outcome) -> None:
    """Write down an attempt at a webhook and how the webhook is doing; what was put off is due again, untried."""
    hook, delivery = parcel.webhook, parcel.delivery
    async with begun(pool) as conn:
        now = await database_now(conn)
        if outcome.put_off:
            at = now + timedelta(seconds=domain.PUT_OFF_S)
            await deliveries.put_back(conn, delivery, at)
            await webhooks.probe_put_off(conn, hook.webhook_id, hook.failures, at)
            metrics.ATTEMPTS.labels("webhook", "put_off").inc()
            return
        result = domain.settle(delivery, outcome, now)
        await deliveries.settle(conn, delivery, result, outcome, now)
        if outcome.ok:
            await webhooks.recovered(conn, hook.webhook_id)
        elif outcome.gone:
            await webhooks.switch_off(conn, hook.webhook_id, now)
        elif not outcome.permanent:
            await webhooks.failed(conn, hook.webhook_id, hook.failures, _paused_until(hook, outcome, now))
    _measure("webhook", result.state, outcome)


async def settle_channel(pool: Pool, delivery: Delivery, outcome: Outcome) -> None:
    """Write down an attempt at a channel. A code that can't be delivered is dropped: its rider asks for another."""
    code = delivery.template == domain.CODE_TEMPLATE
    async with begun(pool) as conn:
        now = await database_now(conn)
        result = domain.settle(delivery, outcome, now)
        settled = await deliveries.settle(conn, delivery, result, outcome, now)
        if settled and code and result.state == "dead":
            await deliveries.drop(conn, delivery.delivery_id)
    if code and result.state in CODE_OUTCOMES:
        metrics.CODES.labels(CODE_OUTCOMES[result.state]).inc()
    _measure("channel", result.state, outcome)


async def sweep(pool: Pool, settings: Settings) -> None:
    """Give up what is too old, and what has nowhere to go: in small shares, until nothing of it is left."""
    for state in ("pending", "failed"):
        await _drop_orphans(pool, state)
    age = timedelta(hours=settings.delivery_age_hours_max)
    for share in (deliveries.give_up_switched_off, partial(_give_up_old, age)):
        rows = SHARE_ROWS
        while rows >= SHARE_ROWS:
            async with _paced(pool) as conn:
                rows = await share(conn, SHARE_ROWS)


async def _drop_orphans(pool: Pool, state: DeliveryState) -> None:
    after = None
    while True:
        async with _paced(pool) as conn:
            after = await deliveries.drop_orphans(conn, state, after, SHARE_ROWS)
        if after is None:
            return


async def _give_up_old(age: timedelta, conn: Connection, limit: int) -> int:
    return await deliveries.give_up_old(conn, age, limit)


@contextlib.asynccontextmanager
async def _paced(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction for one share; then as long a rest as it took, for the others' sake."""
    began_s = clock.monotonic_s()
    async with begun(pool) as conn:
        yield conn
    await asyncio.sleep(clock.monotonic_s() - began_s)


async def measure(conn: Connection) -> None:
    """Set the gauges of unsent deliveries."""
    found = {(lane, state): (n, age_s) for lane, state, n, age_s in await deliveries.figures(conn)}
    for lane in domain.LANES:
        for state in ("pending", "failed", "dead"):
            n, age_s = found.get((lane, state), (0, 0.0))
            metrics.UNSENT.labels(lane, state).set(n)
            metrics.OLDEST.labels(lane, state).set(age_s)


async def _leaving(conn: Connection, settings: Settings, parcel: ChannelParcel) -> ChannelParcel:
    """The parcel as the claim left it: with one attempt more, and with its code where it is to bring one."""
    delivery = replace(parcel.delivery, attempts=parcel.delivery.attempts + 1)
    if delivery.template == domain.CODE_TEMPLATE:
        sealer = Sealer(settings.sealing_key.get_secret_value())
        code = await verifying.make(conn, sealer, parcel.channel.channel_id)
        minutes = int(domain.CODE_VALID.total_seconds() // 60)
        delivery = replace(delivery, params={"code": code, "minutes": minutes})
    return replace(parcel, delivery=delivery)


def _paused_until(hook: Webhook, outcome: Outcome, now: datetime) -> datetime:
    pause_s = max(domain.pause_s(hook.failures + 1), min(outcome.retry_after_s or 0.0, domain.PAUSE_S_MAX))
    return now + timedelta(seconds=pause_s)


def _measure(lane: str, state: str, outcome: Outcome) -> None:
    metrics.ATTEMPTS.labels(lane, state).inc()
    metrics.ATTEMPT_DURATION.labels(lane).observe(outcome.duration_ms / 1000)
