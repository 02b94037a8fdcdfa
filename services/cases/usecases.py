"""What the cases service does: open or attach reports, take steps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

from rapidfuzz import fuzz

from services.cases import domain, metrics, problems, store
from services.cases.domain import Candidate, Case, Order, Person, Report, Sighting, Taken
from services.cases.duplicates import DuplicateRule, best_match
from services.cases.settings import Settings
from services.cases.store import NewReport, areas
from shared.catalog import Catalogue
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.common import Actor, Level
from shared.events.report_routed import ReportRouted
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work, database_now
from shared.kit.postgres.db import Connection, TooMuch
from shared.kit.problems import not_found
from shared.kit.refusals import Refusal

STEPS_PER_REQUEST_MAX = 500
CARRIED_AT_ONCE = 200
PLACES_LOCKED_MAX = 1_000
COMPARED_CHARACTERS = 64
"""Advisory locks of one transaction; a report needs 1 to 4. Postgres has 64 a connection by default, shared by all."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a city decides."""

    catalogue: Catalogue
    duplicates: DuplicateRule
    default_limit: timedelta
    reopen_within: timedelta

    @staticmethod
    def of(settings: Settings) -> "Rules":
        """The rules of the settings."""
        duplicates = DuplicateRule(
            settings.duplicate_radius_m_max,
            settings.duplicate_hours_max,
            settings.duplicate_confidence_min,
            likeness,
        )
        limit = timedelta(hours=settings.default_limit_hours)
        catalogue = Catalogue.load(settings.catalogue_path, settings.city_zone)
        return Rules(catalogue, duplicates, limit, settings.reopen_within)

    def limit(self, kind: str, at: datetime) -> timedelta:
        """The kind's time limit for a case opened at that instant.

        All clocks run as calendar hours for now, night and holidays included: a limit of 8 working hours ends 8 hours
        later. Emergencies and calendar days are exact, the working clocks are stricter than the catalogue means them.
        """
        found = self.catalogue.kind(kind, at)
        return timedelta(hours=found.limit_hours) if found is not None else self.default_limit


@dataclass(frozen=True, slots=True)
class Wish:
    """A step ordered for one case."""

    case_id: UUID
    order: Order


def likeness(one: str, other: str) -> float:
    """Likeness of two texts by how they begin, 0 to 1; a text that stands within the other is the same.

    The cost grows with the cube of the length: two texts of 2,000 characters would take seconds of the event loop.
    """
    return fuzz.partial_ratio(one[:COMPARED_CHARACTERS], other[:COMPARED_CHARACTERS]) / 100


