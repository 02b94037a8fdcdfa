"""Places, waiting lists and draws, on real Postgres: capacity, order, once only, and what riders hear."""

from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from services.activities.domain import Activity, drawn_order, hash_of
from services.activities.store import signups as store
from services.activities.store.activities import Change
from services.activities.usecases import publishing
from services.activities.usecases.signing_up import Wish
from shared.events.public_activity_changed import PUBLIC_ACTIVITY_CHANGED
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from shared.kit.refusals import Refusal
from tests.services.activities.club import AREA, HOUR, Club
from tests.support import published, work_on


def code_of(outcome: object) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def changed(activity: Activity, **to: object) -> Change:
    values = {name: getattr(activity, name) for name in Change.__slots__}
    return Change(**{**values, **to})


async def test_first_come_first_served_and_the_next_one_moves_up(club: Club) -> None:
    activity = await club.publish(places=2)
    riders = await club.riders(4)
    made = await club.join(activity, *riders)
    assert [(one.number, one.state) for one in made] == [
        (1, "confirmed"), (2, "confirmed"), (3, "waiting"), (4, "waiting"),
    ]  # fmt: skip
    await club.cancel(activity, riders[1])
    assert await club.states(activity) == ["confirmed", "cancelled", "confirmed", "waiting"]
    assert await club.heard(riders[2]) == {"waiting": 1, "moved_up": 1}
    assert await club.heard(riders[1]) == {"confirmed": 1, "cancelled": 1}
    again = await club.cancel(activity, riders[1])
    assert again.state == "cancelled"
    [late] = await club.join(activity, riders[1])
    assert (late.number, late.state) == (5, "waiting"), "at the end of the line"
    seen = await club.seen(activity)
    assert (seen.signups, seen.confirmed, seen.waiting, seen.cancelled) == (5, 2, 2, 1)


async def test_who_has_a_sign_up_gets_it_again_in_one_batch_as_in_two(club: Club) -> None:
    activity = await club.publish(places=1)
    [rider] = await club.riders(1)
    first, second = await club.join(activity, rider, rider)
    [third] = await club.join(activity, rider)
    assert first == second == third
    with pytest.raises(asyncpg.UniqueViolationError, match="signups_once"):
        await club.pool.execute(
            """INSERT INTO signups (id, version, activity_id, rider_id, company, number, turn, photo_consent, state,
                                    signed_up_at) VALUES ($1, 1, $2, $3, '', 9, 9, false, 'waiting', now())""",
            new_id(), activity.id, rider,
        )  # fmt: skip


async def test_the_tables_let_no_place_be_given_twice(club: Club) -> None:
    activity = await club.publish(places=1)
    await club.join(activity, *await club.riders(2))
    with pytest.raises(asyncpg.CheckViolationError, match="never_oversold"):
        await club.pool.execute("UPDATE signups SET state = 'confirmed', confirmed_at = now()")


async def test_why_somebody_may_not_come(club: Club) -> None:
    everybody = await club.publish(places=1)
    theirs = await club.publish(companies=("kuai",))
    here = await club.publish(areas=(AREA,))
    closed = await club.publish()
    await club.signup_is_over(closed)
    [rider] = await club.riders(1)
    tree = AreaTree.of([KnownArea(AREA, "street", (), True), KnownArea("G1", "grid", (AREA,), True)])
    outcomes = await club.wish(
        Wish(rider, new_id()), Wish(new_id(), everybody.id), Wish(rider, theirs.id), Wish(rider, here.id),
        Wish(rider, here.id, area_code="G9", tree=tree), Wish(rider, closed.id), Wish(rider, everybody.id, team="red"),
    )  # fmt: skip
    assert [code_of(one) for one in outcomes] == [
        "not_found", "unknown_rider", "not_for_you_here", "not_for_you_here", "not_for_you_here", "signup_closed",
        "unknown_team",
    ]  # fmt: skip
    [full] = (await club.wish(Wish(rider, everybody.id), signups_max=0))[:1]
    assert code_of(full) == "list_full"
    [inside] = await club.wish(Wish(rider, here.id, area_code="G1", tree=tree))
    assert not isinstance(inside, Refusal)
    assert await club.pool.fetchval("SELECT to_jsonb(s)::text LIKE '%G1%' FROM signups s") is False, "not kept"


