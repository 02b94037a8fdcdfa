"""Riders' levels as they are published: each change once, in any order of events, and gone with the rider."""

import asyncio
import random
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from services.badges import states
from services.badges.domain import Rule
from services.badges.store import levels
from services.badges.store import standings as store
from services.badges.usecases import crediting, levelling
from shared.events.level_changed import LEVEL_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from tests.services.badges.hive import ZONE, Deed, Hive
from tests.support import hear, published, work_on

NOON = clock.now() - timedelta(days=20)
BUSY, SCOUT, GOLDEN = ("level-2", 1), ("level-3", 2), ("level-4", 3)


async def said(hive: Hive, rider: UUID) -> list[tuple[int, str | None, int | None]]:
    """(version, code, rank) of each state; of a tombstone the version alone."""
    found = await published(hive.pool, LEVEL_CHANGED, rider)
    return [(one["version"], one.get("code"), one.get("rank")) for one in found]


async def set_level(hive: Hive, code: str, least: int, version: int, **changed: Any) -> None:
    """A threshold from now on."""
    async with work_on(hive.pool) as work:
        stated: dict[str, Any] = {"zh": code, "en": code, "measure": "points", "active": True, **changed}
        rule = Rule(code, version, work.now, "level", least=least, set_by="op", **stated)
        assert await store.add_rule(work.conn, rule, work.now)


async def leave(hive: Hive, rider: UUID) -> None:
    """One pass of an erasure."""
    leaver = Leaver(rider, "erased:" + "0" * 40, NOON)
    async with hive.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        await levelling.forget(conn, [leaver])


async def test_a_level_is_published_when_it_changes_and_only_then(hive: Hive) -> None:
    rider, many = new_id(), Deed(new_id(), 5_000)
    many.rider = rider
    for points in (150, 30, 30, 30):
        await hive.hears(*Deed(rider, points).credited(NOON))
    assert await said(hive, rider) == [(1, *BUSY)], "what everybody has is not published, and nothing twice"
    await hive.hears(*many.credited(NOON))
    await hive.hears(*many.credited(NOON))
    await hive.hears(many.says("reversed"))
    assert await said(hive, rider) == [(1, *BUSY), (2, *GOLDEN), (3, *BUSY)]
    [first, *_] = await published(hive.pool, LEVEL_CHANGED, rider)
    assert (first["zh"], first["en"], first["rider_id"]) == ("勤蜂", "Busy bee", str(rider))


async def test_who_falls_to_what_everybody_has_is_said_to_be_there(hive: Hive) -> None:
    rider, deed = new_id(), Deed(new_id(), 200)
    deed.rider = rider
    await hive.hears(*deed.credited(NOON))
    await hive.hears(deed.says("reversed"))
    assert await said(hive, rider) == [(1, *BUSY), (2, "level-1", 0)]


async def test_any_order_and_any_batches_end_at_the_same_level(hive: Hive) -> None:
    chance = random.Random(11)
    for _ in range(6):
        rider = new_id()
        deeds = [Deed(rider, 300) for _ in range(5)]
        events = [event for deed in deeds for event in deed.credited(NOON)] + [deeds[0].says("reversed")]
        chance.shuffle(events)
        while events:
            batch, events = events[:3], events[3:]
            await hive.hears(*batch)
        found = await said(hive, rider)
        assert found[-1][1:] == SCOUT
        assert [version for version, *_ in found] == list(range(1, len(found) + 1))
        assert all(one[1:] != other[1:] for one, other in pairwise(found))


async def test_batches_of_one_moment_publish_a_riders_levels_in_order(hive: Hive) -> None:
    riders = [new_id() for _ in range(4)]
    deeds = [Deed(rider, 100) for rider in riders for _ in range(12)]
    random.Random(3).shuffle(deeds)
    batches = [deeds[n : n + 8] for n in range(0, len(deeds), 8)]
    await asyncio.gather(*(hive.hears(*(event for deed in one for event in deed.credited(NOON))) for one in batches))
    for rider in riders:
        found = await said(hive, rider)
        assert found[-1][1:] == SCOUT and [one[0] for one in found] == list(range(1, len(found) + 1))


