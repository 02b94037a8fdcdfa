"""No task goes on in a weather alarm: tasks that one meets are paused, and go on when none does."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.tasks import problems
from services.tasks.domain import LIVE, Task
from services.tasks.store import alarms, claims, tasks
from services.tasks.store.alarms import Alarm
from services.tasks.usecases.saying import notify, say
from shared.kit.areas import AreaTree
from shared.kit.areas.following import KnownAreas
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found


def meets(alarm: Alarm, tree: AreaTree, area: str, starts_at: datetime, ends_at: datetime) -> bool:
    """Whether an alarm holds where and when something is."""
    return tree.covers(alarm.area_code, area) and alarm.since < ends_at and starts_at < alarm.until


async def refuse(work: Work, tree: AreaTree, task: Task) -> None:
    """Refuse with the alarm's words where one meets a task. Raises `weather_alarm`."""
    await refuse_at(work, tree, task.area_code, task.starts_at, task.ends_at)
    if task.paused:  # it has just ended: whoever lets tasks go on has not come by
        raise problems.WEATHER_ALARM(until=work.now.isoformat(), words_zh="", words_en="")


async def refuse_at(work: Work, tree: AreaTree, area: str, starts_at: datetime, ends_at: datetime) -> None:
    """The same of a place and a time. Raises `weather_alarm`."""
    for alarm in await alarms.in_force(work.conn):
        if meets(alarm, tree, area, starts_at, ends_at):
            raise problems.WEATHER_ALARM(
                alarm.words_en, until=alarm.until.isoformat(), words_zh=alarm.words_zh, words_en=alarm.words_en
            )


async def set_alarm(work: Work, tree: AreaTree, rows_max: int, id_: UUID, values: Sequence[object]) -> Alarm:
    """Set one. Tasks that it meets are paused at once; of very many the rest within seconds, by the clock."""
    made = await alarms.add(work.conn, id_, values)
    await follow(tree, rows_max, work)
    return made


async def end_alarm(work: Work, tree: AreaTree, rows_max: int, id_: UUID, by: str) -> Alarm:
    """End one before its time; again: the same answer. Raises the 404 problem."""
    made = await alarms.end(work.conn, id_, by) or await alarms.alarm(work.conn, id_)
    if made is None:
        raise not_found("alarm")
    await follow(tree, rows_max, work)
    return made


async def keep_up(known: KnownAreas, rows_max: int, work: Work) -> int:
    """By the clock: the same as `follow`, with the areas as they are known now."""
    return await follow(known.tree, rows_max, work)


async def follow(tree: AreaTree, rows_max: int, work: Work) -> int:
    """Pause what an alarm meets, and let go on what none does any more; how many tasks changed."""
    there = await tasks.open_areas(work.conn)
    held = [
        (area, alarm.since, alarm.until)
        for alarm in await alarms.in_force(work.conn)
        for area in there
        if tree.covers(alarm.area_code, area)
    ]
    wanted = [(id_, True) for id_ in await alarms.met(work.conn, held, rows_max)]
    wanted += [(id_, False) for id_ in await alarms.clear(work.conn, held, rows_max)]
    return sum([await _set(work, id_, paused=paused) for id_, paused in sorted(wanted)])


async def _set(work: Work, id_: UUID, *, paused: bool) -> int:
    if await tasks.lock(work.conn, id_) is None or (task := await tasks.pause(work.conn, id_, paused=paused)) is None:
        return 0
    say(work, task)
    if paused:
        for claim in await claims.in_states(work.conn, id_, LIVE):
            notify(work, task, claim, "paused")
    return 1
