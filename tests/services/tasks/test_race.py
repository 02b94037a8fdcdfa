"""500 riders, 20 places, four processes, hand-backs between: never too many, in the line's order, nobody twice."""

import asyncio
import multiprocessing
from collections import Counter
from uuid import UUID

import asyncpg
import pytest

from services.tasks.domain import Claim, Task
from services.tasks.store import tasks
from shared.devtools.installation import Installation
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query
from tests.services.tasks.board import Board
from tests.services.tasks.racing import Heat, race
from tests.support import published, settings_of

RIDERS, PLACES, PROCESSES = 500, 20, 4


async def race_for(board: Board, installation: Installation, task: Task) -> Counter[str]:
    """What came of all claims."""
    riders = await board.riders(RIDERS)
    settings = settings_of(installation, "tasks").model_dump()
    plain = {name: getattr(value, "get_secret_value", lambda value=value: value)() for name, value in settings.items()}
    heats = [Heat(installation.dsn("tasks"), plain, task.id, tuple(riders[n::PROCESSES]), n) for n in range(PROCESSES)]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as processes:
        came = await asyncio.to_thread(processes.map, race, heats)
    return sum((Counter(one) for one in came), Counter[str]())


async def test_500_riders_on_20_places_in_four_processes(board: Board, installation: Installation) -> None:
    task = await board.publish(capacity=PLACES, points_given=PLACES * 20)
    came = await race_for(board, installation, task)
    rows = await board.pool.fetch("SELECT * FROM claims WHERE task_id = $1 ORDER BY no", task.id)
    assert [row["no"] for row in rows] == [*range(1, len(rows) + 1)], "numbers without a gap: the line is whole"
    live = [row for row in rows if row["state"] != "handed_back"]
    assert len({row["rider_id"] for row in live}) == len(live), "nobody twice"
    placed, waiting = ([row["no"] for row in live if row["state"] == state] for state in ("claimed", "waiting"))
    assert len(placed) == PLACES and max(placed) < min(waiting), "whoever has a place was before all who wait"
    assert came["handed_back"] == len(rows) - len(live) > 0
    assert came["already_claimed"] > 0, "some asked twice"
    promoted = [one["claim_id"] for one in await published(board.pool) if one.get("news") == "promoted"]
    numbers = {str(row["id"]): row["no"] for row in rows}
    order = [numbers[one] for one in promoted]
    assert order == sorted(order) and order, "promoted in the line's order"
    states = [one for one in await board.said(task) if "taken" in one]
    assert [one["version"] for one in states] == sorted(one["version"] for one in states)
    assert all(one["taken"] <= PLACES for one in states)
    await board.figures()


async def test_without_the_lock_the_constraints_still_hold(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four read together that one place is free: all but one meet a constraint."""
    task = await board.publish(capacity=PLACES, points_given=PLACES * 20)
    for rider in await board.riders(PLACES - 1):
        await board.claim(task, rider)
    monkeypatch.setattr(tasks, "SQL_LOCK", Query(Task, tasks.SQL_LOCK.text.replace("FOR NO KEY UPDATE", "")))
    read, all_have_read = tasks.lock, asyncio.Barrier(4)

    async def read_together(conn: Connection, id_: UUID) -> Task | None:
        found = await read(conn, id_)
        await all_have_read.wait()
        return found

    monkeypatch.setattr(tasks, "lock", read_together)
    outcomes: list[Claim | BaseException] = await asyncio.gather(
        *(board.claim(task, rider) for rider in await board.riders(4)), return_exceptions=True
    )
    assert sum(isinstance(one, Claim) for one in outcomes) == 1
    assert sum(isinstance(one, asyncpg.IntegrityConstraintViolationError) for one in outcomes) == 3
    monkeypatch.undo()
    assert (await board.task(task)).taken == PLACES
    await board.figures()
