"""Who is notified of what, and when a failed attempt is made again. Pure: no library, `now` is passed in."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

Language = Literal["zh", "en"]
TopicGroup = Literal["case", "points", "rewards", "emergency"]
ChannelKind = Literal["mail", "wecom", "dingtalk", "feishu"]
DeliveryState = Literal["pending", "failed", "sent", "dead"]
Lane = Literal["webhook", "channel"]
LANES: tuple[Lane, ...] = ("webhook", "channel")
LANGUAGES: tuple[Language, ...] = ("zh", "en")

# Every template and the parameters its text may use. Ids may stand in any message's params: screens link with them.
TEMPLATES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "report_accepted": frozenset({"grid_code", "amount", "pending"}),
        "report_held": frozenset({"amount", "pending"}),
        "report_posted": frozenset({"amount", "available", "why"}),
        "report_voided": frozenset({"amount", "reason", "pending"}),
        "report_no_points": frozenset({"reason", "why"}),
        "report_repeated": frozenset(),
        "deed_posted": frozenset({"amount", "available", "why"}),
        "deed_voided": frozenset({"amount", "reason", "pending"}),
        "deed_no_points": frozenset({"reason", "why"}),
        "points_waiting": frozenset({"amount", "pending", "why"}),
        "points_reversed": frozenset({"amount", "reason", "available"}),
        "points_expired": frozenset({"amount", "available"}),
        "points_expiring": frozenset({"amount", "expires_on", "days_left", "available"}),
        "points_given": frozenset({"amount", "reason", "available"}),
        "points_taken": frozenset({"amount", "reason", "available"}),
        "case_claimed": frozenset({"kind", "grid_code", "by", "role"}),
        "case_info_requested": frozenset({"kind", "note", "by"}),
        "case_handled": frozenset({"kind", "by", "note"}),
        "case_verified": frozenset({"kind"}),
        "case_closed": frozenset({"kind"}),
        "case_invalid": frozenset({"kind", "note"}),
        "case_reopened": frozenset({"kind"}),
        "voucher_issued": frozenset({"offer", "price", "expires_at"}),
        "voucher_used": frozenset({"offer", "price"}),
        "voucher_expired": frozenset({"offer", "price"}),
        "redemption_refused": frozenset({"offer", "reason"}),
        "badge_awarded": frozenset({"badge_zh", "badge_en"}),
        "activity_wished": frozenset({"title_zh", "title_en", "number", "draw_at"}),
        "activity_waiting": frozenset({"title_zh", "title_en", "starts_at"}),
        "activity_confirmed": frozenset({"title_zh", "title_en", "starts_at", "address"}),
        "activity_moved_up": frozenset({"title_zh", "title_en", "starts_at", "address"}),
        "activity_not_drawn": frozenset({"title_zh", "title_en", "turn"}),
        "activity_changed": frozenset({"title_zh", "title_en", "starts_at", "address"}),
        "activity_called_off": frozenset({"title_zh", "title_en", "starts_at", "why_off"}),
        "activity_reminded": frozenset({"title_zh", "title_en", "starts_at", "address"}),
        "emergency_opened": frozenset({"kind", "grid_code", "due_at"}),
        "task_promoted": frozenset({"title", "starts_at"}),
        "task_unserved": frozenset({"title", "starts_at"}),
        "task_called_off": frozenset({"title", "starts_at", "note"}),
        "task_paused": frozenset({"title", "starts_at"}),
        "task_approved": frozenset({"title", "note"}),
        "task_rejected": frozenset({"title", "note"}),
        "task_overturned": frozenset({"title", "note"}),
        "task_appeal_granted": frozenset({"title", "note"}),
        "task_appeal_refused": frozenset({"title", "note"}),
        "address_code": frozenset({"code", "minutes"}),
    }
)
CODE_TEMPLATE = "address_code"
"""What an address gets before it is verified, and nothing else. The code itself is in no table."""
IDS = frozenset({"report_id", "case_id", "redemption_id", "deed_id", "activity_id", "task_id", "claim_id"})

# Which step notifies the reporters. "opened" and "attached" are missing on purpose: points answer each of them with a
# hold or a refusal, and that one message says both where the report is and what it earns.
CASE_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "claimed": "case_claimed",
        "info_requested": "case_info_requested",
        "handled": "case_handled",
        "verified": "case_verified",
        "closed": "case_closed",
        "invalidated": "case_invalid",
        "reopened": "case_reopened",
    }
)
WAITS = "budget_waits"
"""The reason of points that are held and can't be posted before a budget has room."""
# A deed is held and posted at once: one message says so, unless it waits.
# Movements of a redemption are announced by the redemption's own events; a reversal by nothing else.
MOVEMENTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("report", "held"): "report_held",
        ("report", "posted"): "report_posted",
        ("report", "voided"): "report_voided",
        ("report", "refused"): "report_no_points",
        ("report", "reversed"): "points_reversed",
        ("deed", "posted"): "deed_posted",
        ("deed", "voided"): "deed_voided",
        ("deed", "refused"): "deed_no_points",
        ("deed", "reversed"): "points_reversed",
        ("redemption", "reversed"): "points_reversed",
        ("expiry", "expired"): "points_expired",
        ("adjustment", "adjusted"): "points_given",
    }
)
REDEMPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "issued": "voucher_issued",
        "used": "voucher_used",
        "expired": "voucher_expired",
        "refused": "redemption_refused",
    }
)
# What riders do themselves, cancelling, needs no message.
SIGNUPS: Mapping[str, str] = MappingProxyType(
    {
        "wished": "activity_wished",
        "waiting": "activity_waiting",
        "confirmed": "activity_confirmed",
        "drawn": "activity_confirmed",
        "not_drawn": "activity_not_drawn",
        "moved_up": "activity_moved_up",
        "changed": "activity_changed",
        "called_off": "activity_called_off",
        "reminded": "activity_reminded",
    }
)

