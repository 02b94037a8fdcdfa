"""Tasks are published, once or each week, called off, and leave the public topic."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.tasks.domain import Task
from services.tasks.states import STATES
from services.tasks.store import series as series_store
from services.tasks.store import tasks as store
from services.tasks.store.series import Series
from services.tasks.store.tasks import Wanted
from services.tasks.usecases import publishing
from shared.kit import clock
from shared.kit.areas import NO_MAP
from shared.kit.ids import new_id
from tests.services.tasks.board import COMMUNITY, ELSEWHERE, Board, everywhere, next_day
from tests.services.tasks.test_claiming import refused
from tests.support import work_on


async def test_points_of_all_places_are_within_what_was_given(board: Board) -> None:
    await refused("points_over_given", board.publish(capacity=51, points=20, points_given=1_000))
    task = await board.publish(capacity=50, points=20, points_given=1_000)
    with pytest.raises(asyncpg.CheckViolationError, match="within_points"):
        await board.pool.execute("UPDATE tasks SET capacity = 51 WHERE id = $1", task.id)


async def test_no_task_reaches_into_peak_hours_or_the_past(board: Board) -> None:
    noon = next_day(12, board.settings.city_zone)
    refusal = await refused("in_peak_hours", board.publish(starts_at=noon))
    assert refusal.extras == {"peak": "11:00-13:00"}
    await refused("task_in_the_past", board.publish(starts_at=clock.now() - timedelta(minutes=1)))


async def test_riders_find_what_is_free_there_and_what_they_can(board: Board) -> None:
    here, there = await board.publish(capacity=1), await board.publish(area_code=ELSEWHERE, skills=("first-aid",))
    await board.claim(here, (await board.riders())[0])

    async def found(**asked: Any) -> list[Task]:
        usual: dict[str, Any] = dict.fromkeys(("areas", "kind", "skills", "since", "until")) | {"free": False}
        async with board.pool.acquire() as conn:
            first = (clock.now() - timedelta(days=9), new_id())
            return await store.open_ones(conn, Wanted(**usual | asked), first, 9)

    assert {one.id for one in await found()} == {here.id, there.id}
    assert [one.id for one in await found(free=True)] == [there.id]
    assert [one.id for one in await found(areas=(COMMUNITY,))] == [here.id]
    assert [one.id for one in await found(skills=())] == [here.id]
    assert len(await found(skills=("first-aid", "repair"))) == 2
    assert await found(kind="errand") == [] == await found(since=here.ends_at)


async def test_who_has_a_place_or_waits_hears_that_a_task_is_called_off(board: Board) -> None:
    task = await board.publish(capacity=2)
    done, placed, waiting = [await board.claim(task, rider) for rider in await board.riders(3)]
    await board.runs(task)
    await board.start(done)
    await board.finish(done)
    seen = set()
    for _ in range(2):
        async with work_on(board.pool) as work:
            off = await publishing.call_off(work, task.id, "路面结冰", everywhere)
        seen.add((off.version, off.state, off.taken, off.called_off))
    assert [one[1:] for one in seen] == [("cancelled", 1, 2)]
    assert await board.states(task) == ["finished", "called_off", "called_off"]
    assert await board.news() == [(str(placed.rider_id), "called_off"), (str(waiting.rider_id), "called_off")]
    assert (await board.review(done)).state == "approved"
    await board.figures()


def friday(board: Board, **changed: Any) -> Series:
    today = clock.now().astimezone(board.settings.city_zone).date()
    usual: dict[str, Any] = {
        "id": new_id(), "team_id": None, "kind": "volunteer-task", "area_code": COMMUNITY, "title": "周五夜巡",
        "needs": "手电", "address": "东门", "lng": None, "lat": None, "skills": (), "capacity": 4, "points": 20,
        "points_given": 80, "weekday": 5, "minute": 20 * 60, "minutes": 90, "hand_back_hours": 2, "made_until": today,
        "until": today + timedelta(weeks=5), "published_by": "op", "ended_at": None,
    }  # fmt: skip
    return Series(**usual | changed)


async def made(board: Board, one: Series) -> None:
    async with work_on(board.pool) as work:
        await publishing.repeat(board.settings, NO_MAP, work, one)


async def test_a_series_makes_its_tasks_for_the_weeks_ahead_and_each_once(board: Board) -> None:
    one = friday(board)
    await made(board, one)
    zone = board.settings.city_zone
    first = await board.pool.fetch("SELECT starts_at FROM tasks ORDER BY starts_at")
    assert len(first) in (1, 2), "two weeks ahead; today's may have begun"
    assert {row["starts_at"].astimezone(zone).strftime("%u %H:%M") for row in first} == {"5 20:00"}
    for _ in range(2):
        await board.clock()
    await board.pool.execute("UPDATE series SET made_until = made_until - 14")
    await board.clock()
    assert await board.pool.fetchval("SELECT count(*) FROM tasks") == len(first)
    async with work_on(board.pool) as work:
        assert (await publishing.end_series(work, one.id, everywhere)).ended_at is not None
        assert await series_store.due(work.conn, one.until, 9) == []


async def test_a_series_in_peak_hours_or_over_its_points_is_refused(board: Board) -> None:
    await refused("in_peak_hours", made(board, friday(board, minute=11 * 60)))
    await refused("points_over_given", made(board, friday(board, points_given=79)))


async def test_what_is_over_leaves_the_public_topic_and_states_are_said_again(board: Board) -> None:
    old, new = await board.publish(), await board.publish()
    await board.runs(old, timedelta(days=40))
    await board.clock()
    gone = (await board.said(old))[-1]
    assert set(gone) == {"version", "key"}, "a tombstone"
    [states] = STATES
    async with work_on(board.pool) as work:
        counted = await states.count(work.conn)
        page = await states.publish(work, "", 10)
    assert (counted.states, counted.tombstones) == (1, 1)
    assert page.last == str(max(old.id, new.id))
    assert (await board.said(old))[-1] == gone
    assert (await board.said(new))[-1]["version"] == new.version
