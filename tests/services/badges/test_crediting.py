"""What is counted of what points say, on real Postgres: in any order, once, and taken off again."""

import random
from datetime import timedelta

from services.badges.usecases import levelling
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from tests.services.badges.hive import ZONE, Deed, Hive

NOON = (clock.now().astimezone(ZONE) - timedelta(days=60)).replace(hour=12, minute=0, second=0, microsecond=0)


async def test_credited_reports_count_and_badges_follow(hive: Hive) -> None:
    rider = new_id()
    deeds = [Deed(rider, 100) for _ in range(10)]
    await hive.hears(*(event for deed in deeds for event in deed.credited(NOON)))
    found = await hive.standing(rider)
    assert (found.points, found.reports, found.streak) == (1_000, 10, 1)
    assert await hive.badges(rider) == {"first-report": True, "reports-10": True, "points-1000": True}
    assert sorted(await hive.said()) == sorted(
        (1, str(rider), code) for code in ("first-report", "reports-10", "points-1000")
    )
    assert await hive.sound() == {"points": 1_000, "reports": 10, "awards": 3}


async def test_heard_twice_it_changes_and_says_nothing(hive: Hive) -> None:
    rider = new_id()
    events = [event for _ in range(3) for event in Deed(rider).credited(NOON)]
    await hive.hears(*events)
    before = await hive.standing(rider), await hive.said(), await hive.sound()
    for _ in range(2):
        await hive.hears(*events)
        await hive.hears(*reversed(events))
    assert (await hive.standing(rider), await hive.said(), await hive.sound()) == before


async def test_any_order_and_any_batches_come_to_the_same(hive: Hive) -> None:
    chance = random.Random(5)
    made = []
    for _ in range(8):
        rider, events = new_id(), []
        for day in (0, 1, 2, 4, 5, 6, 7):
            deed, at = Deed(rider, 100), NOON + timedelta(days=day)
            events += [deed.says("held", at), deed.says("posted", at + timedelta(days=1))]
            if day == 2:
                events.append(deed.says("reversed", at + timedelta(days=3)))
        chance.shuffle(events)
        cut = chance.randrange(1, len(events))
        await hive.hears(*events[:cut])
        await hive.hears(*events[cut:])
        found = await hive.standing(rider)
        made.append((found.points, found.reports, found.streak, found.best_streak, found.streak_on))
    assert set(made) == {(600, 6, 4, 4, (NOON + timedelta(days=7)).date())}
    await hive.sound()


async def test_days_in_a_row_are_the_citys_and_those_of_the_reports(hive: Hive) -> None:
    """Reported late in the evening, credited days later by an office that was closed."""
    rider, late = new_id(), NOON.replace(hour=23, minute=30)
    for day in range(7):
        deed = Deed(rider)
        await hive.hears(deed.says("held", late + timedelta(days=day)))
        await hive.hears(deed.says("posted", late + timedelta(days=9)))
    assert (await hive.standing(rider)).best_streak == 7
    assert "streak-7" in await hive.badges(rider)


async def test_what_is_taken_back_takes_the_badge_until_it_is_earned_again(hive: Hive) -> None:
    rider, deed = new_id(), Deed(new_id())
    deed.rider = rider
    await hive.hears(*deed.credited(NOON))
    await hive.hears(deed.says("reversed"))
    assert await hive.badges(rider) == {"first-report": False}
    assert (await hive.standing(rider)).points == 0
    await hive.hears(*Deed(rider).credited(NOON))
    assert await hive.badges(rider) == {"first-report": True}
    assert len(await hive.said()) == 1, "it was awarded once"
    await hive.sound()


async def test_a_hold_that_is_heard_after_its_posting_moves_the_day(hive: Hive) -> None:
    """Three reports of three days, all posted on the fourth: heard in this order it looks like one day at first."""
    rider, posted = new_id(), NOON + timedelta(days=3)
    deeds = [Deed(rider) for _ in range(3)]
    await hive.hears(*(deed.says("posted", posted) for deed in deeds))
    assert (await hive.standing(rider)).best_streak == 1
    await hive.hears(*(deed.says("held", NOON + timedelta(days=n)) for n, deed in enumerate(deeds)))
    found = await hive.standing(rider)
    assert (found.streak, found.best_streak, found.streak_on) == (3, 3, (NOON + timedelta(days=2)).date())
    assert (found.points, found.reports) == (150, 3), "and counts once"
    await hive.sound()


async def test_a_claw_back_breaks_the_longest_streak_and_takes_its_badge(hive: Hive) -> None:
    rider, deeds = new_id(), [Deed(new_id()) for _ in range(9)]
    for n, deed in enumerate(deeds):
        deed.rider = rider
        await hive.hears(*deed.credited(NOON + timedelta(days=n + (n == 8) * 5)))
    found = await hive.standing(rider)
    assert (found.best_streak, found.best_on, found.streak) == (8, (NOON + timedelta(days=7)).date(), 1)
    assert (await hive.badges(rider))["streak-7"]
    await hive.hears(deeds[2].says("reversed"))
    found = await hive.standing(rider)
    assert (found.best_streak, found.best_on, found.streak) == (5, (NOON + timedelta(days=7)).date(), 1)
    assert not (await hive.badges(rider))["streak-7"]


async def test_a_streak_of_days_that_were_swept_stays(hive: Hive) -> None:
    rider, long_ago, now = new_id(), clock.now() - timedelta(days=500), clock.now()
    for n in range(7):
        await hive.hears(*Deed(rider).credited(long_ago + timedelta(days=n)))
    await hive.pool.execute("DELETE FROM deeds")
    last = Deed(rider)
    await hive.hears(*last.credited(now))
    assert ((await hive.standing(rider)).best_streak, (await hive.standing(rider)).streak) == (7, 1)
    await hive.hears(last.says("reversed"))
    assert ((await hive.standing(rider)).best_streak, (await hive.badges(rider))["streak-7"]) == (7, True)


async def test_what_expires_is_adjusted_or_is_no_deed_does_not_count(hive: Hive) -> None:
    rider = new_id()
    await hive.hears(
        Deed(rider).says("expired", source="expiry"), Deed(rider).says("adjusted", source="adjustment"),
        Deed(rider).says("posted", source="adjustment"), *(Deed(rider).credited(NOON)),
    )  # fmt: skip
    assert (await hive.standing(rider)).reports == 1
    await hive.hears(Deed(rider).says("posted", NOON, source="deed"))
    assert (await hive.standing(rider)).reports == 2, "another service's deed does"


async def test_redemptions_voids_and_refusals_are_no_deeds(hive: Hive) -> None:
    rider = new_id()
    await hive.hears(Deed(rider).says("posted", source="redemption"), Deed(rider).says("voided"))
    assert (await hive.standing(rider)).reports == 0 and await hive.sound() == {"points": 0, "reports": 0, "awards": 0}


async def test_who_leaves_is_forgotten_and_does_not_come_back(hive: Hive) -> None:
    rider, other = new_id(), new_id()
    events = [*Deed(rider).credited(NOON), *Deed(other).credited(NOON)]
    await hive.hears(*events)
    leaver = Leaver(rider, "erased:" + "0" * 40, NOON)
    async with hive.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        await levelling.forget(conn, [leaver])
    await hive.hears(*events, *Deed(rider).credited(NOON))
    for table in ("standings", "deeds", "days", "awards"):
        assert await hive.pool.fetchval(f"SELECT count(*) FROM {table} WHERE rider_id = $1", rider) == 0, table
    assert await hive.sound() == {"points": 50, "reports": 1, "awards": 1}