NOTE_LENGTH_MAX = 500

# A day's codes of one rider: 6 of them, 5 tries each, among 10^8.
CODE_DIGITS = 8
CODE_VALID = timedelta(minutes=15)
CODE_TRIES_MAX = 5
CODE_ATTEMPTS_MAX = 3
CODES_MAX = 6
CODES_WINDOW = timedelta(days=1)
CODE_PAUSE = timedelta(seconds=60)
VERIFIED_KINDS: frozenset[ChannelKind] = frozenset({"wecom", "dingtalk", "feishu"})
"""A group bot's address is its secret: who has it may write to the group anyway. A mail address is known to many."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a rider's inbox; `message_id` is the id of the event that it is about."""

    rider_id: UUID
    message_id: UUID
    topic: TopicGroup
    template: str
    params: Mapping[str, Any]
    created_at: datetime
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to a person outside the app. `sealed`: the address; `hint`: as much of it as may be shown.

    `verified`: whoever has entered the address has shown that it is theirs to name. Until then it gets a code at most.
    """

    channel_id: UUID
    kind: ChannelKind
    sealed: str = field(repr=False)
    hint: str
    topics: tuple[TopicGroup, ...]
    language: Language | None = None
    area: str | None = None
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a rider has chosen. `version` 0: nothing yet. Quiet hours are city time and may cross midnight."""

    language: Language | None
    quiet: tuple[time, time] | None
    channels: tuple[Channel, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a company is notified, and how it has been going."""

    company: str
    webhook_id: UUID
    url: str
    sealed: str = field(repr=False)
    sealed_previous: str | None = field(repr=False)
    previous_until: datetime | None
    active: bool
    failures: int
    paused_until: datetime
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that leaves the app."""

    delivery_id: UUID
    event_id: UUID
    lane: Lane
    target_id: UUID
    template: str
    params: Mapping[str, Any]
    state: DeliveryState
    attempts: int
    attempts_allowed: int
    next_attempt_at: datetime
    created_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelParcel:
    """A delivery to a channel with what is needed to send it."""

    delivery: Delivery
    channel: Channel
    language: Language
    quiet: tuple[time, time] | None
    has_slot: bool


@dataclass(frozen=True, slots=True)
class WebhookParcel:
    """A delivery to a webhook, and the webhook as it was at the claim; `at`: when that was, by the database's clock."""

    delivery: Delivery
    webhook: Webhook
    at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim does with a due delivery: send it now (`attempt` 1), or look again at `at` (`attempt` 0)."""

    delivery_id: UUID
    attempt: int
    at: datetime
    has_slot: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of a delivery's record."""

    attempt: int
    at: datetime
    outcome: Literal["sent", "retry", "refused"]
    status: int | None
    duration_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt met. `permanent`: trying again is no use; `gone`: the receiver wants no more at all.

    `put_off`: none was made, for a reason of our own; it counts as none.
    """

    ok: bool
    detail: str
    status: int | None = None
    permanent: bool = False
    gone: bool = False
    put_off: bool = False
    retry_after_s: float | None = None
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a delivery after an attempt."""

    state: DeliveryState
    next_attempt_at: datetime
    reason: str | None


# Seven waits between eight attempts: 20 s, 80 s, 5 min, 21 min, 85 min, 5.7 h, 12 h; together about 20 hours.
FIRST_WAIT_S = 20.0
WAIT_FACTOR = 4.0
WAIT_S_MAX = 12 * 3600.0
JITTER = 0.2
PAUSE_S_MAX = 900.0
PROBE_EVERY_S = 5.0
"""How soon a failing webhook is tried when its company asks for it, by a test or another URL, and not more often."""
PUT_OFF_S = 5.0
"""When a delivery that was put off is looked at again."""


def wait_s(attempt: int, draw: float) -> float:
    """Seconds from the failed attempt (1, 2, …) to the next. `draw` in [0, 1) spreads it by ±20 %."""
    return float(min(WAIT_S_MAX, FIRST_WAIT_S * WAIT_FACTOR ** (attempt - 1)) * (1 - JITTER + 2 * JITTER * draw))


def pause_s(failures: int) -> float:
    """How long a failing webhook is left alone after its n-th failure in a row: 5 s doubling up to 15 minutes."""
    return float(min(PAUSE_S_MAX, 5.0 * 2 ** min(failures - 1, 20)))


def settle(delivery: Delivery, outcome: Outcome, now: datetime, draw: float | None = None) -> Settlement:
    """Decide after an attempt; `delivery.attempts` counts it already."""
    if outcome.ok:
        return Settlement("sent", now, None)
    if outcome.permanent or outcome.gone:
        return Settlement("dead", now, outcome.detail)
    if delivery.attempts >= delivery.attempts_allowed:
        return Settlement("dead", now, f"{delivery.attempts} attempts failed, the last one: {outcome.detail}")
    chance = random.random() if draw is None else draw  # noqa: S311  # spreads load, guards nothing
    delay = max(wait_s(delivery.attempts, chance), min(outcome.retry_after_s or 0.0, WAIT_S_MAX))
    return Settlement("failed", now + timedelta(seconds=delay), outcome.detail)


def quiet_until(now: datetime, quiet: tuple[time, time] | None, zone: tzinfo) -> datetime | None:
    """The end of the quiet hours that `now` is in, or None. Hours may cross midnight; equal ends mean the whole day.

    Args:
        zone: of the city, whose hours they are.
    """
    if quiet is None:
        return None
    start, end = quiet
    local = now.astimezone(zone)
    for days in (-1, 0):
        day = (local + timedelta(days=days)).date()
        begins = datetime.combine(day, start, zone)
        ends = datetime.combine(day if end > start else day + timedelta(days=1), end, zone)
        if begins <= local < ends:
            return ends
    return None


def choose_language(preferred: str | None, locale: str | None) -> Language:
    """The rider's own choice, else the company's word, else Chinese."""
    chosen = preferred or locale
    return "en" if chosen == "en" else "zh"


def mailbox(address: str) -> str:
    """The box that a mail address leads to, as most servers see it: without case and without what follows a plus."""
    local, _, host = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{host}"


def mask(kind: ChannelKind, address: str) -> str:
    """As much of an address as its owner needs to recognise it."""
    if kind == "mail":
        local, _, host = address.partition("@")
        return f"{local[:1]}***@{host}"
    return f"{kind}://***{address[-4:]}"
