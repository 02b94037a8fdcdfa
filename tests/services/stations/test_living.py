"""What is so at a station: by hours, storms, keepers and riders; what is counted of it, on real Postgres."""

from datetime import timedelta

import pytest

from services.stations import problems
from services.stations.domain.hours import SpecialDay
from services.stations.states import states_with
from services.stations.store import stations as store
from services.stations.usecases import keeping, living, visiting
from services.stations.usecases.visiting import Place
from shared.events.deed_done import DEED_DONE
from shared.events.public_station_feedback_changed import PUBLIC_STATION_FEEDBACK_CHANGED
from shared.kit import clock
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from shared.kit.problems import NOT_FOUND, UNKNOWN_RIDER
from shared.kit.refusals import Refusal
from tests.services.stations.street import GRID, LAT, LNG, Street, details
from tests.support import published, work_on


async def test_a_station_is_made_changed_and_given_up(street: Street) -> None:
    one = await street.makes()
    assert (one.state, one.version, one.edition) == ("open", 2, 1)
    with pytest.raises(Refusal) as refused:
        await street.makes()
    assert refused.value.problem is problems.STATION_CODE_TAKEN
    async with work_on(street.pool) as work:
        locked = await keeping.lock_one(work, one.id)
        after = await keeping.change(street.rules, work, locked, 1, details(hours="1-7 00:00-00:01"))
    assert after.edition == 2
    async with work_on(street.pool) as work:
        locked = await keeping.lock_one(work, one.id)
        with pytest.raises(Refusal) as refused:
            await keeping.change(street.rules, work, locked, 1, details(name="晚了"))
    assert refused.value.problem is problems.STATION_EDITED and refused.value.extras == {"edition": 2}
    async with work_on(street.pool) as work:
        gone = await keeping.retire(street.rules, work, await keeping.lock_one(work, one.id), "搬迁")
    assert gone.state == "retired"
    async with work_on(street.pool) as work:
        back = await keeping.retire(street.rules, work, await keeping.lock_one(work, one.id), None)
    assert back.retired_reason is None
    assert [state for _, state in await street.said(one)][-2:] == ["gone", back.state]
    versions = [version for version, _ in await street.said(one)]
    assert versions == sorted(set(versions)), "each change has a version of its own"


async def test_what_nobody_knows_is_named(street: Street) -> None:
    with pytest.raises(Refusal) as refused:
        await street.makes(kind="castle", services=("rest", "moat"))
    assert [one["field"] for one in refused.value.extras["errors"]] == ["body.kind", "body.services"]


async def test_three_riders_find_it_closed_in_one_storm(street: Street) -> None:
    """A storm in which stations should be open: what riders find is counted under it, and a keeper confirms it."""
    one = await street.makes()
    storm = await street.period("weather", closes=False, areas=(GRID[:6],))
    first, second, third = await street.knows("r1", "r2", "r3")
    for rider in (first, first, second):
        assert (await street.sees(one, rider, "closed")).state == "open", "two riders aren't believed yet"
    assert (await street.sees(one, third, "closed")).state == "closed"
    [spell] = await street.spells(one)
    assert (spell.sightings, spell.period_id, spell.confirmed_at) == (3, storm.id, None)
    assert (await street.says(one, "closed", reason="钥匙不在")).state_reason == "钥匙不在"
    [spell] = await street.spells(one)
    assert (spell.confirmed_role, spell.confirmed_by, spell.sightings) == ("merchant", "keeper-1", 3)
    assert (await street.says(one, "open")).state == "open"
    [spell] = await street.spells(one)
    assert spell.ended_at is not None
    assert [state for _, state in await street.said(one)] == ["open", "closed", "closed", "open"]


async def test_riders_who_find_it_open_end_what_riders_said(street: Street) -> None:
    one = await street.makes()
    riders = await street.knows("r1", "r2")
    await street.sees(one, riders[0], "full")
    await street.sees(one, riders[1], "open")
    [spell] = await street.spells(one)
    assert spell.ended_at is not None and spell.denials == 1
    await street.says(one, "full")
    assert (await street.sees(one, riders[0], "open")).state == "full", "a keeper's word holds"


async def test_closed_when_it_ought_to_be_is_nothing_that_was_found(street: Street) -> None:
    one = await street.makes()
    await street.period("weather", closes=True)
    await street.ticks()
    [rider] = await street.knows("r1")
    assert (await street.sees(one, rider, "closed")).state == "weather"
    assert (await street.sees(one, rider, "full")).state == "weather"
    assert await street.spells(one) == []
    assert (await street.sees(one, rider, "fault", "water")).state == "weather"
    assert [spell.state for spell in await street.spells(one)] == ["fault"], "what is broken is"


