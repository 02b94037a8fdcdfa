"""A company hears what is known of each of its reports, whole, whatever came first; of nobody else's."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from services.routing.domain import OUTSIDE
from services.tracking.store.outbound import CROWDED_VERSION
from services.tracking.usecases import export, read_journey
from services.tracking.usecases.outbound import REPORTS_AT_ONCE, follow_refusals, publish_changes
from shared.events.outbound_reports import OutboundReport
from shared.events.report_refused import REPORT_REFUSED, ReportRefused
from shared.events.report_routed import OUTSIDE_EVERY_GRID
from shared.kit.postgres.db import Pool
from tests.services.tracking.conftest import COMPANY, T0, Story
from tests.support import event_of, hear, work_on

SQL_SAID = "SELECT key, version, payload FROM outbox WHERE topic = $1 ORDER BY id"
SQL_ERASED = "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, 'erased:x', now())"


@pytest.fixture(autouse=True)
async def empty(tracking: Any) -> None:
    async with tracking.owner.acquire() as conn:
        await tracking.empty(conn)
        await conn.execute("TRUNCATE outbox")


async def said(pool: Pool, company: str = COMPANY) -> list[tuple[str, int, OutboundReport]]:
    """What the company is to hear, in order."""
    rows = await pool.fetch(SQL_SAID, f"outbound.{company}.reports.v1")
    return [(row["key"], row["version"], OutboundReport.model_validate_json(row["payload"])) for row in rows]


async def say(pool: Pool) -> int:
    """One turn of the piece of work."""
    async with work_on(pool) as work:
        return await publish_changes(work)


async def say_all(pool: Pool) -> None:
    while await say(pool):
        pass


async def test_each_stage_is_said(tracking: Any, pool: Pool) -> None:
    story = Story("F-1")
    outside = story.routed(1, 0.05, outcome="unroutable", grid_code=None, grid_name=None, reason=OUTSIDE_EVERY_GRID)
    batches = [
        ("reports", [story.received]),
        ("routings", [outside]),
        ("routings", [story.routed(2, department="water")]),
        ("cases", [story.case(1, "opened", "open", 0.2)]),
        ("points", [story.points(1, "held", 50, 0.3)]),
        ("cases", [story.case(2, "claimed", "claimed", 1)]),
        ("points", [story.points(2, "posted", 50, 5)]),
    ]
    for batch in batches:
        await tracking.hear(batch)
        assert await say(pool) == 1
    heard = await said(pool)
    assert [body.stage for _, _, body in heard] == [
        "accepted", "outside_map", "routed", "in_case", "in_case", "in_case", "in_case",
    ]  # fmt: skip
    assert {key for key, _, _ in heard} == {"F-1"}
    assert [version for _, version, _ in heard] == sorted({version for _, version, _ in heard})
    last = heard[-1][2]
    assert last.report_id == story.report_id
    assert last.routing is not None and (last.routing.grid_code, last.routing.department) == (
        "330114001002003", "water",
    )  # fmt: skip
    assert last.case is not None and (last.case.case_id, last.case.state) == (story.case_id, "claimed")
    assert last.points is not None and (last.points.state, last.points.amount) == ("posted", 50)
    assert await say(pool) == 0


async def test_what_came_first_makes_no_difference(tracking: Any, pool: Pool) -> None:
    for order in permutations(["reports", "routings", "cases", "points"]):
        story = Story(f"F-{'-'.join(order)}")
        for topic in order:
            for batch in story.whole():
                if batch[0] == topic:
                    await tracking.hear(batch)
                    await say(pool)
        mine = [(version, body) for key, version, body in await said(pool) if key == story.received.data.external_id]
        assert [version for version, _ in mine] == sorted({version for version, _ in mine}), order
        version, body = mine[-1]
        assert version == 1 + 2 + 5 + 2, order
        assert (body.stage, body.case and body.case.state, body.points and body.points.state) == (
            "in_case", "closed", "posted",
        ), order  # fmt: skip


async def test_a_place_that_a_person_has_to_look_at_is_not_outside(tracking: Any, pool: Pool) -> None:
    assert OUTSIDE == OUTSIDE_EVERY_GRID
    story = Story("F-2")
    vague = story.routed(1, outcome="unroutable", grid_code=None, grid_name=None, reason="vague")
    await tracking.hear(("reports", [story.received]), ("routings", [vague]))
    await say_all(pool)
    [(_, _, body)] = await said(pool)
    assert body.stage == "by_hand" and body.routing is not None and body.routing.reason == "vague"


async def test_what_happens_within_a_moment_is_said_once(tracking: Any, pool: Pool) -> None:
    await tracking.hear(*Story("F-3").whole())
    await say_all(pool)
    assert len(await said(pool)) == 1


async def test_of_riders_own_apps_and_of_erased_riders_nothing_is_said(tracking: Any, pool: Pool) -> None:
    own, left, other = Story("F-4", by_company=False), Story("F-5"), Story("F-6", "another-co")
    await tracking.hear(*own.whole(), *other.whole(), ("reports", [left.received]))
    await say_all(pool)
    await pool.execute(SQL_ERASED, left.rider_id)
    await tracking.hear(("routings", [left.routed()]))
    await say_all(pool)
    assert [(key, body.stage) for key, _, body in await said(pool)] == [("F-5", "accepted")]
    assert [key for key, _, _ in await said(pool, "another-co")] == ["F-6"]
    rows = await pool.fetch("SELECT payload FROM outbox WHERE topic LIKE 'outbound.%'")
    for row in rows:
        for secret in (own.rider_id, left.rider_id, other.rider_id, "王芳", "120.30", "井盖破损"):
            assert str(secret) not in bytes(row["payload"]).decode()


async def test_an_operators_words_about_points_stay_with_the_rider(tracking: Any, pool: Pool) -> None:
    story = Story("F-7")
    taken = story.points(1, "reversed", -50, 1)
    taken.data = taken.data.model_copy(update={"reason": "王先生 had asked"})
    none = Story("F-8")
    refused = none.points(1, "refused", 0, 1)
    refused.data = refused.data.model_copy(update={"reason": "already_reported"})
    await tracking.hear(("reports", [story.received, none.received]), ("points", [taken, refused]))
    await say_all(pool)
    reasons = {key: body.points and body.points.reason for key, _, body in await said(pool)}
    assert reasons == {"F-7": None, "F-8": "already_reported"}


async def test_a_crowd_is_gone_through_in_pages_and_a_later_step_begins_again(tracking: Any, pool: Pool) -> None:
    first = Story("C-0")
    crowd = [Story(f"C-{n}") for n in range(1, 2 * REPORTS_AT_ONCE + 200)]
    steps = [first.case(1, "opened", "open", 0.2)]
    for number, one in enumerate(crowd, start=2):
        report = {"report_id": one.report_id, "rider_id": one.rider_id, "company": COMPANY, "ordinal": number}
        steps.append(first.case(number, "attached", "open", number / 100, report=report, report_count=number))
    await tracking.hear(("reports", [one.received for one in (first, *crowd)]), ("cases", steps))
    await say_all(pool)
    assert len({key for key, _, _ in await said(pool)}) == len(crowd) + 1
    assert len(steps) > CROWDED_VERSION

    last = len(steps)
    await tracking.hear(("cases", [first.case(last + 1, "claimed", "claimed", 100)]))
    assert await say(pool) == REPORTS_AT_ONCE
    await tracking.hear(("cases", [first.case(last + 2, "handled", "handled", 101)]))
    turns = [REPORTS_AT_ONCE]
    while done := await say(pool):
        turns.append(done)
    assert max(turns) <= REPORTS_AT_ONCE
    latest = {key: (version, body.case and body.case.state) for key, version, body in await said(pool)}
    assert set(latest.values()) == {(1 + last + 2, "handled")}
    assert await pool.fetchval("SELECT count(*) FROM outbound_crowds") == 0


async def test_two_processes_take_turns(tracking: Any, pool: Pool) -> None:
    await tracking.hear(("reports", [Story("F-9").received]))
    async with work_on(pool) as one:
        assert await publish_changes(one) == 1
        assert await say(pool) == 0, "the other has not committed"
    await tracking.hear(("reports", [Story("F-10").received]))
    assert await say(pool) == 1


async def test_the_export_has_the_very_records_of_the_topic(tracking: Any, pool: Pool) -> None:
    """Version and body are those of the last record of each number; what the topic hasn't has none."""
    whole, early, own, left = Story("F-12"), Story("F-13"), Story("F-14", by_company=False), Story("F-15")
    await tracking.hear(*whole.whole(), ("reports", [early.received]), *own.whole(), ("reports", [left.received]))
    await pool.execute(SQL_ERASED, left.rider_id)
    await say_all(pool)
    latest = {key: (version, body) for key, version, body in await said(pool)}
    rows = {one.row.external_id: one async for page in export(pool, COMPANY) for one in page}
    assert rows.keys() == {"F-12", "F-13", "F-14", "F-15"} and latest.keys() == {"F-12", "F-13"}
    for number, (version, body) in latest.items():
        assert (rows[number].version, rows[number].body) == (version, body), number
    assert [(rows[number].version, rows[number].body) for number in ("F-14", "F-15")] == [(0, None)] * 2
    async with pool.acquire() as conn:
        journey = await read_journey(conn, whole.report_id)
    assert journey is not None and (journey.version, journey.stage) == (latest["F-12"][0], latest["F-12"][1].stage)


