"""Years of reports of one kind at one spot, each another thing: a turn there costs what a turn costs elsewhere."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.cases import domain, store
from services.cases.domain import Candidate, Sighting
from services.cases.duplicates import COMPARED_MAX, best_match
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from tests.reads import analyze, rows_read
from tests.services.cases.conftest import SEEN_AT

CASES, TURN = 2_000, 500


@pytest.mark.timeout(120)
async def test_a_turn_reads_only_what_is_near_in_time(cases: Any, routed: Any, installation: Installation) -> None:
    def things(first: int, number: int) -> list[Any]:
        return [routed(occurred_at=SEEN_AT - timedelta(hours=49 * one)) for one in range(first, first + number)]

    for first in range(0, CASES, TURN):
        await cases.report(*things(first, TURN))
    await analyze(installation, "cases", "cases", "case_reports")
    async with cases.pool.acquire() as conn:
        before = await rows_read(conn, "cases", cases.pool)
        await cases.report(*things(CASES, TURN))
        read = await rows_read(conn, "cases", cases.pool) - before
        assert await conn.fetchval("SELECT count(*) FROM cases") == CASES + TURN
    assert read < 20 * TURN  # all of them at each report were 1,000,000


async def test_of_a_crowd_of_cases_the_nearest_are_looked_at(cases: Any, routed: Any) -> None:
    """As the database says, and as comparing with each one says."""
    rng = random.Random(1)

    def anywhere() -> Any:
        return routed(
            rng.uniform(-120, 120),
            occurred_at=SEEN_AT + timedelta(hours=rng.uniform(-150, 150)),
            text=rng.choice("甲乙 "),
        )

    opening = replace(cases.rules, duplicates=replace(cases.rules.duplicates, confidence_min=2))
    strict, cases.rules = cases.rules, opening  # all are things of their own
    await cases.report(*(anywhere() for _ in range(1_200)))
    cases.rules = strict
    sightings = [sighting(anywhere().data) for _ in range(60)]
    async with cases.pool.acquire() as conn, conn.transaction():
        found = await store.candidates(conn, sightings, strict.duplicates.hours_max)
        rows = await conn.fetch("SELECT case_id FROM cases ORDER BY case_id")
        texts = dict(await conn.fetch("SELECT case_id, text FROM case_reports"))
        everyone = [Candidate(case, texts[case.case_id], 1) for case in await every(conn, [row[0] for row in rows])]
    matched = 0
    for number, one in enumerate(sightings):
        mine, theirs = (best_match(one, known, strict.duplicates) for known in (found.get(number, []), everyone))
        assert (mine and mine.case.case_id) == (theirs and theirs.case.case_id)
        matched += mine is not None
        cells = len(one.reach.cells)
        assert len(found.get(number, [])) <= cells * store.NEAREST_MAX
    assert matched > 30
    assert max(len(near) for near in found.values()) > COMPARED_MAX


async def every(conn: Any, case_ids: Sequence[Any]) -> list[domain.Case]:
    known = {case.case_id: case for case in await store.cases(conn, case_ids)}
    return [known[case_id] for case_id in case_ids]


def sighting(data: Any) -> Sighting:
    reach = domain.reach_of(data.lng, data.lat, 30)
    return Sighting(new_id(), new_id(), data.company, data.kind, data.lng, data.lat, data.occurred_at, data.text, reach)


async def test_a_case_seen_just_as_long_before_is_the_same_thing(cases: Any, routed: Any) -> None:
    await cases.report(routed(), routed(300))
    await cases.report(routed(occurred_at=SEEN_AT - timedelta(hours=48)))
    await cases.report(routed(300, occurred_at=SEEN_AT + timedelta(hours=48, seconds=1)))
    assert [one["transition"] for one in await cases.published()] == ["opened", "opened", "attached", "opened"]