async def test_a_storm_closes_the_stations_of_its_areas(street: Street) -> None:
    here, there = await street.makes("A"), await street.makes("B", area_code="330105001001001")
    storm = await street.period("weather", closes=True, areas=(GRID[:6],))
    assert await street.ticks() == 2
    assert [(await street.now(one)).state for one in (here, there)] == ["weather", "open"]
    async with work_on(street.pool) as work:
        await living.end_period(work, storm.id)
    await street.ticks()
    assert [state for _, state in await street.said(here)] == ["open", "weather", "open"]
    assert [state for _, state in await street.said(there)] == ["open"], "what hasn't changed isn't said"


async def test_holidays_spare_who_is_open_on_them_or_has_hours_of_the_day(street: Street) -> None:
    closed, spared, special = [
        await street.makes("A"), await street.makes("B", open_on_holidays=True), await street.makes("C")
    ]  # fmt: skip
    today = street.rules.day(clock.now())
    async with work_on(street.pool) as work:
        await keeping.lock_one(work, special.id)
        await living.set_day(street.rules, work, special.id, SpecialDay(today, "00:00-24:00", "春节值守"))
    await street.period("holiday", closes=True)
    await street.ticks()
    assert [(await street.now(one)).state for one in (closed, spared, special)] == ["day_off", "open", "open"]


async def test_faults_are_named_until_they_are_repaired(street: Street) -> None:
    one = await street.makes()
    assert (await street.says(one, "fault", "water", "热水器坏了")).faults == ("water",)
    assert (await street.says(one, "fault", "water")).state == "open", "a fault closes nothing"
    assert (await street.says(one, "repaired", "water")).faults == ()
    [rider] = await street.knows("r1")
    with pytest.raises(Refusal) as refused:
        await street.sees(one, rider, "fault", "call-13800138000")
    assert refused.value.problem is problems.STATIONS_FAULTY, "nobody writes words on the map"


async def test_what_ends_by_itself_ends_by_the_clock(street: Street) -> None:
    one = await street.makes()
    await street.says(one, "full", until=clock.now() - timedelta(seconds=1))
    await street.pool.execute("UPDATE stations SET next_at = now()")
    await street.ticks()
    assert (await street.now(one)).state == "open"


async def test_seconds_open_are_counted_by_the_citys_days(street: Street) -> None:
    one = await street.makes()
    await street.pool.execute("UPDATE stations SET settled_at = now() - interval '30 hours', next_at = now()")
    await street.ticks()
    assert [state for _, state in await street.said(one)] == ["open"], "a look, midnight's too, is no change"
    rows = await street.pool.fetch("SELECT day, open_s FROM station_days WHERE station_id = $1", one.id)
    assert sum(row["open_s"] for row in rows) == pytest.approx(30 * 3600, abs=3)
    assert all(row["open_s"] <= 86_400 for row in rows) and len(rows) in (2, 3)
    await street.says(one, "closed")
    await street.pool.execute("UPDATE stations SET settled_at = now() - interval '1 hour', next_at = now()")
    await street.ticks()
    again = await street.pool.fetchval("SELECT sum(open_s) FROM station_days WHERE station_id = $1", one.id)
    assert again == pytest.approx(30 * 3600, abs=3), "closed hours are not open ones"


async def test_a_visit_counts_once_and_asks_for_points(street: Street) -> None:
    one = await street.makes()
    [rider] = await street.knows("r1")
    assert await street.visits(one, rider) and not await street.visits(one, rider)
    near, far = Place(LNG + 0.0005, LAT, 30), Place(LNG + 0.02, LAT, 5_000)
    assert not await street.visits(one, rider, near), "by another way it is the same visit"
    with pytest.raises(Refusal) as refused:
        await street.visits(one, rider, far)
    assert refused.value.problem is problems.NOT_AT_THE_STATION
    with pytest.raises(Refusal) as refused:
        await street.visits(one, rider, "AAAAAAAAAA")
    assert refused.value.problem is problems.WRONG_STATION_CODE
    [deed] = [one for one in await published(street.pool) if one.get("action") == "station-visit"]
    assert (deed["area_code"], deed["confirmed_by"], deed["rider_id"]) == (GRID, one.code, str(rider))
    assert DEED_DONE.member("stations") == "stations.deed-done.v1"
    columns = await street.pool.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        " AND table_name IN ('visits', 'sightings') AND column_name IN ('lng', 'lat')"
    )
    assert columns == [], "where riders were is nowhere"