@pytest.mark.parametrize("before", [2, CROWDED_VERSION + 3])
async def test_those_who_join_a_case_change_nothing_for_others(tracking: Any, pool: Pool, before: int) -> None:
    """The export goes on having the topic's records, however many report the same thing later."""
    first = Story("J-1")
    await tracking.hear(("reports", [first.received]), ("cases", [first.case(1, "opened", "open", 0.2)]))
    steps = [first.case(number, "claimed", "claimed", number) for number in range(2, before + 1)]
    await tracking.hear(("cases", steps))
    await say_all(pool)
    late = [Story(f"J-{number}") for number in range(before + 1, before + 4)]
    for number, one in enumerate(late, start=before + 1):
        report = {"report_id": one.report_id, "rider_id": one.rider_id, "company": COMPANY, "ordinal": number}
        joined = first.case(number, "attached", "claimed", number, report=report, report_count=number)
        await tracking.hear(("reports", [one.received]), ("cases", [joined]))
    await say_all(pool)
    latest = {key: (version, body) for key, version, body in await said(pool)}
    assert latest["J-1"][0] == 1 + before
    rows = {one.row.external_id: (one.version, one.body) async for page in export(pool, COMPANY) for one in page}
    assert rows == latest
    async with pool.acquire() as conn:
        journey = await read_journey(conn, first.report_id)
    assert journey is not None and journey.version == latest["J-1"][0]


