"""Work is judged, points are asked for, and another person judges again."""

from datetime import timedelta

import asyncpg
import pytest

from services.tasks import metrics
from services.tasks.usecases.measuring import measure
from services.tasks.usecases.working import Place
from tests.services.tasks.board import Board
from tests.services.tasks.test_claiming import refused


async def test_approved_work_is_a_deed_once(board: Board) -> None:
    claim = await board.done()
    for _ in range(2):
        assert (await board.review(claim)).state == "approved"
    await refused("claim_moved_on", board.review(claim, "other"))
    await refused("claim_moved_on", board.review(claim, approved=False))
    assert await board.deeds() == [("volunteer-task", "done", 20, 1)]
    assert await board.news() == [(str(claim.rider_id), "approved")]
    found = await board.figures()
    assert (found.deeds_rows, found.approved_rows) == (1, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await board.pool.execute(
            "INSERT INTO deeds SELECT gen_random_uuid(), claim_id, rider_id, action, area_code, quantity, done_at,"
            " reported_at FROM deeds"
        )


async def test_another_person_overturns_and_the_deed_is_withdrawn_as_it_was_said(board: Board) -> None:
    claim = await board.done()
    await board.review(claim, "op")
    await refused("judged_before", board.overturn(claim, "op"))
    for _ in range(2):
        assert (await board.overturn(claim, "second")).state == "rejected"
    assert await board.deeds() == [("volunteer-task", "done", 20, 1), ("volunteer-task", "withdrawn", 20, 2)]
    assert (await board.figures()).deeds_rows == 0
    await board.appeal(claim)
    for judge in ("op", "second"):
        await refused("judged_before", board.decide(claim, judge, granted=True))
        with pytest.raises(asyncpg.CheckViolationError, match="another_person"):
            await board.pool.execute("UPDATE claims SET appeal_decided_by = $1", judge)
    assert (await board.decide(claim, "third", granted=True)).state == "approved"
    assert [one[1] for one in await board.deeds()] == ["done", "withdrawn", "done"]
    ids = await board.pool.fetchval("SELECT count(DISTINCT deed_id) FROM deeds")
    assert ids == 2, "one that was withdrawn never comes back"
    await refused("claim_moved_on", board.overturn(claim, "fourth"))
    await board.figures()


async def test_an_appeal_comes_once_and_in_time(board: Board) -> None:
    claim = await board.done()
    await refused("appeal_over", board.appeal(claim))
    await board.review(claim, approved=False, reason="没有照片")
    await board.pool.execute("UPDATE claims SET decided_at = decided_at - interval '8 days'")
    await refused("appeal_over", board.appeal(claim))
    await board.pool.execute("UPDATE claims SET decided_at = now()")
    for _ in range(2):
        assert (await board.appeal(claim)).appeal_open
    decided = await board.decide(claim, "second", granted=False)
    assert (decided.state, decided.reason) == ("rejected", "再看过了")
    await refused("appeal_over", board.appeal(claim))
    await refused("claim_moved_on", board.decide(claim, "third", granted=True))
    assert await board.deeds() == []
    assert [what for _, what in await board.news()] == ["rejected", "appeal_refused"]


async def test_overdue_reviews_are_counted(board: Board) -> None:
    await board.done()
    late = await board.done()
    await board.pool.execute("UPDATE claims SET review_due_at = now() - interval '1 hour' WHERE id = $1", late.id)
    async with board.pool.acquire() as conn:
        await measure(conn)
    assert metrics.OVERDUE._value.get() == 1
    assert metrics.OLDEST_OVERDUE._value.get() == pytest.approx(3_600, abs=60)


async def test_a_place_is_compared_and_not_kept(board: Board) -> None:
    task = await board.publish(lng=120.35, lat=30.30)
    claim = await board.claim(task, (await board.riders())[0])
    await refused("not_now", board.start(claim, Place(120.35, 30.30)))
    await board.runs(task)
    await refused("place_needed", board.start(claim))
    away = await refused("too_far", board.start(claim, Place(120.36, 30.30, 10)))
    assert away.extras == {"near_m": 300}
    assert (await board.start(claim, Place(120.3515, 30.3012, 10))).state == "started"
    row = await board.pool.fetchrow("SELECT row_to_json(c)::text AS all FROM claims c")
    assert row is not None and "120.35" not in row["all"] and "30.30" not in row["all"]


async def test_what_was_begun_and_never_said_to_be_done_is_reviewed(board: Board) -> None:
    task = await board.publish()
    began, came_not = [await board.claim(task, rider) for rider in await board.riders(2)]
    await board.runs(task)
    await board.start(began)
    await refused("claim_moved_on", board.finish(came_not))
    await board.runs(task, timedelta(days=1))
    await board.clock()
    assert await board.states(task) == ["finished", "no_show"]
    assert (await board.seen(began)).review_due_at is not None
    assert (await board.said(task))[-1]["state"] == "over"
    await board.figures()
