"""Communities publish tasks, once or each week, and call them off; what is over ends by the clock."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.tasks import metrics, problems
from services.tasks.domain import Moves, Task, in_peak, occurrences
from services.tasks.settings import Settings
from services.tasks.store import claims, series, tasks, teams
from services.tasks.store.given import OverGiven
from services.tasks.store.series import Series
from services.tasks.store.tasks import NewTask
from services.tasks.usecases import weather
from services.tasks.usecases.saying import notify, say
from shared.kit.areas import AreaTree
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found

DAYS_A_TURN = 35
"""Days of one series that one turn makes tasks of."""


async def publish(settings: Settings, tree: AreaTree, work: Work, new: NewTask) -> Task:
    """Publish one task.

    Raises:
        Refusal: it would begin in the past, reach into peak hours, a weather alarm holds there and then, it has no such
            area or team, or more points than were given.
    """
    if new.starts_at <= work.now:
        raise problems.TASK_IN_THE_PAST()
    clear_of_peaks(settings, new.starts_at, new.ends_at)
    await _check_place(tree, work, new.area_code, new.team_id)
    await weather.refuse_at(work, tree, new.area_code, new.starts_at, new.ends_at)
    try:
        made = await tasks.add(work.conn, new)
    except OverGiven:
        raise problems.POINTS_OVER_GIVEN() from None
    assert made is not None, "of no series"
    say(work, made)
    return made


async def repeat(settings: Settings, tree: AreaTree, work: Work, new: Series) -> Series:
    """Publish a task that comes each week; its next ones are there at once.

    Raises:
        Refusal: as `publish`.
    """
    first = next(
        occurrences(new.weekday, new.minute, new.made_until, new.made_until + timedelta(days=7), settings.city_zone)
    )
    clear_of_peaks(settings, first, first + timedelta(minutes=new.minutes))
    await _check_place(tree, work, new.area_code, new.team_id)
    try:
        await series.add(work.conn, new)
    except OverGiven:
        raise problems.POINTS_OVER_GIVEN() from None
    return await _make(settings, work, new)


async def make_due(settings: Settings, work: Work) -> int:
    """By the clock: tasks of series for the weeks ahead; how many series moved on. Of one time there is one task."""
    horizon = work.now.astimezone(settings.city_zone).date() + timedelta(weeks=settings.series_weeks)
    due = await series.due(work.conn, horizon, settings.clock_rows)
    for one in due:
        await _make(settings, work, one)
    return len(due)


async def _make(settings: Settings, work: Work, one: Series) -> Series:
    today = work.now.astimezone(settings.city_zone).date()
    since = max(one.made_until, today)
    until = min(today + timedelta(weeks=settings.series_weeks), one.until, since + timedelta(days=DAYS_A_TURN))
    for starts_at in occurrences(one.weekday, one.minute, since, until, settings.city_zone):
        if starts_at > work.now and (made := await tasks.add(work.conn, _of(one, starts_at))) is not None:
            say(work, made)
    if until <= one.made_until:
        return one
    await series.made(work.conn, one.id, until)
    return replace(one, made_until=until)


def _of(one: Series, starts_at: datetime) -> NewTask:
    same = {name: getattr(one, name) for name in NewTask.__dataclass_fields__ if hasattr(one, name)}
    return NewTask(
        **same
        | {
            "id": new_id(),
            "series_id": one.id,
            "starts_at": starts_at,
            "ends_at": starts_at + timedelta(minutes=one.minutes),
            "hand_back_until": starts_at - timedelta(hours=one.hand_back_hours),
        }
    )


async def end_series(work: Work, id_: UUID, covers: Callable[[str], bool]) -> Series:
    """No more tasks of a series; those that are there stay. Again: the same answer. Raises the 404 problem."""
    found = await series.series(work.conn, id_)
    if found is None or not covers(found.area_code):
        raise not_found("series")
    return await series.end(work.conn, id_) or found


async def call_off(work: Work, id_: UUID, reason: str, covers: Callable[[str], bool]) -> Task:
    """Cancel a task: whoever has a place or waits hears why. Work that is done is reviewed still. Again: the same.

    Raises:
        Refusal: no such task, or it is over.
    """
    task = await tasks.lock(work.conn, id_)
    if task is None or not covers(task.area_code):
        raise not_found("task")
    if task.state == "cancelled":
        return task
    if task.state == "over":
        raise problems.TASK_NOT_OPEN(state=task.state)
    waiting = await claims.end_all(work.conn, id_, "called_off", "waiting")
    placed = await claims.end_all(work.conn, id_, "called_off", "claimed", "started")
    off = len(waiting) + len(placed)
    await tasks.move(work.conn, id_, Moves(taken=-len(placed), waiting=-len(waiting), called_off=off))
    ended = await tasks.end(work.conn, id_, "cancelled", reason)
    assert ended is not None, "it is locked, and was open"
    for claim in (*placed, *waiting):
        notify(work, ended, claim, "called_off", reason)
    say(work, ended)
    return ended


async def close_lines(rows_max: int, work: Work) -> int:
    """By the clock: who waits for places that nobody can hand back any more hears it; of how many tasks."""
    ids = await tasks.line_over(work.conn, rows_max)
    for id_ in ids:
        task = await tasks.lock(work.conn, id_)
        assert task is not None, "tasks stay"
        for claim in await claims.end_all(work.conn, id_, "unserved", "waiting"):
            notify(work, task, claim, "unserved")
    return len(ids)


async def end_due(settings: Settings, work: Work) -> int:
    """By the clock: tasks that are over. Who has begun is reviewed, who didn't come has missed it, unless an alarm
    stopped the task; how many tasks.
    """
    ids = await tasks.to_end(work.conn, settings.finish_late_hours, settings.clock_rows)
    for id_ in sorted(ids):  # the longest over are chosen, and locked as everybody locks
        task = await tasks.lock(work.conn, id_)
        if task is None or task.state != "open":
            continue
        await claims.finish_all(work.conn, id_, settings.review_days)
        for claim in await claims.end_all(work.conn, id_, "unserved", "waiting"):
            notify(work, task, claim, "unserved")
        missed = await claims.end_all(work.conn, id_, "called_off" if task.was_paused else "no_show", "claimed")
        if missed:
            moves = Moves(taken=-len(missed), called_off=len(missed))
            await tasks.move(
                work.conn, id_, moves if task.was_paused else Moves(taken=-len(missed), no_shows=len(missed))
            )
        if not task.was_paused:
            metrics.NO_SHOWS.inc(len(missed))
        ended = await tasks.end(work.conn, id_, "over")
        assert ended is not None, "it is locked, and was open"
        say(work, ended)
    return len(ids)


async def leave_topic(settings: Settings, work: Work) -> int:
    """By the clock: tasks that ended long ago leave the public topic; how many."""
    left = await tasks.leave(work.conn, settings.shown_days, settings.clock_rows)
    for task in left:
        say(work, task)
    return len(left)


def clear_of_peaks(settings: Settings, starts_at: datetime, ends_at: datetime) -> None:
    """Raises `in_peak_hours` where a time reaches into a rider's."""
    peak = in_peak(starts_at, ends_at, settings.peaks, settings.city_zone)
    if peak is not None:
        shown = (f"{at // 60:02}:{at % 60:02}" for at in (peak.since, peak.until))
        raise problems.IN_PEAK_HOURS(peak="-".join(shown))


async def _check_place(tree: AreaTree, work: Work, area: str, team_id: UUID | None) -> None:
    if tree.known and area not in tree.areas:
        raise not_found("area")
    if team_id is not None:
        team = await teams.lock(work.conn, team_id)
        if team is None or team.closed:
            raise not_found("team")