async def test_another_threshold_is_seen_with_the_next_credit(hive: Hive) -> None:
    rider, other = new_id(), new_id()
    await hive.hears(*Deed(rider, 300).credited(NOON), *Deed(other, 300).credited(NOON))
    await set_level(hive, "copper", 250, 1)
    await hive.hears(*Deed(rider, 1).credited(NOON))
    assert await said(hive, rider) == [(1, *BUSY), (2, "copper", 2)]
    assert await said(hive, other) == [(1, *BUSY)]
    await set_level(hive, "copper", 250, 2, active=False)
    await set_level(hive, "level-2", 200, 2, zh="忙蜂")
    await hive.hears(*Deed(rider, 1).credited(NOON))
    assert (await said(hive, rider))[-1] == (3, *BUSY)
    assert (await published(hive.pool, LEVEL_CHANGED, rider))[-1]["zh"] == "忙蜂", "another name is news as well"


async def test_without_any_level_there_is_none(hive: Hive) -> None:
    rider = new_id()
    await hive.hears(*Deed(rider, 300).credited(NOON))
    for code, least in (("level-1", 0), ("level-2", 200), ("level-3", 1_000), ("level-4", 5_000)):
        await set_level(hive, code, least, 2, active=False)
    await hive.hears(*Deed(rider, 1).credited(NOON))
    assert await said(hive, rider) == [(1, *BUSY), (2, None, 0)]


async def test_who_leaves_takes_their_level_off_the_topic_and_does_not_come_back(hive: Hive) -> None:
    rider, plain = new_id(), new_id()
    events = [*Deed(rider, 1_000).credited(NOON), *Deed(plain).credited(NOON)]
    await hive.hears(*events)
    for _ in range(2):
        await leave(hive, rider)
        await leave(hive, plain)
    await hive.hears(*events, *Deed(rider, 9_000).credited(NOON))
    assert await said(hive, rider) == [(1, *SCOUT), (1, None, None), (1, None, None)]
    assert await said(hive, plain) == [], "nothing was there to take off"
    row = await hive.pool.fetchrow("SELECT code, rank, zh, en FROM levels WHERE rider_id = $1", rider)
    assert row is not None and tuple(row) == (None, 0, None, None)
    async with work_on(hive.pool) as work:
        await levelling.retire_again(work)
    assert (await said(hive, rider))[3:] == [(1, None, None)], "and again on the days after"


async def test_what_was_under_way_when_a_rider_left_is_taken_off_by_the_second_pass(hive: Hive) -> None:
    rider = new_id()
    async with hive.pool.acquire() as conn:
        late = conn.transaction()
        await late.start()
        await hear(conn, partial(crediting.follow_points, ZONE), *Deed(rider, 1_000).credited(NOON))
        await leave(hive, rider)
        await late.commit()
    assert await said(hive, rider) == [(1, *SCOUT)]
    await leave(hive, rider)
    assert await said(hive, rider) == [(1, *SCOUT), (1, None, None)]


async def test_levels_are_published_again_from_the_table(hive: Hive) -> None:
    riders = sorted(new_id() for _ in range(5))
    for rider in riders:
        await hive.hears(*Deed(rider, 200).credited(NOON), *Deed(rider, 800).credited(NOON))
    await hive.hears(*Deed(riders[1], 4_000).credited(NOON))
    await leave(hive, riders[3])
    await hive.pool.execute("DELETE FROM outbox")
    async with hive.pool.acquire() as conn:
        counted = await states.count_levels(conn)
    assert (counted.states, counted.tombstones) == (4, 1)
    after: str | None = ""
    while after is not None:
        async with work_on(hive.pool) as work:
            after = (await states.levels(work, after, 2)).last
    assert [await said(hive, rider) for rider in riders] == [
        [(1, *SCOUT)], [(2, *GOLDEN)], [(1, *SCOUT)], [(1, None, None)], [(1, *SCOUT)],
    ]  # fmt: skip
    with pytest.raises(ValueError):
        async with work_on(hive.pool) as work:
            await states.levels(work, "no-uuid", 2)


@pytest.mark.parametrize("change", ["credit", "erasure"])
async def test_a_page_waits_for_a_change_and_has_what_it_left(hive: Hive, change: str) -> None:
    rider = new_id()
    await hive.hears(*Deed(rider, 200).credited(NOON))
    async with hive.pool.acquire() as one, hive.pool.acquire() as other:
        under_way = one.transaction()
        await under_way.start()
        if change == "credit":
            await hear(one, partial(crediting.follow_points, ZONE), *Deed(rider, 800).credited(NOON))
        else:
            await levels.leave(one, [rider])
        async with work_on(other) as work:
            page = asyncio.create_task(states.levels(work, "", 10))
            await asyncio.sleep(0.2)
            assert not page.done()
            await under_way.commit()
            await page
            [row] = work.rows
    assert (row.version, row.payload is None) == ((2, False) if change == "credit" else (1, True))
