"""Reports become cases: within a batch, between batches and between processes."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.cases import domain, store
from services.cases.domain import Order, Person
from services.cases.store.rows import Look
from services.cases.usecases import Wish
from shared.devtools.installation import Installation
from shared.events.case_changed import CaseChanged
from shared.kit.postgres.db import Pool
from shared.kit.postgres.rows import arrays
from tests.reads import analyze
from tests.services.cases.conftest import SEEN_AT

DISPATCHER = Person("d1", "李娜", frozenset({"dispatcher"}), lambda _: True, dispatches_to=lambda _: True)


async def test_a_new_thing_opens_a_case_with_the_limit_of_its_kind(cases: Any, routed: Any) -> None:
    event = routed(alternatives=("330114001002009",), text="井盖破损")
    work = await cases.report(event)
    (body,) = await cases.published()
    changed = CaseChanged.model_validate(body)
    assert (changed.state, changed.transition, body["version"]) == ("open", "opened", 1)
    assert changed.alternatives == ("330114001002009",)
    assert changed.opened_at == work.now
    assert changed.due_at == work.now + cases.rules.limit("part-01001", work.now)
    assert changed.report is not None
    assert (changed.report.report_id, changed.report.ordinal) == (event.data.report_id, 1)


async def test_reports_of_one_batch_may_be_of_one_thing(cases: Any, routed: Any) -> None:
    batch = [routed(), routed(1000), routed(10), routed(20), routed(10, kind="part-01002")]
    await cases.report(*batch)
    published = await cases.published()
    assert [(b["transition"], b["version"], b["report_count"]) for b in published] == [
        ("opened", 1, 1),
        ("opened", 1, 1),
        ("attached", 2, 2),
        ("attached", 3, 3),
        ("opened", 1, 1),
    ]
    assert published[2]["key"] == published[3]["key"] == published[0]["key"]
    assert [b["report"]["ordinal"] for b in published] == [1, 1, 2, 3, 1]
    async with cases.pool.acquire() as conn:
        assert await store.tallies(conn) | {"steps": 0} == {
            "reports": 5, "cases": 3, "open": 3, "live": 3, "closed": 0, "invalid": 0, "steps": 0,
        }  # fmt: skip


async def test_later_batches_attach_to_the_stored_case(cases: Any, routed: Any) -> None:
    first = routed()
    await cases.report(first)
    await cases.report(routed(5), routed(6, rider_id=first.data.rider_id))
    published = await cases.published()
    assert [(b["transition"], b["version"]) for b in published] == [("opened", 1), ("attached", 2), ("repeated", 3)]
    assert len({b["key"] for b in published}) == 1
    async with cases.pool.acquire() as conn:
        case = await store.case(conn, UUID(published[0]["key"]))
        assert case is not None
        assert (case.version, case.report_count) == (3, 2)
        assert [s.step for s in await store.steps(conn, case.case_id)] == ["opened", "attached", "repeated"]
        assert len(await store.words(conn, case.case_id, 0, 10)) == 3


async def test_other_times_and_finished_cases_open_another(cases: Any, routed: Any) -> None:
    await cases.report(routed())
    (opened,) = await cases.published()
    await cases.report(routed(occurred_at=routed().data.occurred_at + timedelta(hours=49)))
    assert (await cases.published())[-1]["transition"] == "opened"
    await cases.take(DISPATCHER, Wish(UUID(opened["key"]), Order("invalidated")))
    await cases.report(routed(1))
    last = (await cases.published())[-1]
    assert (last["transition"], last["key"] != opened["key"]) == ("opened", True)


async def test_unroutable_waits_and_a_report_counts_once(cases: Any, routed: Any) -> None:
    event = routed()
    waiting = routed(report_id=event.data.report_id, outcome="unroutable", grid_code=None, reason="outside")
    await cases.report(waiting)
    assert await cases.published() == []
    await cases.report(event, event)
    await cases.report(event, routed(500))
    assert [b["transition"] for b in await cases.published()] == ["opened", "opened"]


async def test_a_routed_report_without_grid_is_refused_not_retried(cases: Any, routed: Any) -> None:
    work = await cases.report(routed(grid_code=None), routed(100))
    assert [r.code for r in work.rejections] == ["grid_missing"]
    assert len(await cases.published()) == 1


async def test_processes_that_race_make_one_case_per_thing(cases: Any, routed: Any) -> None:
    """30 things, 8 reports each, spread over 8 transactions at once in different orders."""
    batches = [[routed(thing * 200 + copy) for thing in range(30)] for copy in range(8)]
    for number, batch in enumerate(batches):
        batch.sort(key=lambda event: (hash((number, event.data.report_id)),))
    await asyncio.gather(*(cases.report(*batch) for batch in batches))
    published = await cases.published()
    steps = Counter(body["transition"] for body in published)
    assert steps == {"opened": 30, "attached": 210}
    versions: dict[str, list[int]] = {}
    for body in published:
        versions.setdefault(body["key"], []).append(body["version"])
    assert all(seen == list(range(1, 9)) for seen in versions.values())
    per_case = await cases.pool.fetch(
        "SELECT array_agg(ordinal ORDER BY ordinal) AS o FROM case_reports GROUP BY case_id"
    )
    assert [row["o"] for row in per_case] == [list(range(1, 9))] * 30


async def test_without_the_lock_the_race_would_be_lost(
    cases: Any, routed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = asyncio.Barrier(8)

    async def no_lock(*_: object) -> None:
        await together.wait()

    monkeypatch.setattr(store, "lock_places", no_lock)
    batches = [[routed(thing * 200 + copy) for thing in range(30)] for copy in range(8)]
    await asyncio.gather(*(cases.report(*batch) for batch in batches))
    opened = [body for body in await cases.published() if body["transition"] == "opened"]
    assert len(opened) > 30, "the check above would not notice a missing lock"


async def test_a_case_closed_in_the_middle_is_not_attached_to(cases: Any, routed: Any) -> None:
    """The dispatcher holds the row when the report comes: the report waits, then opens a new case."""
    await cases.report(routed())
    (opened,) = await cases.published()
    async with cases.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await store.lock_cases(conn, [UUID(opened["key"])])
        arriving = asyncio.create_task(cases.report(routed(3)))
        await asyncio.sleep(0.2)
        assert not arriving.done()
        await conn.execute("UPDATE cases SET state = 'invalid', live = false, version = version + 1")
        await transaction.commit()
    await arriving
    assert (await cases.published())[-1]["transition"] == "opened"


async def test_steps_are_append_only(pool: Pool) -> None:
    for statement in ("UPDATE steps SET note = 'x'", "DELETE FROM steps"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_the_search_uses_its_index(cases: Any, routed: Any, installation: Installation) -> None:
    await cases.report(*(routed(number * 100) for number in range(300)))
    await analyze(installation, "cases", "cases", "case_reports")
    reach = domain.reach_of(120.3, 30.3, 30)
    cells = reach.cells
    async with cases.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        looks = [Look(0, "part-01001", cell, *reach[:4], 120.3, 30.3, SEEN_AT) for cell in cells]
        plan = await conn.fetch("EXPLAIN " + store.SQL_CANDIDATES, 48.0, *arrays(Look, looks))
    assert "cases_live_by_place" in "\n".join(row[0] for row in plan)
