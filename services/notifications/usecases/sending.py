"""Claiming what is due, and writing down what came of it. The transport itself is outbound/."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.notifications import domain, metrics
from services.notifications.domain import ChannelParcel, Claim, Delivery, Outcome, Webhook, WebhookParcel
from services.notifications.settings import Settings
from services.notifications.store import deliveries, messages, webhooks
from shared.kit import clock
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool

# Longer than any attempt takes: a claim of a process that died comes back after this.
LEASE = timedelta(seconds=120)
# So many of one company leave together: a slow receiver holds up its own news only.
PER_WEBHOOK = 8
SLOT_KINDS = frozenset({"wecom", "dingtalk", "feishu"})


async def claim_webhooks(pool: Pool, settings: Settings) -> list[WebhookParcel]:
    """Due deliveries to webhooks, taken for this process."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        claimed = await deliveries.claim_webhooks(
            conn, now=clock.now(), lease=LEASE, most=settings.sender_parallel, most_per_target=PER_WEBHOOK
        )
        if not claimed:
            return []
        hooks = await webhooks.by_id(conn, [one.target_id for one in claimed])
    return [WebhookParcel(one, hooks[one.target_id]) for one in claimed]


async def claim_channels(pool: Pool, settings: Settings) -> list[ChannelParcel]:
    """Due deliveries to channels that may leave now. Quiet hours and rate limits put others off without an attempt."""
    now = clock.now()
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        due = await deliveries.due_channels(conn, now, settings.sender_parallel)
        first = await _reserve(conn, settings, due, now)
        claims = _decide(settings, due, first, now)
        await deliveries.claim(conn, claims)
    leaving = {one.delivery_id for one in claims if one.attempt}
    return [_counted(one) for one in due if one.delivery.delivery_id in leaving]


async def settle_webhook(pool: Pool, parcel: WebhookParcel, outcome: Outcome) -> None:
    """Write down an attempt at a webhook and how the webhook is doing."""
    now = clock.now()
    hook, delivery = parcel.webhook, parcel.delivery
    result = domain.settle(delivery, outcome, now)
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        await deliveries.settle(conn, delivery, result, outcome, now)
        if outcome.ok:
            await webhooks.recovered(conn, hook.webhook_id)
        elif outcome.gone:
            await webhooks.switch_off(conn, hook.webhook_id, now)
        elif not outcome.permanent:
            await webhooks.failed(conn, hook.webhook_id, hook.failures, _paused_until(hook, outcome, now))
    _measure("webhook", result.state, outcome)


async def settle_channel(pool: Pool, delivery: Delivery, outcome: Outcome) -> None:
    """Write down an attempt at a channel."""
    now = clock.now()
    result = domain.settle(delivery, outcome, now)
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        await deliveries.settle(conn, delivery, result, outcome, now)
    _measure("channel", result.state, outcome)


async def sweep(pool: Pool, settings: Settings) -> None:
    """Give up what is too old, forget what nobody needs any more, and show what waits."""
    now = clock.now()
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
        await deliveries.sweep(
            conn, now, timedelta(hours=settings.delivery_age_hours_max), timedelta(days=settings.delivery_kept_days)
        )
        await messages.forget(conn, now, timedelta(days=settings.message_kept_days))


async def measure(pool: Pool) -> None:
    """Set the gauges of unsent deliveries."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
        found = {(lane, state): (n, age_s) for lane, state, n, age_s in await deliveries.figures(conn, clock.now())}
    for lane in ("webhook", "channel"):
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
        if one.channel.kind in SLOT_KINDS and not one.has_slot and domain.quiet_until(now, one.quiet) is None:
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
        quiet_ends = domain.quiet_until(now, one.quiet)
        if quiet_ends is not None:
            claims.append(Claim(delivery_id, 0, quiet_ends, has_slot=False))
            continue
        at = now
        if channel_id in free and not one.has_slot:
            at = free[channel_id]
            free[channel_id] = at + step
        late = at > now
        claims.append(Claim(delivery_id, 0 if late else 1, at if late else now + LEASE, has_slot=late))
    return claims


def _counted(parcel: ChannelParcel) -> ChannelParcel:
    """The parcel as the claim left it: with one attempt more."""
    return replace(parcel, delivery=replace(parcel.delivery, attempts=parcel.delivery.attempts + 1))


def _paused_until(hook: Webhook, outcome: Outcome, now: datetime) -> datetime:
    pause_s = max(domain.pause_s(hook.failures + 1), min(outcome.retry_after_s or 0.0, domain.PAUSE_S_MAX))
    return now + timedelta(seconds=pause_s)


def _measure(lane: str, state: str, outcome: Outcome) -> None:
    metrics.ATTEMPTS.labels(lane, state).inc()
    metrics.ATTEMPT_DURATION.labels(lane).observe(outcome.duration_ms / 1000)