async def test_a_draw_is_the_one_that_was_promised(club: Club) -> None:
    activity = await club.publish(places=3, way="lot")
    riders = await club.riders(10)
    made = await club.join(activity, *riders)
    assert {one.state for one in made} == {"wished"}
    assert await club.draw() == 0, "sign-up still runs"
    await club.cancel(activity, riders[4])
    await club.signup_is_over(activity)
    assert await club.draw() == 1
    assert await club.draw() == 0
    seed = await club.pool.fetchval("SELECT seed FROM seeds WHERE activity_id = $1", activity.id)
    assert hash_of(seed) == activity.seed_hash
    order = drawn_order(seed, activity.id, 10, {5})
    rows = await club.pool.fetch("SELECT number, turn, state FROM signups WHERE state <> 'cancelled' ORDER BY turn")
    assert [row["number"] for row in rows] == order
    assert [row["state"] for row in rows] == ["confirmed"] * 3 + ["waiting"] * 6
    assert (await club.heard())["drawn"] == 3
    assert (await club.heard())["not_drawn"] == 6
    winner = riders[order[0] - 1]
    await club.cancel(activity, winner)
    assert await club.heard(riders[order[3] - 1]) == {"wished": 1, "not_drawn": 1, "moved_up": 1}
    [late] = await club.wish(Wish((await club.riders(1))[0], activity.id))
    assert code_of(late) == "signup_closed"
    await club.seen(activity)


async def test_city_systems_hear_counts_and_the_seed_only_after_the_draw(club: Club) -> None:
    activity = await club.publish(places=1, way="lot")
    await club.join(activity, *await club.riders(3))
    await club.join(activity, *await club.riders(3))
    assert await club.say() == 1
    assert await club.say() == 0, "many changes of a moment are one event"
    await club.signup_is_over(activity)
    await club.draw()
    await club.say()
    first, second = await published(club.pool, PUBLIC_ACTIVITY_CHANGED)
    assert (first["version"], first["wished"], first["signups"], first["seed"]) == (1, 6, 6, None)
    assert (second["version"], second["confirmed"], second["waiting"]) == (2, 1, 5)
    assert hash_of(second["seed"]) == first["seed_hash"] == activity.seed_hash
    assert not [name for name in first if "rider" in name]


async def test_more_places_are_given_on_and_another_time_is_heard_of(club: Club) -> None:
    activity = await club.publish(places=1)
    riders = await club.riders(3)
    await club.join(activity, *riders)
    async with work_on(club.pool) as work:
        more = await publishing.change(work, activity.id, changed(activity, places=2), lambda _: True)
    assert (more.confirmed, more.waiting, more.version) == (2, 1, 2)
    with pytest.raises(Refusal, match="moved on"):
        async with work_on(club.pool) as work:
            await publishing.change(work, activity.id, changed(more, places=1), lambda _: True)
    with pytest.raises(Refusal, match="moved on"):
        async with work_on(club.pool) as work:
            await publishing.change(work, activity.id, changed(activity, places=5), lambda _: True)
    with pytest.raises(Refusal, match="area"):
        async with work_on(club.pool) as work:
            await publishing.change(work, activity.id, changed(more), lambda _: False)
    later = changed(more, starts_at=more.starts_at + HOUR, ends_at=more.ends_at + HOUR)
    async with work_on(club.pool) as work:
        await publishing.change(work, activity.id, later, lambda _: True)
    assert (await club.heard())["changed"] == 3
    assert await club.heard(riders[1]) == {"waiting": 1, "moved_up": 1, "changed": 1}


