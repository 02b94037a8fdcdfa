"""What is so at stations now: looked at again after every change and when its time comes, and published."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.stations import metrics, problems
from services.stations.domain.hours import LOOK_DAYS, SpecialDay, by_day
from services.stations.domain.living import SHUT_BY_RULE, Found, Period, SpellState, Status, Timetable, status
from services.stations.domain.words import Station
from services.stations.store import live, visits
from services.stations.store import stations as store
from services.stations.store.live import NewSpell
from services.stations.store.stations import NewState
from services.stations.store.visits import Sum
from services.stations.usecases.rules import Rules
from shared.events.public_station_changed import PUBLIC_STATION_CHANGED, PublicStationChanged
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found
from shared.known.domain import rider_refusal
from shared.known.riders import by_id

_DIRECT = frozenset(PublicStationChanged.model_fields) & frozenset(Station.__dataclass_fields__)
_CLOSED = ("full", "closed")


async def restate(rules: Rules, work: Work, ids: Collection[UUID], *, said: bool = False) -> list[Station]:
    """Look at stations and keep what is so now; publish those of which it has changed, or all of them where `said`.

    Also counts the seconds for which they have been open since they were looked at last. Locks the stations.
    """
    found = await store.lock(work.conn, ids)
    there = [one.id for one in found]
    today = rules.day(work.now)
    first, last = today - timedelta(days=1), today + timedelta(days=LOOK_DAYS)
    days = await live.days(work.conn, there, first, last)
    periods = await live.periods(work.conn)
    await live.end_due(work.conn, there)
    spells = await live.open_spells(work.conn, there)
    states, sums = [], []
    for one in found:
        own = _periods_of(rules, one, periods)
        table = Timetable(one.hours, one.open_on_holidays, one.retired_reason is not None)
        now = status(table, days[one.id], own, spells[one.id], work.now, rules.zone, rules.believed)
        states.append(_new_state(one, now, said=said or _differs(one, now)))
        if one.is_open:
            seconds = by_day(one.settled_at, work.now, rules.zone)
            sums += [Sum(one.id, day, open_s=n) for day, n in seconds.items()]
    saved = await store.save(work.conn, states)
    await visits.add(work.conn, sums)
    published = {one.id for one in states if one.said}
    for one in saved:
        if one.id in published:
            publish(rules, work, one)
    return saved


async def look_at_due(rules: Rules, rows_max: int, work: Work) -> int:
    """Look at stations whose time has come: an opening, the end of a storm, midnight; how many."""
    due = await store.lock_due(work.conn, rows_max)
    if due:
        await restate(rules, work, due)
    return len(due)


def publish(rules: Rules, work: Work, one: Station) -> None:
    """Publish a station's state, or that it is gone."""
    metrics.STATES.labels(one.state).inc()
    if one.state == "retired":
        work.retire(PUBLIC_STATION_CHANGED, one.id, version=one.version)
    else:
        work.publish(PUBLIC_STATION_CHANGED, public_state(rules, one), version=one.version)


def public_state(rules: Rules, one: Station) -> PublicStationChanged:
    """As city systems have it."""
    kind = rules.taxonomy.kinds.get(one.kind)
    return PublicStationChanged(
        **{name: getattr(one, name) for name in _DIRECT},
        station_id=one.id,
        is_open=one.is_open,
        kind_zh=one.kind if kind is None else kind.zh,
        reason=one.state_reason,
        until=one.state_until,
    )


async def set_state(
    rules: Rules,
    work: Work,
    one: Station,
    state: str,
    part: str,
    reason: str,
    until: datetime | None,
    who: str,
    by: str,
) -> Station:
    """What a keeper says: open (again), full, closed, a fault, or that one is repaired; the station must be locked.

    `who`: the keeper's role; `by`: their id. What riders have found is confirmed by the same word.
    """
    _require_part(rules, part)
    if state == "full" and until is None:
        until = work.now + rules.sighting  # nobody remembers to say that a seat is free again
    if state == "open":
        await live.end(work.conn, one.id, _CLOSED)
    elif state == "repaired":
        await live.end(work.conn, one.id, ("fault",), part)
    else:
        await live.find(work.conn, await _spell(rules, work, one, state, part, reason, until, role=who, by=by))
    [after] = await restate(rules, work, [one.id])
    return after