async def take_routed_reports(rules: Rules, work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Each routed report opens a case, or is attached to a live case of the same thing, also one of this very batch.

    Unroutable reports wait at routing, which publishes them again. Reports around one place are taken by one
    transaction at a time, whichever process got them: the look for a case and the opening are one step.
    """
    routed = await _new_ones(work, events)
    if not routed:
        return
    radius_m = rules.duplicates.radius_m_max
    sightings = [_sighting(event.data, radius_m) for event in routed]
    places = {(sighting.kind, cell) for sighting in sightings for cell in sighting.reach.cells}
    if len(places) > PLACES_LOCKED_MAX:
        raise TooMuch(f"{len(places)} places, {PLACES_LOCKED_MAX} at a time")
    await store.lock_places(work.conn, sorted(domain.place_lock(*place) for place in places))
    stored = await store.candidates(work.conn, sightings, rules.duplicates.hours_max)
    opened: dict[tuple[str, int], list[Candidate]] = {}
    touched: dict[UUID, Candidate] = {}
    steps: list[tuple[Event[ReportRouted], Taken]] = []
    for number, (event, sighting) in enumerate(zip(routed, sightings, strict=True)):
        known = list(stored.get(number, ()))
        for cell in sighting.reach.cells:
            known.extend(opened.get((sighting.kind, cell), ()))
        match = best_match(sighting, known, rules.duplicates) if known else None
        if match is None:
            match, taken = _open(event.data, sighting, rules, work.now)
            opened.setdefault((sighting.kind, domain.cell_of(sighting.lng, sighting.lat)), []).append(match)
        else:
            taken = domain.attach(match, sighting, work.now)
        touched[match.case.case_id] = match
        steps.append((event, taken))
    await _save(work, list(touched.values()), steps)
    for event, taken in steps:
        work.publish(CASE_CHANGED, _body(taken), version=taken.case.version, cause=event)
    _count([taken for _, taken in steps])


async def measure_deadlines(conn: Connection) -> None:
    """Show every level and state, so that none and unknown differ."""
    counts = await store.deadlines(conn, await database_now(conn))
    for level in get_args(Level):
        for state in ("soon", "overdue"):
            metrics.DEADLINES.labels(level, state).set(counts.get((level, state), 0))


async def take_steps(
    work: Work, rules: Rules, person: Person, wishes: Sequence[Wish], traceparent: str | None = None
) -> list[Taken | Refusal]:
    """Take steps, one result per wish in the same order; several for one case are taken one after the other.

    A refused step leaves the others as they are. Constant number of statements.
    """
    current = await store.lock_cases(work.conn, sorted({wish.case_id for wish in wishes}))
    person = await known_reporter(work.conn, person, list(current))
    before = {case_id: case.version for case_id, case in current.items()}
    results: list[Taken | Refusal] = []
    for wish in wishes:
        result = _take(current.get(wish.case_id), wish.order, person, work.now, rules)
        if isinstance(result, Taken):
            current[wish.case_id] = result.case
        results.append(result)
    taken = [result for result in results if isinstance(result, Taken)]
    changed = [(before[case.case_id], case) for case in current.values() if case.version != before[case.case_id]]
    await store.update_cases(work.conn, changed)
    await store.insert_steps(work.conn, taken)
    for step in taken:
        work.publish(CASE_CHANGED, _body(step), version=step.case.version, traceparent=traceparent)
    _count(taken)
    return results


async def known_reporter(conn: Connection, person: Person, case_ids: Sequence[UUID]) -> Person:
    """The person, with which of these cases they reported: an indexed look-up a case, however crowded it is."""
    if "rider" not in person.roles or not case_ids:
        return person
    return replace(person, reported=await store.reported_by(conn, person.id, case_ids))


async def count_by_area(conn: Connection, codes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Cases in these grids. Live ones are carried over; ended ones stay there, and are their successors', too."""
    return {
        "live cases": await areas.live_at(conn, codes),
        f"ended cases (counted to {areas.COUNTED_MAX})": await areas.ended_at(conn, codes),
    }


async def carry_over(work: Work) -> int:
    """Live cases of grids that a new map lacks go to the grids that took over; how many. The history says so."""
    found = await areas.succeeded(work.conn, CARRIED_AT_ONCE)
    if not found:
        return 0
    successors = await areas.successors(work.conn)
    live = [
        case for case in found.values() if case.state in domain.LIVE and not successors.keys().isdisjoint(case.grids)
    ]
    taken = [domain.carry_over(case, successors, work.now) for case in live]
    await store.update_cases(work.conn, [(before.version, one.case) for before, one in zip(live, taken, strict=True)])
    await store.insert_steps(work.conn, taken)
    for step in taken:
        work.publish(CASE_CHANGED, _body(step), version=step.case.version)
    _count(taken)
    return len(taken)


def _take(case: Case | None, order: Order, person: Person, now: datetime, rules: Rules) -> Taken | Refusal:
    try:
        if case is None:
            raise not_found("case")
        limit = rules.limit(case.kind, now)
        return domain.take(case, order, person, now, limit, rules.reopen_within)
    except Refusal as refused:
        metrics.REFUSALS.labels(code=refused.code).inc()
        return refused


async def _new_ones(work: Work, events: Sequence[Event[ReportRouted]]) -> list[Event[ReportRouted]]:
    """Routed reports that have no case yet, each once: routing may publish a report again after a manual decision."""
    routed = {event.data.report_id: event for event in reversed(events) if event.data.outcome == "routed"}
    if not routed:
        return []
    known = await store.known_reports(work.conn, list(routed))
    fresh = []
    for report_id, event in reversed(routed.items()):
        if report_id in known:
            continue
        if event.data.grid_code is None:
            work.reject(event, problems.GRID_MISSING("routed, and no grid is named"))
        else:
            fresh.append(event)
    return fresh


def _sighting(report: ReportRouted, radius_m: float) -> Sighting:
    return Sighting(
        report.report_id,
        report.rider_id,
        report.company,
        report.kind,
        report.lng,
        report.lat,
        report.occurred_at,
        report.text,
        domain.reach_of(report.lng, report.lat, radius_m),
    )


def _open(report: ReportRouted, sighting: Sighting, rules: Rules, now: datetime) -> tuple[Candidate, Taken]:
    case = Case(
        case_id=new_id(),
        version=1,
        state="open",
        kind=report.kind,
        level=report.level,
        grid_code=report.grid_code or "",
        alternatives=report.alternatives,
        department=report.department,
        lng=report.lng,
        lat=report.lat,
        seen_at=report.occurred_at,
        opened_at=now,
        due_at=now + rules.limit(report.kind, now),
        changed_at=now,
    )
    taken = Taken(case, "opened", None, "", Report(report.report_id, report.rider_id, report.company, 1))
    return Candidate(case, sighting.text, 0, {report.rider_id: 1}), taken


async def _save(work: Work, touched: Sequence[Candidate], steps: Sequence[tuple[Event[ReportRouted], Taken]]) -> None:
    await store.insert_cases(work.conn, [one.case for one in touched if one.stored_version == 0])
    await store.update_cases(work.conn, [(one.stored_version, one.case) for one in touched if one.stored_version])
    reports = [
        NewReport(taken, event.data.text, tuple(p.photo_id for p in event.data.photos)) for event, taken in steps
    ]
    await store.insert_reports(work.conn, reports)
    await store.insert_steps(work.conn, [taken for _, taken in steps])


def _body(taken: Taken) -> CaseChanged:
    case = taken.case
    return CaseChanged(
        case_id=case.case_id,
        state=case.state,
        transition=taken.step,
        kind=case.kind,
        level=case.level,
        grid_code=case.grid_code,
        alternatives=case.alternatives,
        department=case.department,
        lng=case.lng,
        lat=case.lat,
        report=_report(taken.report) if taken.report else None,
        report_count=case.report_count,
        actor=Actor(id=taken.actor.id, name=taken.actor.name, role=taken.actor.role) if taken.actor else None,
        note=taken.note,
        changed_at=case.changed_at,
        opened_at=case.opened_at,
        due_at=case.due_at,
    )


def _report(report: Report) -> CaseReport:
    return CaseReport(
        report_id=report.report_id, rider_id=report.rider_id, company=report.company, ordinal=report.ordinal
    )


def _count(taken: Sequence[Taken]) -> None:
    for step, number in Counter(one.step for one in taken).items():
        metrics.STEPS.labels(step=step).inc(number)
    closed = (one.case for one in taken if one.step == "closed")
    for (level, in_time), number in Counter((c.level, c.changed_at <= c.due_at) for c in closed).items():
        metrics.CLOSED.labels(level, "yes" if in_time else "no").inc(number)
