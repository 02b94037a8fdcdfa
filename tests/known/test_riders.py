"""What a service keeps of riders, in whatever order it hears of them; erased ones are never among them again."""

import itertools
from datetime import UTC, datetime

import pytest

from shared.events.personal import number_mark
from shared.kit.privacy.erasure import Erasure, Leaver, each_of
from shared.known import riders as store
from shared.known.domain import rider_refusal
from shared.known.knowing import Riders, follow_riders
from tests.known.conftest import Schema
from tests.support import COMPANY, rider_gone, rider_id, rider_is

THEN = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SQL_LISTED = "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, $2, now())"


def erasure(schema: Schema) -> Erasure:
    return Erasure(lambda: schema.pool, 0.0, each_of([store.forget]), None)


async def erase(schema: Schema, number: str = "r1") -> None:
    """The order, as a service carries it out."""
    async with schema.work() as work:
        await erasure(schema).take(work.conn, [Leaver(rider_id(number), number_mark(COMPANY, number), THEN)])


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", itertools.permutations((1, 2, 3)))
async def test_the_newest_state_counts_in_any_order(schema: Schema, order: tuple[int, ...], together: bool) -> None:
    states = [rider_is(version=n, active=n != 3, consent=n != 2, locale=f"l{n}") for n in order]
    for batch in [states] if together else [[one] for one in states]:
        await schema.hear_riders(*batch)
    found = await schema.rider()
    assert found is not None and (found.active, found.consent, found.number) == (False, True, "r1")
    row = await schema.pool.fetchrow("SELECT locale, version FROM known_riders")
    assert tuple(row or ()) == ("l3", 3)
    await schema.hear_riders(*states)  # once more, as after a restore of the group's place
    assert await schema.rider() == found


async def test_whose_state_has_left_the_topic_may_nothing_more(schema: Schema) -> None:
    """Whoever was away while the broker took the last state out meets the tombstone alone."""
    await schema.hear_riders(rider_is(version=5))
    await schema.hear_riders(rider_gone(version=4))
    found = await schema.rider()
    assert found is not None and found.active and found.consent, "that was an older state"
    await schema.hear_riders(rider_gone(version=7))
    for version in (5, 6, 7):  # a replay, and letters that somebody replays
        await schema.hear_riders(rider_is(version=version))
        ended = await schema.rider()
        assert ended is not None and (ended.active, ended.consent) == (False, False), version
    await schema.hear_riders(rider_is("r2", 1), rider_gone("r2", 1))
    other = await schema.rider("r2")
    assert other is not None and not other.active, "both in one batch"


async def test_an_erased_rider_never_comes_back(schema: Schema) -> None:
    await schema.hear_riders(rider_is(version=5), rider_is("r2"))
    await erase(schema)
    for state in (rider_is(version=5), rider_is(version=6), rider_gone(version=6), rider_is(version=9)):
        await schema.hear_riders(state)
        assert [row["number"] for row in await schema.pool.fetch("SELECT number FROM known_riders")] == ["r2"]
    found = await schema.rider()
    assert found is not None and found.erased and not found.active and not found.consent
    refusal = rider_refusal(found)
    assert refusal is not None and refusal.code == "rider_erased"
    assert found.number == number_mark(COMPANY, "r1") != "r1"


async def test_the_number_of_an_erased_rider_is_recognised(schema: Schema) -> None:
    await schema.hear_riders(rider_is(), rider_is("r2"))
    await erase(schema)
    await erase(schema, "never heard of")
    found = await schema.numbered("r1", "r2", "r3", "never heard of")
    assert {number: rider.erased for number, rider in found.items()} == {
        "r1": True, "r2": False, "never heard of": True,
    }  # fmt: skip
    assert found["r1"].rider_id == rider_id("r1") and found["r2"].number == "r2"


async def test_a_restored_list_erases_whom_the_backup_brought_back(schema: Schema) -> None:
    """`restore --erased` enters riders as not done, beside rows that have them as they once were."""
    await schema.hear_riders(rider_is(version=5))
    await schema.pool.execute(SQL_LISTED, rider_id("r1"), number_mark(COMPANY, "r1"))
    for found in (await schema.rider(), (await schema.numbered("r1"))["r1"]):
        assert found is not None and found.erased, "before the second pass"
    async with schema.pool.acquire() as conn:
        assert await store.inactive_among(conn, [rider_id("r1"), rider_id("r2")]) == {rider_id("r1")}
    assert await erasure(schema).settle() == 1
    assert await schema.pool.fetchval("SELECT count(*) FROM known_riders") == 0
    assert (await schema.numbered("r1"))["r1"].erased


async def test_who_left_is_handed_on_and_not_who_stays(schema: Schema) -> None:
    await schema.hear_riders(*(rider_is(number) for number in ("left", "gone", "stays")))
    assert schema.left == []
    await schema.hear_riders(rider_is("left", 2, active=False), rider_is("stays", 2, locale="en"))
    assert schema.left == [rider_id("left")]
    await schema.hear_riders(rider_is("left", 1, active=False), rider_gone("gone", 1), rider_gone("stays", 1))
    assert schema.left == [rider_id("left"), rider_id("gone")], "and nothing of what changed nothing"
    async with schema.pool.acquire() as conn:
        asked = [rider_id(number) for number in ("left", "gone", "stays", "unknown")]
        assert await store.inactive_among(conn, asked) == {rider_id("left"), rider_id("gone")}


async def test_numbers_are_kept_where_they_are_asked_for(schema: Schema) -> None:
    async with schema.work() as work:
        await follow_riders(Riders(), work, [rider_is(), rider_is("r2")])
    assert await schema.pool.fetchval("SELECT count(*) FROM known_riders WHERE number IS NULL") == 2


async def test_nobody_is_asked_for_nobody(schema: Schema) -> None:
    async with schema.pool.acquire() as conn:
        assert await store.by_id(conn, []) == {} == await store.by_number(conn, [])
        assert await store.inactive_among(conn, []) == set()
