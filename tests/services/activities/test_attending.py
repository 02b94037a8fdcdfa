"""Reminders, check-in, the books closed, feedback and photos, on real Postgres."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from services.activities.domain import rider_code, site_code
from services.activities.store import after
from services.activities.store import signups as store
from services.activities.store.after import Photo
from services.activities.usecases import attending
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.activities.club import DOOR, HOUR, KEY, Club
from tests.support import work_on


async def test_everybody_with_a_place_is_reminded_once(club: Club) -> None:
    activity = await club.publish(places=2)
    await club.join(activity, *await club.riders(3))
    assert await club.remind() == 0, "it is in a week"
    await club.pool.execute(
        "UPDATE activities SET signup_until = now() + interval '1 hour', starts_at = now() + interval '23 hours',"
        " ends_at = now() + interval '25 hours'"
    )
    assert await club.remind() == 0, "they have just read when it is"
    await club.pool.execute("UPDATE signups SET confirmed_at = now() - interval '2 days' WHERE state = 'confirmed'")
    assert await club.remind() == 2
    assert await club.remind() == 0
    assert (await club.heard())["reminded"] == 2


async def test_a_check_in_is_once_however_often_the_code_is_shown(club: Club) -> None:
    activity = await club.publish(places=1)
    riders = await club.riders(2)
    mine, waits = await club.join(activity, *riders)
    with pytest.raises(Refusal, match="closed"):
        await club.show(activity, mine)
    await club.begins(activity, ago=timedelta(minutes=5))
    checked = await asyncio.gather(*(club.show(activity, mine) for _ in range(8)))
    assert len({one.deed_id for one in checked}) == 1
    with pytest.raises(Refusal, match="No place"):
        await club.show(activity, waits)
    for wrong in ("1-000000", "99-123456", "nonsense", rider_code(b"another key", mine)):
        if wrong != rider_code(KEY, mine):
            with pytest.raises(Refusal, match="not right"):
                await club.show(activity, mine, wrong)
    [deed] = await club.deeds()
    assert (deed["action"], deed["rider_id"], deed["state"]) == ("activity-attended", str(riders[0]), "done")
    assert deed["confirmed_by"] == activity.area_code
    assert (await club.seen(activity)).attended == 1


async def test_a_check_in_by_mistake_is_undone_and_its_deed_withdrawn(club: Club) -> None:
    activity = await club.publish(places=1)
    [mine] = await club.join(activity, *await club.riders(1))
    await club.begins(activity, ago=timedelta(minutes=5))
    checked = await club.show(activity, mine)

    async def undo(reason: str) -> object:
        async with work_on(club.pool) as work:
            return await attending.undo(work, await club.seen(activity), 1, reason)

    await undo("看错了码")
    with pytest.raises(Refusal, match="no such check-in"):
        await undo("再一次")
    done, gone = await club.deeds()
    assert (gone["state"], gone["version"], gone["reason"]) == ("withdrawn", 2, "看错了码")
    same = {name for name in done if name not in ("state", "reason", "changed_at", "version")}
    assert {name: done[name] for name in same} == {name: gone[name] for name in same}
    assert (await club.seen(activity)).attended == 0
    assert (await club.show(activity, mine)).deed_id != checked.deed_id
    await club.begins(activity, ago=4 * HOUR)
    await club.close()
    with pytest.raises(Refusal, match="closed"):
        await undo("太晚了")


async def test_the_places_code_lets_in_who_has_a_place(club: Club) -> None:
    activity = await club.publish(places=1)
    rider, waits, stranger = await club.riders(3)
    await club.join(activity, rider, waits)
    await club.begins(activity, ago=timedelta(minutes=5))

    async def enter(who: object, code: str) -> object:
        async with work_on(club.pool) as work:
            return await attending.check_in_at_site(DOOR, work, activity.id, code, who)  # type: ignore[arg-type]

    good, old = (site_code(KEY, activity.id, clock.now() - timedelta(minutes=ago)) for ago in (0, 30))
    with pytest.raises(Refusal, match="not right"):
        await enter(rider, old)
    first = await enter(rider, good)
    assert await enter(rider, good) == first
    with pytest.raises(Refusal, match="No place"):
        await enter(waits, good)
    with pytest.raises(Refusal, match="no such signup"):
        await enter(stranger, good)
    assert len(await club.deeds()) == 1


async def test_who_did_not_come_is_a_no_show_and_the_books_are_closed(club: Club) -> None:
    activity = await club.publish(places=3)
    made = await club.join(activity, *await club.riders(4))
    await club.begins(activity, ago=HOUR)
    await club.show(activity, made[0])
    assert await club.close() == 0
    await club.begins(activity, ago=4 * HOUR)
    assert await club.close() == 1
    assert await club.close() == 0
    seen = await club.seen(activity)
    assert (seen.state, seen.attended, seen.no_shows, seen.waiting) == ("over", 1, 2, 1)
    with pytest.raises(Refusal, match="closed"):
        await club.show(activity, made[1])


async def test_who_was_there_says_how_it_was_once(club: Club) -> None:
    activity = await club.publish(places=2)
    riders = await club.riders(2)
    made = await club.join(activity, *riders)
    await club.begins(activity, ago=timedelta(minutes=5))
    await club.show(activity, made[0])
    for stars, words in ((2, "人多"), (5, "很好")):
        async with work_on(club.pool) as work:
            await attending.say_opinion(work, activity.id, riders[0], stars, words)
    with pytest.raises(Refusal, match="not there"):
        async with work_on(club.pool) as work:
            await attending.say_opinion(work, activity.id, riders[1], 1, "没去")
    async with club.pool.acquire() as conn:
        [said] = await after.opinions(conn, activity.id, after_id(), 10)
        assert await after.stars(conn, activity.id) == after.Stars(1, 5)
    assert (said.stars, said.words) == (5, "很好")


async def test_a_photo_is_shown_while_everybody_on_it_agrees(club: Club) -> None:
    activity = await club.publish(places=3)
    riders = await club.riders(3)
    await club.join(activity, *riders[:2], photo_consent=True)
    await club.join(activity, riders[2])

    async def add(*numbers: int) -> bool:
        async with work_on(club.pool) as work:
            photo = Photo(new_id(), "https://photos.example/1", "", work.now)
            return await after.add_photo(work.conn, activity.id, photo, numbers, "op")

    async def shown() -> int:
        async with club.pool.acquire() as conn:
            return len(await after.photos(conn, activity.id, after_id(), 10))

    assert not await add(1, 3), "the third has not agreed"
    assert not await add(1, 99)
    assert await add(1, 2)
    assert await add()
    assert await shown() == 2
    async with work_on(club.pool) as work:
        await store.consent(work.conn, activity.id, riders[1], False)
    assert await shown() == 1


def after_id() -> UUID:
    return UUID(int=0)