async def sight(rules: Rules, work: Work, station_id: UUID, rider_id: UUID, found: Found, part: str) -> Station:
    """What a rider found. It counts once a rider, station, day and thing; enough of them are believed. That it is shut
    when its hours, a holiday or a storm say so is nothing new.

    Raises:
        Refusal: no such station or part; the rider may not act.
    """
    _require_part(rules, part)
    await require_rider(work.conn, rider_id)
    one = next(iter(await store.lock(work.conn, [station_id])), None)
    if one is None or one.retired_reason is not None:
        raise not_found("station")
    if found in _CLOSED and one.state in SHUT_BY_RULE:
        return one  # it is as it should be, and nobody is to find it so when it opens
    on = rules.day(work.now)
    if not await live.see(work.conn, one.id, rider_id, on, found, part):
        return one
    metrics.SIGHTINGS.labels(found).inc()
    await visits.add(work.conn, [Sum(one.id, on, sightings=1)])
    if found == "open":
        await live.deny(work.conn, one.id)
    else:
        until = work.now + rules.sighting
        await live.find(work.conn, await _spell(rules, work, one, found, part, "", until, role="", by=""))
    [after] = await restate(rules, work, [one.id])
    return after


async def set_day(rules: Rules, work: Work, station_id: UUID, day: SpecialDay) -> None:
    """Other hours on a day of a locked station."""
    await live.set_day(work.conn, station_id, day)
    await restate(rules, work, [station_id])


async def add_period(rules: Rules, work: Work, new: Period, by: str) -> None:
    """A holiday or a storm: all stations are looked at, as soon as the clock comes to them."""
    await live.add_period(work.conn, new, by)
    await store.look_at_all(work.conn)


async def end_period(work: Work, id_: UUID) -> None:
    """A storm is over. Again changes nothing."""
    if await live.end_period(work.conn, id_, work.now):
        await store.look_at_all(work.conn)


async def require_rider(conn: Connection, rider_id: UUID) -> None:
    """Raises the refusal of a rider who may not act."""
    if (refusal := rider_refusal((await by_id(conn, [rider_id])).get(rider_id))) is not None:
        raise refusal


def _require_part(rules: Rules, part: str) -> None:
    if part and part not in rules.taxonomy.services:
        named = [{"field": "body.part", "problem": "no code of the taxonomy of services"}]
        raise problems.STATIONS_FAULTY("1 fault", errors=named)


async def _spell(
    rules: Rules, work: Work, one: Station, state: str, part: str, reason: str, until: datetime | None, *,
    role: str, by: str,
) -> NewSpell:  # fmt: skip
    own = [period for period in _periods_of(rules, one, await live.periods(work.conn)) if period.holds(work.now)]
    # under which storm it is counted: where there are two, the one that came first
    own.sort(key=lambda period: (period.kind != "weather", period.begins_at))
    kind: SpellState = state  # type: ignore[assignment]  # the callers' literals
    return NewSpell(
        id=new_id(), station_id=one.id, state=kind, part=part, reason=reason, period_id=own[0].id if own else None,
        until_at=until, sightings=0 if role else 1, confirmed=bool(role), role=role, by=by,
    )  # fmt: skip


def _periods_of(rules: Rules, one: Station, periods: Sequence[Period]) -> list[Period]:
    line = rules.tree().line(one.area_code)
    return [period for period in periods if not period.areas or any(area in line for area in period.areas)]


def _differs(one: Station, now: Status) -> bool:
    return (one.state, one.state_reason, one.state_until, one.faults) != (now.state, now.reason, now.until, now.faults)


def _new_state(one: Station, now: Status, *, said: bool) -> NewState:
    return NewState(one.id, now.state, now.reason, now.until, " ".join(now.faults), now.next_at, said)


async def measure(conn: Connection) -> None:
    """How late the clock is: whoever walks to a station reads what was so before."""
    metrics.BEHIND.set(await store.behind_s(conn))
