"""Steps of cases: who is notified of them. Everybody at once where they are few, a crowd some at a time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.notifications import metrics
from services.notifications.domain import CASE_STEPS, Message
from services.notifications.settings import Settings
from services.notifications.store import deliveries, reporters, webhooks
from services.notifications.store.reporters import Crowd, Reporter
from services.notifications.usecases.notifying import notes, notify, parameters
from services.notifications.usecases.payloads import REPORT_IDS_MAX, ReportStatus, ReportStatusChanged
from shared.events.case_changed import CaseChanged
from shared.kit.areas import NO_MAP, AreaTree
from shared.kit.areas.following import KnownAreas
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection

WEBHOOK_TEMPLATE = "report_status"
NOTIFIED_AT_ONCE_MAX = 20
"""Reporters of one case who are notified with the event; more are left to `notify_crowd`."""
NOTIFIED_PER_TRANSACTION = 1_000


async def notify_of_cases(
    settings: Settings, work: Work, events: Sequence[Event[CaseChanged]], *, known: KnownAreas | None = None
) -> None:
    """Cases: each reporter once a step, companies' webhooks every step, operators' channels each emergency.

    Reporters are kept from the steps that bring their reports. A report of a rider who reported the thing before brings
    no new reporter: points refuse it, and that is what the rider reads.
    """
    await reporters.add(work.conn, [one for event in events if (one := _reporter(event.data)) is not None], work.now)
    steps = [(event, template) for event in events if (template := _template(event)) is not None]
    hooks = await webhooks.active_by_company(work.conn)
    reached = await _known(work, [event for event in events if hooks or _template(event)])
    said = await notes(event.data.note for event, _ in steps)
    crowds = [(event, _crowd(event, template, note)) for (event, template), note in zip(steps, said, strict=True)]
    lines = [
        line
        for event, crowd in crowds
        if not _is_crowded(event)
        for line in _lines(crowd, _until(event, reached[event.data.case_id]))
    ]
    await notify(settings, work, lines)
    await reporters.queue(work.conn, [crowd for event, crowd in crowds if _is_crowded(event)], work.now)
    tree = NO_MAP if known is None else known.tree
    emergencies = [_emergency(event, tree) for event in events if _is_new_emergency(event.data)]
    await deliveries.queue_emergencies(
        work.conn, emergencies, attempts_allowed=settings.delivery_attempts_max, now=work.now
    )
    if hooks:
        crowded = {event.data.case_id for event in events if _is_crowded(event)}
        for one in await reporters.of_companies(work.conn, crowded, hooks, REPORT_IDS_MAX):
            reached[one.case_id].append(one)
        rows = [row for event in events for row in _webhook_rows(event, hooks, reached[event.data.case_id])]
        await deliveries.queue_webhooks(work.conn, rows, attempts_allowed=settings.delivery_attempts_max, now=work.now)


async def notify_crowd(settings: Settings, work: Work) -> bool:
    """Notify the next reporters of a crowded case of its step. False: nobody waits who isn't in other hands."""
    crowd = await reporters.next_crowd(work.conn)
    if crowd is None:
        return False
    page = await reporters.page(work.conn, crowd, NOTIFIED_PER_TRANSACTION)
    await notify(settings, work, _lines(crowd, page))
    if len(page) < NOTIFIED_PER_TRANSACTION:
        await reporters.all_notified(work.conn, crowd)
    else:
        await reporters.go_on(work.conn, crowd, page[-1])
    return True


async def measure_crowds(conn: Connection) -> None:
    """Show for how long the oldest step of a crowded case has waited."""
    metrics.CROWD_AGE.set(await reporters.oldest_age_s(conn))


def _reporter(case: CaseChanged) -> Reporter | None:
    report = case.report
    if report is None or case.transition == "repeated":
        return None
    return Reporter(case.case_id, report.company, report.ordinal, report.rider_id, report.report_id)


def _is_crowded(event: Event[CaseChanged]) -> bool:
    return event.data.report_count > NOTIFIED_AT_ONCE_MAX


async def _known(work: Work, events: Sequence[Event[CaseChanged]]) -> dict[UUID, list[Reporter]]:
    """The reporters of those steps that are announced at once, of which at least one needs them."""
    known: dict[UUID, list[Reporter]] = defaultdict(list)
    few = {event.data.case_id for event in events if not _is_crowded(event)}
    for one in await reporters.of_cases(work.conn, few, NOTIFIED_AT_ONCE_MAX):
        known[one.case_id].append(one)
    return known


def _template(event: Event[CaseChanged]) -> str | None:
    return CASE_STEPS.get(event.data.transition)


def _until(event: Event[CaseChanged], known: Sequence[Reporter]) -> list[Reporter]:
    """Who had reported when the step was taken."""
    return [one for one in known if one.ordinal <= event.data.report_count]


def _crowd(event: Event[CaseChanged], template: str, note: str) -> Crowd:
    data = event.data
    values = {
        "kind": data.kind,
        "grid_code": data.grid_code,
        "by": data.actor.name if data.actor else "",
        "role": data.actor.role if data.actor else "system",
        "note": note,
        "case_id": data.case_id,
    }
    return Crowd(event.id, data.case_id, data.report_count, template, parameters(template, values), event.occurred_at)


def _lines(crowd: Crowd, known: Sequence[Reporter]) -> list[Message]:
    return [
        Message(
            one.rider_id,
            crowd.event_id,
            "case",
            crowd.template,
            {**crowd.params, "report_id": one.report_id},
            crowd.created_at,
        )
        for one in known
    ]


def _is_new_emergency(data: CaseChanged) -> bool:
    return data.level == "emergency" and data.transition == "opened"


def _emergency(event: Event[CaseChanged], tree: AreaTree) -> deliveries.ToAreas:
    data = event.data
    params = {"kind": data.kind, "grid_code": data.grid_code, "due_at": data.due_at, "case_id": data.case_id}
    # an ambiguous place may be in another office's grid: there it is as urgent
    areas = dict.fromkeys(code for grid in (data.grid_code, *data.alternatives) for code in tree.line(grid))
    return deliveries.ToAreas(event.id, " ".join(areas), "emergency_opened", params)


def _webhook_rows(
    event: Event[CaseChanged], hooks: Mapping[str, UUID], known: Sequence[Reporter]
) -> list[deliveries.ToWebhook]:
    """One delivery a company with its own reports; of a step that brought a report, only that report."""
    data = event.data
    ours: dict[str, list[UUID]] = defaultdict(list)
    if data.report is not None:
        ours[data.report.company].append(data.report.report_id)
    else:
        for one in _until(event, known):
            if one.report_id not in ours[one.company]:
                ours[one.company].append(one.report_id)
    return [
        deliveries.ToWebhook(
            event.id, hooks[company], WEBHOOK_TEMPLATE, _webhook_body(event, report_ids[:REPORT_IDS_MAX])
        )
        for company, report_ids in ours.items()
        if company in hooks
    ]


def _webhook_body(event: Event[CaseChanged], report_ids: Sequence[UUID]) -> Mapping[str, Any]:
    data = event.data
    status = ReportStatus(
        case_id=data.case_id,
        sequence=event.version,
        transition=data.transition,
        state=data.state,
        kind=data.kind,
        grid_code=data.grid_code,
        department=data.department,
        due_at=data.due_at,
        changed_at=data.changed_at,
        report_ids=tuple(report_ids),
    )
    return ReportStatusChanged(timestamp=data.changed_at, data=status).model_dump()