async def test_called_off_everybody_hears_why_once(club: Club) -> None:
    activity = await club.publish(places=1)
    riders = await club.riders(3)
    await club.join(activity, *riders)
    await club.cancel(activity, riders[2])
    for _ in range(2):
        async with work_on(club.pool) as work:
            await publishing.call_off(work, activity.id, "暴雨预警", lambda _: True)
    assert (await club.heard())["called_off"] == 2
    seen = await club.seen(activity)
    assert (seen.state, seen.cancelled, seen.signups) == ("called_off", 3, 3)
    [late] = await club.wish(Wish((await club.riders(1))[0], activity.id))
    assert code_of(late) == "signup_closed"
    begun = await club.publish()
    await club.begins(begun, ago=HOUR)
    with pytest.raises(Refusal, match="moved on"):
        async with work_on(club.pool) as work:
            await publishing.call_off(work, begun.id, "太晚", lambda _: True)


async def test_who_leaves_for_good_is_forgotten_and_their_place_is_given_on(club: Club) -> None:
    activity = await club.publish(places=1)
    leaver, next_one = await club.riders(2)
    await club.join(activity, leaver, next_one, photo_consent=True)
    past = await club.publish(places=1)
    [was_there] = await club.join(past, leaver)
    await club.begins(past, ago=timedelta(0))
    await club.show(past, was_there)
    async with work_on(club.pool) as work:
        await work.conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [Leaver(leaver, "erased:" + "0" * 40, work.now)]))
        await store.forget(work.conn, [Leaver(leaver, "erased:" + "0" * 40, work.now)])
    for table in ("signups", "check_ins", "feedback"):
        assert await club.pool.fetchval(f"SELECT count(*) FROM {table} WHERE rider_id = $1", leaver) == 0, table
    assert await club.states(activity) == ["cancelled", "waiting"]
    assert await club.move_up() == 1
    assert await club.states(activity) == ["cancelled", "confirmed"]
    assert (await club.seen(past)).attended == 1, "that somebody was there stays"
    [again] = await club.wish(Wish(leaver, activity.id))
    assert code_of(again) == "rider_erased"


async def test_a_series_is_made_of_a_template(club: Club) -> None:
    zone, days = ZoneInfo("Asia/Shanghai"), (date(2030, 5, 8), date(2030, 5, 6), date(2030, 5, 6))
    series = publishing.Series("service-week", days, AREA, "驿站", "st-1", "街道", (), (), 2 * HOUR)
    async with work_on(club.pool) as work:
        made = await publishing.create_series(work, zone, series, "op")
    assert [one.starts_at.astimezone(zone).isoformat()[:16] for one in made] == ["2030-05-06T13:00", "2030-05-08T13:00"]
    assert {one.ends_at - one.starts_at for one in made} == {2 * HOUR}
    assert {one.starts_at - one.signup_until for one in made} == {2 * HOUR}
    assert len({one.series_id for one in made}) == 1
    teams = await club.pool.fetch("SELECT code FROM teams WHERE activity_id = $1", made[0].id)
    assert len(teams) == 10
    async with work_on(club.pool) as work:
        served = await publishing.serve(work, made[0].id, "haircut", 126, 1, lambda _: True)
    assert (served.served, served.version) == (126, 2)
    with pytest.raises(Refusal, match="moved on"):
        async with work_on(club.pool) as work:
            await publishing.serve(work, made[0].id, "haircut", 3, 1, lambda _: True)
    with pytest.raises(Refusal, match="no such template"):
        async with work_on(club.pool) as work:
            await publishing.create_series(
                work, zone, publishing.Series("none", days, AREA, "x", None, "y", (), (), HOUR), "op"
            )


async def test_turns_are_kept_in_the_order_of_coming(club: Club) -> None:
    activity = await club.publish(places=5)
    riders = await club.riders(20)
    await club.join(activity, *riders)
    for rider in riders[:5]:
        await club.cancel(activity, rider)
    rows = await club.pool.fetch(
        "SELECT number FROM signups WHERE state = 'confirmed' AND activity_id = $1 ORDER BY confirmed_at", activity.id
    )
    numbers = [row["number"] for row in rows]
    assert numbers == [6, 7, 8, 9, 10]
    assert all(one < other for one, other in pairwise(numbers))