async def test_what_waits_is_said_with_the_reason_and_the_end(pool: Pool) -> None:
    until = T0 + timedelta(minutes=10)
    body = ReportRefused(
        external_id="F-16", company=COMPANY, code="consent_missing", detail="no consent", refused_at=T0,
        waits_until=until,
    )  # fmt: skip
    await hear(pool, follow_refusals, event_of(REPORT_REFUSED, body, 0))
    [(key, version, heard)] = await said(pool)
    assert (key, version, heard.stage, heard.refusal, heard.report_id) == ("F-16", 0, "waiting", None, None)
    assert heard.waiting is not None
    assert (heard.waiting.code, heard.waiting.detail, heard.waiting.until) == ("consent_missing", "no consent", until)


async def test_refusals_are_passed_on_in_the_letters_words(pool: Pool) -> None:
    body = ReportRefused(
        external_id="F-11", company=COMPANY, code="unknown_kind", detail="the catalogue has no such kind", refused_at=T0
    )
    await hear(pool, follow_refusals, event_of(REPORT_REFUSED, body, 0))
    [(key, version, heard)] = await said(pool)
    assert (key, version, heard.stage, heard.report_id, heard.changed_at) == ("F-11", 0, "refused", None, T0)
    assert heard.refusal is not None
    assert (heard.refusal.code, heard.refusal.detail) == ("unknown_kind", "the catalogue has no such kind")
