"""Places, the waiting list and hand-backs, on real Postgres."""

from datetime import datetime, timedelta

import asyncpg
import pytest

from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.tasks.board import Board


async def refused(code: str, waits: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waits  # type: ignore[misc]
    assert caught.value.code == code
    return caught.value


async def test_places_first_then_a_line(board: Board) -> None:
    task = await board.publish(capacity=2)
    riders = await board.riders(4)
    made = [await board.claim(task, rider) for rider in riders]
    assert [(one.no, one.state) for one in made] == [(1, "claimed"), (2, "claimed"), (3, "waiting"), (4, "waiting")]
    await refused("already_claimed", board.claim(task, riders[0]))
    await refused("already_claimed", board.claim(task, riders[3]))
    await refused("task_full", board.claim(task, (await board.riders())[0], wait=False))
    last = (await board.said(task))[-1]
    assert (last["taken"], last["waiting"], last["capacity"]) == (2, 2, 2)
    assert str(riders[0]) not in str(last)
    await board.figures()


async def test_who_waits_is_promoted_in_order_and_hears_it(board: Board) -> None:
    task = await board.publish(capacity=1)
    riders = await board.riders(4)
    made = [await board.claim(task, rider) for rider in riders]
    await board.hand_back(made[2])
    await board.hand_back(made[0])
    assert await board.states(task) == ["handed_back", "claimed", "handed_back", "waiting"]
    assert await board.news() == [(str(riders[1]), "promoted")]
    assert (await board.hand_back(made[0])).state == "handed_back", "again: the same"
    again = await board.claim(task, riders[0])
    assert (again.no, again.state) == (5, "waiting"), "behind all others"
    found = await board.figures()
    assert (found.claims_rows, found.places, found.waiting, found.handed_back) == (5, 1, 2, 2)


async def test_late_a_place_cannot_be_handed_back_and_nobody_waits_any_more(board: Board) -> None:
    task = await board.publish(capacity=1)
    riders = await board.riders(3)
    made = [await board.claim(task, rider) for rider in riders[:2]]
    await board.pool.execute("UPDATE tasks SET hand_back_until = now() WHERE id = $1", task.id)
    await board.clock()
    assert await board.states(task) == ["claimed", "unserved"]
    assert await board.news() == [(str(riders[1]), "unserved")]
    await refused("hand_back_over", board.hand_back(made[0]))
    await refused("task_full", board.claim(task, riders[2]))
    await board.figures()


async def test_a_place_that_comes_back_late_is_for_whoever_asks(board: Board) -> None:
    task = await board.publish(capacity=1)
    gone, *riders = await board.riders(3)
    await board.claim(task, gone)
    await board.claim(task, riders[0])
    await board.pool.execute("UPDATE tasks SET hand_back_until = now() WHERE id = $1", task.id)
    await board.clock()
    await board.pool.execute("UPDATE known_riders SET active = false WHERE rider_id = $1", gone)
    await board.clock()
    assert await board.states(task) == ["handed_back", "unserved"]
    assert (await board.claim(task, riders[1])).state == "claimed"
    await board.figures()


async def test_riders_who_may_do_nothing_lose_their_places_to_those_who_wait(board: Board) -> None:
    task = await board.publish(capacity=1)
    riders = await board.riders(2)
    for rider in riders:
        await board.claim(task, rider)
    await board.pool.execute("UPDATE known_riders SET active = false WHERE rider_id = $1", riders[0])
    await board.clock()
    assert await board.states(task) == ["handed_back", "claimed"]
    await refused("rider_inactive", board.claim(task, riders[0]))
    await refused("unknown_rider", board.claim(task, new_id()))


async def test_minors_claim_nothing_and_no_date_of_birth_is_kept(board: Board) -> None:
    task = await board.publish()
    [rider] = await board.riders()
    await refused("not_of_age", board.claim(task, rider, of_age=False))
    await board.claim(task, rider)
    assert await board.pool.fetchval("SELECT of_age FROM claims")
    with pytest.raises(asyncpg.CheckViolationError):
        await board.pool.execute("UPDATE claims SET of_age = false")
    columns = await board.pool.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'claims' AND data_type = 'date'"
    )
    assert not columns


async def test_who_misses_too_many_tasks_claims_nothing_for_a_while(board: Board) -> None:
    [rider] = await board.riders()
    for _ in range(3):
        task = await board.publish()
        await board.claim(task, rider)
        await board.runs(task, timedelta(days=1))
        await board.clock()
        assert await board.states(task) == ["no_show"]
    refusal = await refused("claims_pause", board.claim(await board.publish(), rider))
    assert timedelta(days=13) < datetime.fromisoformat(refusal.extras["until"]) - clock.now() <= timedelta(days=14)
    await board.pool.execute("UPDATE claims SET ended_at = ended_at - interval '15 days'")
    assert (await board.claim(await board.publish(), rider)).state == "claimed"
    assert (await board.figures()).no_shows == 3


async def test_tasks_that_have_begun_or_are_over_are_not_claimed(board: Board) -> None:
    task = await board.publish()
    [rider] = await board.riders()
    await board.runs(task)
    await refused("task_begun", board.claim(task, rider))
    await board.runs(task, timedelta(days=1))
    await board.clock()
    await refused("task_not_open", board.claim(task, rider))


async def test_a_teams_task_is_for_its_members(board: Board) -> None:
    [rider, other] = await board.riders(2)
    team = new_id()
    await board.pool.execute(
        "INSERT INTO teams (id, area_code, name, kind, made_by) VALUES ($1, '330114', '帮帮团', 'helpers', 'op')", team
    )
    await board.pool.execute("INSERT INTO team_members (team_id, rider_id) VALUES ($1, $2)", team, rider)
    task = await board.publish(team_id=team)
    await refused("not_in_team", board.claim(task, other))
    assert (await board.claim(task, rider)).team_id == team
    await refused("not_in_team", board.claim(await board.publish(), other, team_id=team))
