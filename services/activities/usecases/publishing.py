"""Publishing activities, singly and in series, changing and calling them off."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.activities import metrics, problems
from services.activities.domain import Activity, Team, hash_of
from services.activities.store import activities as store
from services.activities.store import signups
from services.activities.store.activities import Change, NewActivity, Template
from services.activities.usecases import saying
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found

LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TeamWanted:
    """A team as it is stated; without times it is there all the time."""

    code: str
    zh: str
    en: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Several activities of one template. `days`: in the city's time."""

    template: str
    days: tuple[date, ...]
    area_code: str
    address: str
    station_id: str | None
    organiser: str
    companies: tuple[str, ...]
    areas: tuple[str, ...]
    closes_before: timedelta


async def create(work: Work, new: NewActivity, teams: Sequence[TeamWanted]) -> Activity:
    """Publish an activity. Of one by lot the seed is made now, and its hash published with it.

    Raises:
        Refusal: `bad_times`.
    """
    _check_times(work.now, new.starts_at, new.ends_at, new.signup_until)
    seed = secrets.token_hex(32) if new.way == "lot" else None
    new = replace(new, seed_hash=None if seed is None else hash_of(seed))
    made = [
        Team(new.id, one.code, one.zh, one.en, one.starts_at or new.starts_at, one.ends_at or new.ends_at, 0, 1)
        for one in teams
    ]
    await store.add(work.conn, new, work.now, seed, made)
    metrics.PUBLISHED.labels(new.template or "").inc()
    return await _found(work, new.id)


async def create_series(work: Work, zone: ZoneInfo, series: Series, by: str) -> list[Activity]:
    """Publish an activity of a template for each of the days.

    Raises:
        Refusal: no such template; `bad_times`.
    """
    template = await store.template(work.conn, series.template)
    if template is None:
        raise not_found("template")
    series_id = new_id()
    return [
        await create(work, _of(template, series, series_id, by, day, zone), _teams(template))
        for day in sorted(set(series.days))
    ]


async def change(work: Work, id_: UUID, wanted: Change, covers: Callable[[str], bool]) -> Activity:
    """Change an activity; everybody who has a place or waits hears of another time or place, more places are given on.

    Raises:
        Refusal: no such activity; `not_your_area`, `bad_times`, `activity_moved_on`.
    """
    before = await locked(work, id_, covers)
    _check_times(min(work.now, before.signup_until), wanted.starts_at, wanted.ends_at, wanted.signup_until)
    made = await store.change(work.conn, id_, wanted, work.now)
    if made is None:
        raise problems.ACTIVITY_MOVED_ON(current_version=before.version)
    if made.places > before.places and (made.way == "queue" or made.drawn_at is not None):
        saying.notify(work, made, await signups.move_up(work.conn, [id_], work.now), "moved_up")
    if (made.starts_at, made.ends_at, made.address) != (before.starts_at, before.ends_at, before.address):
        saying.notify(work, made, await signups.touch(work.conn, id_), "changed")
    return await _found(work, id_)


async def call_off(work: Work, id_: UUID, reason: str, covers: Callable[[str], bool]) -> Activity:
    """Call an activity off: all sign-ups end, and everybody hears why. Again: the same answer.

    Raises:
        Refusal: no such activity; `not_your_area`; `activity_moved_on` once it has begun.
    """
    before = await locked(work, id_, covers)
    if before.state == "called_off":
        return before
    made = await store.call_off(work.conn, id_, reason)
    if made is None:
        raise problems.ACTIVITY_MOVED_ON(current_version=before.version)
    saying.notify(work, made, await signups.cancel_all(work.conn, id_), "called_off")
    return await _found(work, id_)


async def serve(work: Work, id_: UUID, code: str, served: int, version: int, covers: Callable[[str], bool]) -> Team:
    """How many people a team has served.

    Raises:
        Refusal: no such activity or team; `not_your_area`; `activity_moved_on` where somebody else has counted.
    """
    await locked(work, id_, covers)
    made = await store.serve(work.conn, id_, code, served, version)
    if made is not None:
        return made
    there = next((one for one in await store.teams(work.conn, id_) if one.code == code), None)
    if there is None:
        raise not_found("team")
    raise problems.ACTIVITY_MOVED_ON(current_version=there.version)


async def locked(work: Work, id_: UUID, covers: Callable[[str], bool]) -> Activity:
    """An activity, locked, of an area that the caller answers for."""
    found = (await store.lock(work.conn, [id_])).get(id_)
    if found is None:
        raise not_found("activity")
    if not covers(found.area_code):
        raise problems.NOT_YOUR_AREA()
    return found


def _check_times(earliest: datetime, starts_at: datetime, ends_at: datetime, signup_until: datetime) -> None:
    if not earliest <= signup_until <= starts_at < ends_at <= starts_at + LONGEST:
        raise problems.BAD_TIMES()


async def _found(work: Work, id_: UUID) -> Activity:
    found = await store.activity(work.conn, id_)
    assert found is not None, "it is in this transaction"
    return found


def _of(template: Template, series: Series, series_id: UUID, by: str, day: date, zone: ZoneInfo) -> NewActivity:
    hours, minutes = divmod(template.begins_minute, 60)
    starts_at = datetime.combine(day, time(hours, minutes), zone)
    return NewActivity(
        id=new_id(), series_id=series_id, template=template.code, title_zh=template.title_zh,
        title_en=template.title_en, words_zh=template.words_zh, words_en=template.words_en,
        area_code=series.area_code, address=series.address, station_id=series.station_id,
        organiser=series.organiser, published_by=by, starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=template.minutes), signup_until=starts_at - series.closes_before,
        places=template.places, way=template.way, companies=series.companies, areas=series.areas, seed_hash=None,
    )  # fmt: skip


def _teams(template: Template) -> list[TeamWanted]:
    return [TeamWanted(code, zh, en) for code, zh, en in (one.split("|", 2) for one in template.teams)]
