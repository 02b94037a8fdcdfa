"""Claiming what is due, and writing down what came of it. The transport itself is outbound/.

All by the database's clock: a process whose own is ahead would spend a delivery's attempts, and give it up, in minutes.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from services.notifications import domain, metrics
from services.notifications.domain import ChannelParcel, Claim, Delivery, DeliveryState, Outcome, Webhook, WebhookParcel
from services.notifications.settings import Settings
from services.notifications.store import deliveries, webhooks
from services.notifications.usecases import verifying
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool
from shared.kit.work import database_now

# Longer than any attempt takes: a claim of a process that died comes back after this.
LEASE = timedelta(seconds=120)
# So many of one company leave together: a slow receiver holds up its own news only.
PER_WEBHOOK = 8
# One share of what is given up or looked at: 5,000 took a quarter of a second among 200,000 that wait.
SHARE_ROWS = 500
CODE_OUTCOMES = {"sent": "sent", "dead": "undelivered"}
SLOT_KINDS = frozenset({"wecom", "dingtalk", "feishu"})


async def claim_webhooks(pool: Pool, settings: Settings) -> list[WebhookParcel]:
    """Due deliveries to webhooks, taken for this process."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        now = await database_now(conn)
        claimed = await deliveries.claim_webhooks(
            conn, now=now, lease=LEASE, most=settings.sender_parallel, most_per_target=PER_WEBHOOK
        )
        if not claimed:
            return []
        hooks = await webhooks.by_id(conn, [one.target_id for one in claimed])
    return [WebhookParcel(one, hooks[one.target_id], now) for one in claimed]


async def claim_channels(pool: Pool, settings: Settings) -> list[ChannelParcel]:
    """Due deliveries to channels that may leave now. Quiet hours and rate limits put others off without an attempt."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        now = await database_now(conn)
        due = await deliveries.due_channels(conn, now, settings.sender_parallel)
        first = await _reserve(conn, settings, due, now)
        claims = _decide(settings, due, first, now)
        await deliveries.claim(conn, claims)
        leaving = {one.delivery_id for one in claims if one.attempt}
        return [await _leaving(conn, settings, one) for one in due if one.delivery.delivery_id in leaving]


async def settle_webhook(pool: Pool, parcel: WebhookParcel, outcome: Outcome) -> None:
    """Write down an attempt at a webhook and how the webhook is doing."""
    hook, delivery = parcel.webhook, parcel.delivery
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        now = await database_now(conn)
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
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
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
    """A connection for one share; then as long a rest as it took, for the others' sake."""
    began_s = clock.monotonic_s()
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
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


async def _reserve(
    conn: Connection, settings: Settings, due: Sequence[ChannelParcel], now: datetime
) -> dict[UUID, datetime]:
    """Places in time for bots' messages that have none yet."""
    places: dict[UUID, int] = defaultdict(int)
    for one in due:
        quiet = domain.quiet_until(now, one.quiet, settings.city_zone) is not None
        if one.channel.kind in SLOT_KINDS and not one.has_slot and not quiet:
            places[one.channel.channel_id] += 1
    step = timedelta(seconds=settings.bot_interval_s)
    return await deliveries.reserve_slots(conn, [(channel, n, step) for channel, n in places.items()], now)


def _decide(
    settings: Settings, due: Sequence[ChannelParcel], first: dict[UUID, datetime], now: datetime
) -> list[Claim]:
    free = dict(first)
    step = timedelta(seconds=settings.bot_interval_s)
    claims = []
    for one in due:
        delivery_id, channel_id = one.delivery.delivery_id, one.channel.channel_id
        quiet_ends = domain.quiet_until(now, one.quiet, settings.city_zone)
        if quiet_ends is not None and one.delivery.template != domain.CODE_TEMPLATE:  # somebody is waiting for a code
            claims.append(Claim(delivery_id, 0, quiet_ends, has_slot=False))
            continue
        at = now
        if channel_id in free and not one.has_slot:
            at = free[channel_id]
            free[channel_id] = at + step
        late = at > now
        claims.append(Claim(delivery_id, 0 if late else 1, at if late else now + LEASE, has_slot=late))
    return claims


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
