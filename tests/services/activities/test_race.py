"""2,000 riders at once on 50 places, from several processes, one of which is killed: none oversold, none twice."""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any
from uuid import UUID

from services.activities.domain import Activity
from services.activities.store import activities as store
from services.activities.usecases.signing_up import Wish
from shared.devtools.installation import Installation
from shared.kit.refusals import Refusal
from tests.services.activities import racing
from tests.services.activities.club import Club
from tests.support import until

RIDERS, PLACES, PROCESSES = 2_000, 50, 4
SQL_SUMS = """
SELECT count(*) AS n, count(DISTINCT number) AS numbers, min(number) AS first, max(number) AS last,
       count(*) FILTER (WHERE state = 'confirmed') AS confirmed, count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE state <> 'cancelled')
           - count(DISTINCT rider_id) FILTER (WHERE state <> 'cancelled') AS twice
FROM signups WHERE activity_id = $1
"""
# Nobody who waits came before somebody who has a place
SQL_UNFAIR = """
SELECT count(*) FROM signups w JOIN signups c ON c.activity_id = w.activity_id AND c.state = 'confirmed'
WHERE w.activity_id = $1 AND w.state = 'waiting' AND w.turn < c.turn
"""


async def adds_up(club: Club, activity: Activity) -> dict[str, int]:
    row = await club.pool.fetchrow(SQL_SUMS, activity.id)
    assert row is not None
    assert (row["first"], row["last"], row["numbers"]) == (1, row["n"], row["n"]), "numbers without gaps"
    assert row["confirmed"] == PLACES
    assert row["confirmed"] + row["waiting"] + row["cancelled"] == row["n"]
    assert row["twice"] == 0
    assert await club.pool.fetchval(SQL_UNFAIR, activity.id) == 0
    seen = await club.seen(activity)
    assert (seen.signups, seen.confirmed, seen.waiting, seen.cancelled) == (
        row["n"], row["confirmed"], row["waiting"], row["cancelled"],
    )  # fmt: skip
    return dict(row)


async def test_processes_and_one_of_them_killed(club: Club, installation: Installation) -> None:
    activity, riders = await club.publish(places=PLACES), await club.riders(RIDERS)
    dsn, context = installation.dsn("activities"), multiprocessing.get_context("spawn")
    shares = [riders[at::PROCESSES] + riders[:40] for at in range(PROCESSES)]  # some are wanted by all of them
    victim = context.Process(target=racing.run, args=(dsn, activity.id, shares[0]), kwargs={"cancels": False})
    victim.start()
    try:
        async with asyncio.TaskGroup() as group, asyncio.timeout(120):
            with context.Pool(PROCESSES - 1) as pool:
                run = partial(pool.apply, racing.run, kwds={"cancels": True})
                others = [group.create_task(asyncio.to_thread(run, (dsn, activity.id, share))) for share in shares[1:]]

                async def written() -> int:
                    of_victim = "SELECT count(*) FROM signups WHERE rider_id = ANY($1::uuid[])"
                    found: int = await club.pool.fetchval(of_victim, shares[0][: len(riders) // PROCESSES])
                    return found

                await until(written, "the victim has begun", good=lambda n: n >= 50)
                victim.kill()
                await asyncio.gather(*others)
    finally:
        victim.kill()
        victim.join()
    done: int = await club.pool.fetchval("SELECT count(*) FROM signups")
    assert done < RIDERS, "it was killed in the middle"
    # its riders ask again, as phones do
    await asyncio.to_thread(racing.run, dsn, activity.id, shares[0], cancels=False)
    sums = await adds_up(club, activity)
    assert sums["cancelled"] >= 75
    assert sums["n"] >= RIDERS
    heard = await club.heard()
    assert heard["cancelled"] == sums["cancelled"]
    assert heard["confirmed"] + heard["waiting"] == sums["n"], "each heard once, also of what the victim had committed"
    assert heard["confirmed"] + heard["moved_up"] >= PLACES


async def test_all_at_once_on_one_transaction_each(club: Club) -> None:
    """The worst case: nobody shares a transaction, everybody waits for the row."""
    activity, riders = await club.publish(places=PLACES), await club.riders(400)

    async def come(part: list[UUID]) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        for rider in part:
            [one] = await club.wish(Wish(rider, activity.id))
            outcomes["refused" if isinstance(one, Refusal) else one.state] += 1
        return outcomes

    counts = sum(await asyncio.gather(*(come(riders[at::8]) for at in range(8))), Counter[str]())
    assert counts == {"confirmed": PLACES, "waiting": 350}
    await adds_up(club, activity)


async def test_cancelling_moving_up_and_leaving_at_once_never_lose_a_place(club: Club) -> None:
    activity, riders = await club.publish(places=PLACES), await club.riders(200)
    await club.join(activity, *riders)

    async def cancel(part: list[UUID]) -> None:
        for rider in part:
            await club.cancel(activity, rider)

    async def again(part: list[UUID]) -> None:
        for rider in part:
            await club.wish(Wish(rider, activity.id))

    async def clock() -> None:
        for _ in range(20):
            await club.move_up()
            await club.say()

    turns: list[Coroutine[Any, Any, None]] = [cancel(riders[at:100:4]) for at in range(4)]
    turns += [again(riders[at:60:2]) for at in range(2)]
    await asyncio.gather(*turns, clock())
    await adds_up(club, activity)


async def test_without_the_lock_the_race_shows(club: Club, monkeypatch: Any) -> None:
    """The proof bites: who reads without the lock meets the constraints, and nothing is oversold even so."""
    unlocked = store.SQL_LOCK.text.replace("FOR NO KEY UPDATE OF a", "")
    assert unlocked != store.SQL_LOCK.text
    monkeypatch.setattr(store, "SQL_LOCK", store.SQL_ONE.__class__(Activity, unlocked))
    activity, riders = await club.publish(places=5), await club.riders(80)

    async def come(part: list[UUID]) -> int:
        failed = 0
        for rider in part:
            try:
                await club.wish(Wish(rider, activity.id))
            except Exception:  # noqa: BLE001 - which constraint it meets is a matter of timing
                failed += 1
        return failed

    failures = sum(await asyncio.gather(*(come(riders[at::8]) for at in range(8))))
    assert failures > 0
    assert (await club.seen(activity)).confirmed <= 5
