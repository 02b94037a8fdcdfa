"""What is found of where riders report, how often and with which pictures, on real Postgres."""

import random
from datetime import timedelta
from uuid import UUID

import pytest

from services.screening import usecases
from services.screening.store import reports as store
from shared.events.report_routed import REPORT_ROUTED
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from tests.services.screening.street import Screen, noon, photo, report
from tests.support import event_of, rider_is, work_on

SHOWN = 0x00FF00FF00FF00FF


def ids(events: list) -> list[UUID]:
    return [event.data.report_id for event in events]


async def test_of_too_many_within_minutes_all_are_found(screen: Screen) -> None:
    rider, at = new_id(), noon()
    calm = report(rider, at - timedelta(minutes=30))
    burst = [report(rider, at + timedelta(minutes=n), 0.01 * n) for n in range(7)]
    await screen.hears(calm, *burst[:6])
    assert await screen.found() == {}
    await screen.hears(burst[6])
    assert await screen.found() == {one: {"velocity"} for one in ids(burst)}, "also those with which it began"
    said = await screen.said()
    assert {(version, body.state, body.reasons) for version, body in said} == {(1, "raised", ("velocity",))}
    assert {body.report_id for _, body in said} == set(ids(burst))
    await screen.hears(*(report(new_id(), at + timedelta(minutes=n), 0.01 * n) for n in range(20)))
    assert len(await screen.found()) == 7, "many riders at one time are no burst"


async def test_a_days_reports_are_counted_by_the_citys_day(screen: Screen) -> None:
    rider, midnight = new_id(), noon(2) + timedelta(hours=12)
    today = [report(rider, midnight + timedelta(minutes=11 * n + 1), 0.01 * n) for n in range(42)]
    before = [report(rider, midnight - timedelta(minutes=11 * n + 1), 0.01 * n) for n in range(30)]
    await screen.hears(*before, *today)
    assert await screen.found() == {one: {"per_day"} for one in ids(today)[40:]}


async def test_whoever_is_too_far_for_the_time_is_found_by_their_vehicle(screen: Screen) -> None:
    walks, drives, at = new_id(), new_id(), noon()
    await screen.hears(rider_is(walks, kind="courier"), rider_is(drives, kind="ride_hailing"))
    far = [report(one, at + timedelta(minutes=n * 4), 8.0 * n) for one in (walks, drives) for n in range(2)]
    await screen.hears(*far)
    assert await screen.found() == {ids(far)[1]: {"impossible_travel"}}, "8 km in 5 minutes: 96 km/h"
    near = [report(walks, at + timedelta(days=1, seconds=n), 1.4 * n) for n in range(2)]
    await screen.hears(*near)
    assert len(await screen.found()) == 1, "phones are wrong by a street"


async def test_any_order_and_any_batches_find_the_same(screen: Screen) -> None:
    rider, at = new_id(), noon()
    events = [report(rider, at + timedelta(minutes=n), 0.02 * n) for n in range(9)]
    events.append(report(rider, at + timedelta(minutes=14), 30.0))
    chance = random.Random(4)
    await screen.hears(*events)
    first = await screen.found()
    assert set().union(*first.values()) == {"velocity", "impossible_travel"}
    for _ in range(6):
        await screen.pool.execute("DELETE FROM suspicions")
        await screen.pool.execute("DELETE FROM sightings")
        chance.shuffle(events)
        cut = chance.randrange(1, len(events))
        await screen.hears(*events[:cut])
        await screen.hears(*events[cut:])
        found = await screen.found()
        assert {one for one, why in found.items() if "velocity" in why} == {
            one for one, why in first.items() if "velocity" in why
        }
        assert ids([max(events, key=lambda one: one.data.occurred_at)])[0] in found


async def test_heard_twice_it_changes_and_says_nothing(screen: Screen) -> None:
    rider, at = new_id(), noon()
    burst = [report(rider, at + timedelta(minutes=n), photos=(photo("a", SHOWN),)) for n in range(8)]
    await screen.hears(*burst)
    before = await screen.found(), await screen.said(), await screen.tallies()
    for _ in range(2):
        await screen.hears(*burst)
        await screen.hears(*reversed(burst))
    assert (await screen.found(), await screen.said(), await screen.tallies()) == before


async def test_the_very_same_picture_raises_the_second_report(screen: Screen) -> None:
    at = noon()
    first = report(new_id(), at, photos=(photo("a", SHOWN),))
    second = report(new_id(), at + timedelta(hours=3), grid="G9", photos=(photo("a", SHOWN), photo("b", 7)))
    await screen.hears(second)
    await screen.hears(first)
    assert await screen.found() == {second.data.report_id: {"repeated_photo"}}, "the later one, though heard first"
    rider = new_id()
    again = [report(rider, at + timedelta(seconds=40 * n), photos=(photo("c", 5),)) for n in range(2)]
    await screen.hears(*again)
    assert len(await screen.found()) == 1, "filed twice by an app that got no answer"