async def test_no_visit_to_what_is_closed_or_by_strangers(street: Street) -> None:
    one = await street.makes()
    [rider] = await street.knows("r1")
    await street.says(one, "closed")
    with pytest.raises(Refusal) as refused:
        await street.visits(one, rider)
    assert refused.value.problem is problems.STATION_NOT_OPEN and refused.value.extras == {"state": "closed"}
    with pytest.raises(Refusal) as refused:
        await street.visits(one, one.id)
    assert refused.value.problem is UNKNOWN_RIDER
    async with work_on(street.pool) as work:
        with pytest.raises(Refusal) as refused:
            await living.sight(street.rules, work, rider, rider, "closed", "")
    assert refused.value.problem is NOT_FOUND


async def test_visits_become_numbers_after_a_day(street: Street) -> None:
    one = await street.makes()
    riders = await street.knows("r1", "r2", "r3")
    for rider in riders:
        await street.visits(one, rider)
    await street.pool.execute(
        "UPDATE visits SET visited_at = now() - interval '2 days', visited_on = visited_on - 2 WHERE rider_id <> $1",
        riders[0],
    )
    async with work_on(street.pool) as work:
        assert 0 <= await store.behind_s(work.conn) < 60, "two days old, and no older"
        await work.conn.execute(
            "UPDATE visits SET visited_at = visited_at - interval '1 hour' WHERE rider_id = $1", riders[1]
        )
        assert await store.behind_s(work.conn) == pytest.approx(3_600, abs=60)
        assert await visiting.fold_visits(street.rules, 100, work) == 2
        assert await visiting.fold_visits(street.rules, 100, work) == 0
    assert await street.pool.fetchval("SELECT count(*) FROM visits") == 1
    assert await street.pool.fetchval("SELECT sum(visits) FROM station_days") == 2
    assert (await street.sound())["visits"] == 3


async def test_who_leaves_is_forgotten_and_stays_a_number(street: Street) -> None:
    one = await street.makes()
    leaver, other = await street.knows("r1", "r2")
    for rider in (leaver, other):
        await street.visits(one, rider)
        await street.sees(one, rider, "full")
        async with work_on(street.pool) as work:
            await visiting.give_feedback(street.rules, work, one.id, rider, 2, "没有热水")
    gone = Leaver(leaver, "erased:" + "0" * 40, clock.now())
    async with street.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [gone]))
        for _ in range(2):
            await visiting.forget(conn, [gone])
    for table in ("visits", "sightings", "feedback"):
        assert await street.pool.fetchval(f"SELECT count(*) FROM {table} WHERE rider_id = $1", leaver) == 0, table
    words = await street.pool.fetch("SELECT words, stars, state FROM feedback ORDER BY words")
    assert [tuple(row) for row in words] == [("", 2, "noted"), ("没有热水", 2, "waiting")]
    assert await street.pool.fetchval("SELECT sum(visits) FROM station_days") == 1
    assert (await street.sound())["visits"] == 2
    [spell] = await street.spells(one)
    assert spell.sightings == 2, "what was found stays a number"


async def test_words_wait_for_an_answer_and_get_one(street: Street) -> None:
    one = await street.makes()
    [rider] = await street.knows("r1")
    async with work_on(street.pool) as work:
        kept = await visiting.give_feedback(street.rules, work, one.id, rider, 1, "门锁着")
        assert kept.state == "waiting" and kept.due_at - kept.given_at == street.rules.answer
        with pytest.raises(Refusal) as refused:
            await visiting.give_feedback(street.rules, work, one.id, rider, 5, "")
        assert refused.value.problem is problems.FEEDBACK_GIVEN
        assert (await visiting.answer(work, one, kept.id, "已配钥匙", "op")).answer == "已配钥匙"
        with pytest.raises(Refusal) as refused:
            await visiting.answer(work, one, kept.id, "再答", "op")
    assert refused.value.problem is problems.FEEDBACK_ANSWERED
    said = await published(street.pool, PUBLIC_STATION_FEEDBACK_CHANGED, kept.id)
    assert [(body["version"], body["state"]) for body in said] == [(1, "waiting"), (2, "answered")]
    assert all({"words", "rider_id", "answer"}.isdisjoint(body) for body in said), "nobody outside reads who or what"


async def test_states_are_read_from_the_tables_once_more(street: Street) -> None:
    here, gone = await street.makes("A"), await street.makes("B")
    async with work_on(street.pool) as work:
        await keeping.retire(street.rules, work, await keeping.lock_one(work, gone.id), "拆除")
    await street.pool.execute("DELETE FROM outbox")
    [states] = states_with(street.rules)
    async with work_on(street.pool) as work:
        page = await states.publish(work, "", 10)
        counted = await states.count(work.conn)
    assert (counted.states, counted.tombstones, page.left_out) == (1, 1, 0)
    assert await street.said(here) == [(here.version, "open")]
    assert [state for _, state in await street.said(gone)] == ["gone"]
