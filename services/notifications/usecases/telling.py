"""From what happened to who is told. Each function takes a whole batch and costs a constant number of statements."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.notifications import metrics
from services.notifications.domain import (
    CASE_STEPS,
    IDS,
    MOVEMENTS,
    REDEMPTIONS,
    TEMPLATES,
    Company,
    Message,
    Rider,
    TopicGroup,
    clean_note,
)
from services.notifications.settings import Settings
from services.notifications.store import deliveries, messages, people, webhooks
from shared.events.account_changed import AccountChanged
from shared.events.case_changed import CaseChanged
from shared.events.company_changed import CompanyChanged
from shared.events.redemption_changed import RedemptionChanged
from shared.events.rider_changed import RiderChanged
from shared.kit.ids import made_at
from shared.kit.work import Event, Work

WEBHOOK_TEMPLATE = "report_status"


async def tell_movements(settings: Settings, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Points: held with the case opened, posted, voided, reversed, or none and why. One statement."""
    told = [_movement(event) for event in events if (event.data.source, event.data.movement) in MOVEMENTS]
    await _tell(settings, work, told)
    for event in events:
        # the report's id says when intake accepted it
        if event.data.source == "report" and event.data.movement == "held" and (at := made_at(event.data.source_id)):
            metrics.TIME_TO_NOTIFIED.observe((work.now - at).total_seconds())


async def tell_cases(settings: Settings, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Cases: each reporter once a step, companies' webhooks every step, operators' channels each emergency."""
    await _tell(settings, work, [line for event in events for line in _case_lines(event)])
    emergencies = [_emergency(event) for event in events if _is_new_emergency(event.data)]
    await deliveries.queue_emergencies(
        work.conn, emergencies, attempts_allowed=settings.delivery_attempts_max, now=work.now
    )
    hooks = await webhooks.tellable(work.conn)
    if hooks:
        rows = [row for event in events for row in _webhook_rows(event, hooks)]
        await deliveries.queue_webhooks(work.conn, rows, attempts_allowed=settings.delivery_attempts_max, now=work.now)


async def tell_redemptions(settings: Settings, work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Vouchers: issued, used, expired, refused. One statement."""
    told = []
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
        told.append(_message(event, data.rider_id, "rewards", template, params))
    await _tell(settings, work, told)


async def take_riders(work: Work, events: Sequence[Event[RiderChanged]]) -> None:
    """Know riders' language; forget addresses of those who left, and everything of those who were erased."""
    riders = [
        Rider(d.rider_id, d.company, d.locale, d.active, d.consent, event.version)
        for event, d in ((event, event.data) for event in events)
    ]
    left = await people.upsert_riders(work.conn, riders)
    if left:
        await people.forget_addresses(work.conn, left)
        newest = {rider.rider_id: rider for rider in sorted(riders, key=lambda rider: rider.version)}
        erased = [one for one in left if not newest[one].consent]
        if erased:
            await people.erase(work.conn, erased)


async def take_companies(work: Work, events: Sequence[Event[CompanyChanged]]) -> None:
    """Know companies and their keys. Rare, so one by one."""
    for event in sorted(events, key=lambda event: event.data.company_id):
        data = event.data
        keys = tuple((key.key_id, key.sealed) for key in data.keys if key.active)
        await people.upsert_company(work.conn, Company(data.company_id, data.code, data.active, event.version, keys))


async def _tell(settings: Settings, work: Work, told: list[Message]) -> None:
    await messages.tell(work.conn, told, attempts_allowed=settings.delivery_attempts_max, now=work.now)
    for template, number in Counter(message.template for message in told).items():
        metrics.MESSAGES.labels(template).inc(number)


def _message(event: Event[Any], rider_id: UUID, topic: TopicGroup, template: str, values: Mapping[str, Any]) -> Message:
    """The message with those of the values that its template uses, and ids for links."""
    wanted = TEMPLATES[template]
    params = {name: value for name, value in values.items() if name in wanted or name in IDS}
    return Message(rider_id, event.id, topic, template, params, event.occurred_at)


def _movement(event: Event[AccountChanged]) -> Message:
    data = event.data
    template = MOVEMENTS[(data.source, data.movement)]
    params: dict[str, Any] = {"amount": abs(data.amount), "case_id": data.case_id}
    params["report_id" if data.source == "report" else "redemption_id"] = data.source_id
    if template == "report_held":
        params["pending"] = data.pending
        if data.grid_code is not None:
            template = "report_accepted"
            params["grid_code"] = data.grid_code
    else:
        reason = clean_note(data.reason) if data.reason else None  # a code, or an operator's own words
        params.update(pending=data.pending, available=data.available, reason=reason)
        return _message(event, data.rider_id, "points", template, params)
    return Message(data.rider_id, event.id, "points", template, params, event.occurred_at)


def _case_lines(event: Event[CaseChanged]) -> list[Message]:
    data = event.data
    template = CASE_STEPS.get(data.transition)
    if template is None:
        return []
    values = {
        "kind": data.kind,
        "grid_code": data.grid_code,
        "by": data.actor.name if data.actor else "",
        "role": data.actor.role if data.actor else "system",
        "note": clean_note(data.note),
        "case_id": data.case_id,
    }
    mine: dict[UUID, UUID] = {}
    for report in data.reports:
        mine.setdefault(report.rider_id, report.report_id)
    return [
        _message(event, rider_id, "case", template, {**values, "report_id": report_id})
        for rider_id, report_id in mine.items()
    ]


def _is_new_emergency(data: CaseChanged) -> bool:
    return data.level == "emergency" and data.transition == "opened"


def _emergency(event: Event[CaseChanged]) -> tuple[UUID, str, str, Mapping[str, Any]]:
    data = event.data
    params = {"kind": data.kind, "grid_code": data.grid_code, "due_at": data.due_at, "case_id": data.case_id}
    return event.id, data.grid_code, "emergency_opened", params


def _webhook_rows(
    event: Event[CaseChanged], hooks: Mapping[str, UUID]
) -> list[tuple[UUID, UUID, str, Mapping[str, Any]]]:
    """One delivery a company with its own reports; of a step that added one report, only that report."""
    data = event.data
    ours: dict[str, list[UUID]] = {}
    for report in data.reports:
        if report.company in hooks and (data.attached_report is None or report.report_id == data.attached_report):
            ours.setdefault(report.company, []).append(report.report_id)
    return [
        (
            event.id,
            hooks[company],
            WEBHOOK_TEMPLATE,
            {
                "type": "report.status_changed",
                "timestamp": data.changed_at,
                "data": {
                    "case_id": data.case_id,
                    "sequence": event.version,
                    "transition": data.transition,
                    "state": data.state,
                    "kind": data.kind,
                    "grid_code": data.grid_code,
                    "department": data.department,
                    "due_at": data.due_at,
                    "changed_at": data.changed_at,
                    "report_ids": report_ids,
                },
            },
        )
        for company, report_ids in ours.items()
    ]
