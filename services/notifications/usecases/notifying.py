"""From what happened to who is notified. Each function takes a whole batch in a constant number of statements."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.notifications import metrics
from services.notifications.domain import (
    IDS,
    MOVEMENTS,
    NOTE_LENGTH_MAX,
    REDEMPTIONS,
    SIGNUPS,
    TEMPLATES,
    WAITS,
    Message,
    TopicGroup,
)
from services.notifications.settings import Settings
from services.notifications.store import messages
from shared.events.account_changed import AccountChanged
from shared.events.badge_awarded import BadgeAwarded
from shared.events.points_expiring import PointsExpiring
from shared.events.redemption_changed import RedemptionChanged
from shared.events.signup_changed import SignupChanged
from shared.events.task_claim_changed import TaskClaimChanged
from shared.kit.ids import made_at
from shared.kit.messaging.work import Event, Work
from shared.kit.privacy.masking import masked_each


async def notify_of_movements(settings: Settings, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Points: held with the case opened, posted, voided, reversed, expired, by hand, or none and why. One statement."""
    moved = [event for event in events if _is_news(event.data)]
    reasons = await notes(event.data.reason or "" for event in moved)  # codes, or an operator's own words
    lines = [_movement(event, reason or None) for event, reason in zip(moved, reasons, strict=True)]
    await notify(settings, work, lines)
    for event in events:
        # the report's id says when intake accepted it
        if event.data.source == "report" and event.data.movement == "held" and (at := made_at(event.data.source_id)):
            metrics.TIME_TO_NOTIFIED.observe((work.now - at).total_seconds())


async def notify_of_expiring(settings: Settings, work: Work, events: Sequence[Event[PointsExpiring]]) -> None:
    """Points that will expire soon. One statement."""
    lines = []
    for event in events:
        data = event.data
        params = {
            "amount": data.amount,
            "expires_on": data.expires_on.isoformat(),
            "days_left": data.days_left,
            "available": data.available,
        }
        lines.append(_message(event, data.rider_id, "points", "points_expiring", params))
    await notify(settings, work, lines)


async def notify_of_redemptions(settings: Settings, work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Vouchers: issued, used, expired, refused. One statement."""
    lines = []
    for event in events:
        data = event.data
        if (template := REDEMPTIONS.get(data.state)) is None:
            continue
        params = {
            "offer": data.offer_name,
            "price": data.price,
            "reason": data.reason,
            "expires_at": data.expires_at,
            "redemption_id": data.redemption_id,
        }
        lines.append(_message(event, data.rider_id, "rewards", template, params))
    await notify(settings, work, lines)


async def notify_of_badges(settings: Settings, work: Work, events: Sequence[Event[BadgeAwarded]]) -> None:
    """Badges that riders were awarded. One statement."""
    lines = []
    for event in events:
        params = {"badge_zh": event.data.zh, "badge_en": event.data.en}
        lines.append(_message(event, event.data.rider_id, "points", "badge_awarded", params))
    await notify(settings, work, lines)


async def notify_of_signups(settings: Settings, work: Work, events: Sequence[Event[SignupChanged]]) -> None:
    """Activities: a place, the waiting list, the draw, another time, called off, a reminder. One statement."""
    lines = []
    for event in events:
        data = event.data
        if (template := SIGNUPS.get(data.what)) is None:
            continue
        params = {
            "title_zh": data.title_zh,
            "title_en": data.title_en,
            "number": data.number,
            "turn": data.turn,
            "starts_at": data.starts_at,
            "draw_at": data.signup_until,
            "address": data.address,
            "why_off": data.reason,
            "activity_id": data.activity_id,
        }
        lines.append(_message(event, data.rider_id, "rewards", template, params))
    await notify(settings, work, lines)


async def notify_of_tasks(settings: Settings, work: Work, events: Sequence[Event[TaskClaimChanged]]) -> None:
    """What happened to riders' parts in tasks. One statement."""
    reasons = await notes(event.data.reason for event in events)
    lines = []
    for event, reason in zip(events, reasons, strict=True):
        data = event.data
        params = {
            "title": data.title,
            "starts_at": data.starts_at,
            "note": reason,
            "task_id": data.task_id,
            "claim_id": data.claim_id,
        }
        lines.append(_message(event, data.rider_id, "points", f"task_{data.news}", params))
    await notify(settings, work, lines)


async def notify(settings: Settings, work: Work, lines: list[Message]) -> None:
    """Put messages into inboxes, and queue what is to leave."""
    await messages.deliver(work.conn, lines, attempts_allowed=settings.delivery_attempts_max, now=work.now)
    for template, number in Counter(message.template for message in lines).items():
        metrics.MESSAGES.labels(template).inc(number)


def parameters(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a template uses, and ids for links."""
    wanted = TEMPLATES[template]
    return {name: value for name, value in values.items() if name in wanted or name in IDS}


def _message(event: Event[Any], rider_id: UUID, topic: TopicGroup, template: str, values: Mapping[str, Any]) -> Message:
    return Message(rider_id, event.id, topic, template, parameters(template, values), event.occurred_at)


async def notes(words: Iterable[str]) -> list[str]:
    """People's words as they may be stored and sent on."""
    return [one[:NOTE_LENGTH_MAX] for one in await masked_each(words)]


def _is_news(data: AccountChanged) -> bool:
    return (data.source, data.movement) in MOVEMENTS or (data.movement == "held" and data.reason == WAITS)


def _movement(event: Event[AccountChanged], reason: str | None) -> Message:
    data = event.data
    params: dict[str, Any] = {"amount": abs(data.amount), "case_id": data.case_id}
    if data.source in ("report", "deed", "redemption"):
        params[f"{data.source}_id"] = data.source_id
    waits = data.movement == "held" and data.reason == WAITS
    template = "points_waiting" if waits else MOVEMENTS[(data.source, data.movement)]
    if template == "points_given" and data.amount < 0:
        template = "points_taken"
    if "why" in TEMPLATES[template]:
        params["why"] = {"zh": data.why_zh, "en": data.why_en} if data.why_zh else None
    if template == "report_no_points" and data.reason == "already_reported":
        template = "report_repeated"
    if template == "report_held":
        params["pending"] = data.pending
        if data.grid_code is not None:
            template = "report_accepted"
            params["grid_code"] = data.grid_code
    else:
        params.update(pending=data.pending, available=data.available, reason=reason)
        return _message(event, data.rider_id, "points", template, params)
    return Message(data.rider_id, event.id, "points", template, params, event.occurred_at)
