"""Steps against the real schema: conditional, in batches, and under races."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.cases import store
from services.cases.domain import Order, Person, Step, Taken
from services.cases.store.listing import Listing, page
from services.cases.usecases import Wish
from shared.kit.areas import NO_MAP, AreaTree, KnownArea
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal

GRID, OTHER = "330114001002003", "330114001002009"


def person(person_id: str, role: str, *areas: str) -> Person:
    def covers(code: str) -> bool:
        return any(NO_MAP.covers(area, code) for area in areas)

    return Person(person_id, f"人{person_id}", frozenset({role}), covers, dispatches_to=covers)


WORKER, VERIFIER, DISPATCHER = (
    person("w1", "grid_worker", GRID),
    person("v1", "verifier", "330114"),
    person("d1", "dispatcher", "330114001"),
)


async def open_cases(cases: Any, routed: Any, number: int, **changes: Any) -> list[UUID]:
    before = len(await cases.published())
    await cases.report(*(routed(500 * at, **changes) for at in range(number)))
    return [UUID(body["key"]) for body in (await cases.published())[before:]]


def wishes(case_ids: list[UUID], step: Step) -> list[Wish]:
    return [Wish(case_id, Order(step, note=f"{step}!")) for case_id in case_ids]


async def test_the_whole_way_in_bulk(cases: Any, routed: Any) -> None:
    ids = await open_cases(cases, routed, 50)
    way: list[tuple[Person, Step]] = [
        (WORKER, "claimed"),
        (WORKER, "handled"),
        (VERIFIER, "verified"),
        (DISPATCHER, "closed"),
    ]
    for who, step in way:
        results = await cases.take(who, *wishes(ids, step))
        assert all(isinstance(result, Taken) for result in results)
    published = await cases.published()
    assert len(published) == 250
    last = published[-1]
    assert (last["state"], last["transition"], last["version"], last["note"]) == ("closed", "closed", 5, "closed!")
    assert last["actor"] == {"id": "d1", "name": "人d1", "role": "dispatcher"}
    assert (last["report"], last["report_count"]) == (None, 1)
    async with cases.pool.acquire() as conn:
        steps = await store.steps(conn, ids[0])
        assert [(s.version, s.step, s.actor_name) for s in steps] == [
            (1, "opened", None),
            (2, "claimed", "人w1"),
            (3, "handled", "人w1"),
            (4, "verified", "人v1"),
            (5, "closed", "人d1"),
        ]
        assert (await store.tallies(conn))["closed"] == 50


async def test_a_batch_answers_each_item_and_the_good_ones_count(cases: Any, routed: Any) -> None:
    one, two = await open_cases(cases, routed, 2)
    results = await cases.take(
        WORKER,
        Wish(one, Order("claimed")),
        Wish(new_id(), Order("claimed")),
        Wish(two, Order("handled")),
        Wish(one, Order("handled")),
        Wish(one, Order("closed")),
    )
    ends = [
        (r.case.state, r.case.version) if isinstance(r, Taken) else (r.code, r.extras.get("state")) for r in results
    ]
    assert ends == [
        ("claimed", 2),
        ("not_found", None),
        ("wrong_state", "open"),
        ("handled", 3),
        ("forbidden", None),
    ]
    assert [(b["transition"], b["version"]) for b in (await cases.published())[2:]] == [("claimed", 2), ("handled", 3)]


async def test_of_many_who_claim_one_wins(cases: Any, routed: Any) -> None:
    """An ambiguous place: workers of both grids claim at once; the winner's grid is the case's."""
    (case_id,) = await open_cases(cases, routed, 1, alternatives=(OTHER,))
    workers = [person(f"w{n}", "grid_worker", GRID if n % 2 else OTHER) for n in range(8)]
    results = [
        result for (result,) in await asyncio.gather(*(cases.take(w, Wish(case_id, Order("claimed"))) for w in workers))
    ]
    won = [result for result in results if isinstance(result, Taken)]
    codes = Counter(result.code for result in results if isinstance(result, Refusal))
    assert len(won) == 1
    assert sum(codes.values()) == 7
    assert set(codes) <= {"wrong_state", "not_found"}  # not found: the case is no longer in the loser's grid
    published = [b for b in await cases.published() if b["transition"] == "claimed"]
    assert len(published) == 1
    assert published[0]["alternatives"] == []
    winner = next(w for w in workers if won[0].actor and w.id == won[0].actor.id)
    assert winner.covers(published[0]["grid_code"])


async def test_a_report_that_comes_during_a_step_is_in_the_next_event(cases: Any, routed: Any) -> None:
    """Attachments and claims at once: versions without a gap, and each event counts all reports so far."""
    (case_id,) = await open_cases(cases, routed, 1)
    steps: list[Step] = ["claimed", "handled"]
    order = [cases.report(routed(n)) for n in range(1, 9)] + [
        cases.take(WORKER, Wish(case_id, Order(s))) for s in steps
    ]
    await asyncio.gather(*order)
    published = await cases.published()
    assert [b["version"] for b in published] == list(range(1, len(published) + 1))
    reports = 0
    for body in published:
        reports += body["transition"] in ("opened", "attached")
        assert body["report_count"] == reports
    assert reports == 9


async def test_listing_by_area_and_urgency(cases: Any, routed: Any) -> None:
    await cases.report(
        routed(0),
        routed(500, grid_code=OTHER),
        routed(1000, grid_code="330114002001001", alternatives=(OTHER,)),
        routed(1500, grid_code="330105001001001"),
        routed(2000, kind="local-gas-smell", level="emergency"),
    )
    far = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)

    async def listed(*areas: str, **changes: Any) -> list[str]:
        """No area: the whole city."""
        wanted = {"state": None, "due_before": None, "after": far, "rows_max": 10} | changes
        async with cases.pool.acquire() as conn:
            found = await page(conn, Listing(areas=areas or None, tree=tree, **wanted))
            return [case.grid_code for case in found]

    tree = NO_MAP
    assert await listed(GRID) == [GRID, GRID]
    assert sorted(await listed(OTHER)) == [OTHER, "330114002001001"]
    assert len(await listed("330114")) == 4
    assert len(await listed("330114", "330114001")) == 4
    assert await listed("33011") == [], "only whole levels"
    assert len(await listed()) == 5
    assert await listed(state="claimed") == []
    assert await listed(state="closed") == []
    # a map of another shape than the numbers': only it decides
    tree = AreaTree.of(
        [
            KnownArea("330199", "district", (), True),
            KnownArea("330114", "district", (), True),
            KnownArea(GRID, "grid", ("330114",), True),
            KnownArea(OTHER, "grid", ("330199",), True),
        ]
    )
    assert await listed("330114") == [GRID, GRID]
    assert sorted(await listed("330199")) == [OTHER, "330114002001001"], "the ambiguous one may be theirs"
    async with cases.pool.acquire() as conn:
        first = await page(conn, Listing(None, tree, None, None, far, 2))
        rest = await page(conn, Listing(None, tree, None, None, (first[1].due_at, first[1].case_id), 10))
        soon = await page(conn, Listing(None, tree, None, first[0].due_at + timedelta(seconds=1), far, 10))
    assert first[0].level == "emergency"
    assert len({case.case_id for case in (*first, *rest)}) == 5
    assert [case.level for case in soon] == ["emergency"]