async def test_nearly_the_same_picture_elsewhere(screen: Screen) -> None:
    mine, other, at = new_id(), new_id(), noon(3)
    shown = [photo("a", SHOWN), photo("b", SHOWN ^ 0b101), photo("c", SHOWN ^ (0b1111 << 8)), photo("d", SHOWN ^ 1)]
    await screen.hears(report(mine, at, photos=(shown[0],)))
    elsewhere = report(mine, at + timedelta(days=1), grid="G2", photos=(shown[1],))
    unlike = report(mine, at + timedelta(days=1, hours=5), grid="G3", photos=(shown[2],))
    others = report(other, at + timedelta(days=1, hours=7), grid="G4", photos=(shown[3],))
    same_thing = report(new_id(), at + timedelta(minutes=9), photos=(photo("e", SHOWN ^ (0b111 << 40)),))
    await screen.hears(elsewhere)
    await screen.hears(unlike, others, same_thing)
    found = await screen.found()
    assert found[elsewhere.data.report_id] == {"edited_photo"}
    assert unlike.data.report_id not in {body.report_id for _, body in await screen.said()}
    tallies = await screen.tallies()
    assert found[others.data.report_id] == {"similar_photo"} and tallies["watched"] >= 1, (
        "another rider's alone is too little"
    )
    assert same_thing.data.report_id not in found, "two who stand before one thing"


async def test_where_a_grid_is_not_known_nothing_is_elsewhere(screen: Screen) -> None:
    """Two who stand before one thing, of which one's place was too vague; and one report that was filed twice."""
    at, mine = noon(), new_id()
    named = report(new_id(), at, photos=(photo("a", SHOWN),))
    vague = report(new_id(), at + timedelta(minutes=5), grid=None, photos=(photo("b", SHOWN ^ 0b11),))
    twice = [report(mine, at + timedelta(seconds=40 * n), grid=None, photos=(photo("c", 7 << 30),)) for n in range(2)]
    await screen.hears(named, vague, *twice)
    assert await screen.found() == {}
    other = vague.data.model_copy(update={"grid_code": "G2", "outcome": "routed"})
    await screen.hears(event_of(REPORT_ROUTED, other, 2))
    assert await screen.found() == {other.report_id: {"similar_photo"}}, "then somebody has named its grid"


async def test_pictures_of_the_night_are_not_compared(screen: Screen) -> None:
    dark = [report(new_id(), noon(), grid=f"G{n}", photos=(photo(f"{n}", 1 << 63),)) for n in range(5)]
    await screen.hears(*dark)
    assert await screen.found() == {}


async def test_a_grid_that_a_person_named_later_is_taken_over(screen: Screen) -> None:
    report_id, rider, at = new_id(), new_id(), noon()
    shown = (photo("a", SHOWN),)
    await screen.hears(report(rider, at, grid=None, photos=shown, report_id=report_id))
    await screen.hears(report(rider, at, grid="G5", photos=shown, report_id=report_id, version=2))
    row = await screen.pool.fetchrow(
        "SELECT s.grid_code, p.grid_code AS of_photo FROM sightings s JOIN photos p USING (report_id)"
    )
    assert tuple(row) == ("G5", "G5")


async def test_nobody_is_held_against_who_has_left(screen: Screen) -> None:
    """Their report comes late, in one batch with another's of the same picture."""
    gone, stays, at = new_id(), new_id(), noon()
    await erase(screen, gone)
    shown = (photo("a", SHOWN),)
    theirs = report(gone, at, photos=shown)
    later = report(gone, at + timedelta(hours=5), grid="G8", photos=shown)
    await screen.hears(theirs, report(stays, at + timedelta(hours=1), grid="G2", photos=shown), later)
    assert await screen.found() == {} and await screen.pool.fetchval("SELECT count(*) FROM suspicions") == 0
    await screen.hears(theirs)
    assert await screen.found() == {}


async def test_words_about_who_leaves_go_from_all_reports_of_the_decision(screen: Screen) -> None:
    """A ring is decided on at once, with one note for all of it; what is decided later about them keeps none."""
    leaves, stays, other = riders = new_id(), new_id(), new_id()
    bursts = {rider: [report(rider, noon() + timedelta(minutes=n), 0.01 * n) for n in range(7)] for rider in riders}
    await screen.hears(*(event for burst in bursts.values() for event in burst))

    async def decide(note: str, *decided: UUID) -> None:
        async with work_on(screen.pool) as work:
            await usecases.decide(work, sorted(decided), "cleared", "op", note)

    first = {rider: ids(burst)[0] for rider, burst in bursts.items()}
    await decide("阿芳与同伴", first[leaves], first[stays])
    await decide("a market day", first[other])
    await erase(screen, leaves)
    await decide("阿芳 again", ids(bursts[leaves])[1])
    rows = await screen.pool.fetch("SELECT report_id, note FROM suspicions WHERE state = 'cleared'")
    notes = {row["report_id"]: row["note"] for row in rows}
    assert notes == {first[leaves]: "", first[stays]: "", first[other]: "a market day", ids(bursts[leaves])[1]: ""}


async def erase(screen: Screen, rider: UUID) -> None:
    leaver = Leaver(rider, "erased:" + "0" * 40, noon())
    async with screen.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        await store.forget(conn, [leaver])


@pytest.mark.parametrize("first", [True, False])
async def test_who_leaves_is_forgotten_and_does_not_come_back(screen: Screen, first: bool) -> None:
    rider, at = new_id(), noon()
    burst = [report(rider, at + timedelta(minutes=n), photos=(photo("a", SHOWN),)) for n in range(8)]
    if first:
        await screen.hears(rider_is(rider), *burst)
    await erase(screen, rider)
    await screen.hears(rider_is(rider, 2), *burst)
    for table in ("sightings", "photos", "vehicles", "meetings", "verdicts"):
        assert await screen.pool.fetchval(f"SELECT count(*) FROM {table} WHERE rider_id = $1", rider) == 0, table
    decided = await screen.pool.fetchval("SELECT count(*) FROM suspicions WHERE rider_id = $1", rider)
    assert (decided > 0) == first, "what was found stays with an id that leads to nobody"
