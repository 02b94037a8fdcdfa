"""1,000 planted cheats among 20,000 honest reports: what share is caught, and whom it troubles. On real Postgres.

The floors are what was measured (ADR 95), less a margin for another seed; a detector that is switched off falls below
its own.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

import pytest

from services.screening.usecases import cases, reports
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.synthetic.cheats import Mix, planted_mix
from tests.services.screening.street import ZONE, Screen, noon
from tests.support import event_of, hear, rider_is

SEED = 20_261_130
BATCH = 500
RAISE_AT = 100
FLOORS = {
    "velocity": 0.90, "per_day": 0.72, "impossible_travel": 0.45, "repeated_photo": 0.80, "similar_photo": 0.72,
    "verifier": 0.82, "ring": 0.82,
}  # fmt: skip
ALL_FLOOR, TROUBLED_RIDERS_MAX, TROUBLED_REPORTS_MAX = 0.80, 0.02, 0.012
FINDS = {
    "velocity": ("velocity",), "per_day": ("per_day",), "impossible_travel": ("impossible_travel",),
    "repeated_photo": ("repeated_photo",), "similar_photo": ("edited_photo", "similar_photo"),
    "verifier": ("verifier_often", "verifier_quick"), "ring": ("ring",),
}  # fmt: skip


@dataclass
class Outcome:
    """What was planted, and the scores of what was found of each report."""

    mix: Mix
    scores: dict[UUID, dict[str, int]]

    def raised(self, without: Collection[str] = ()) -> set[UUID]:
        """Reports under suspicion; `without`: as if these detectors were switched off."""
        return {
            report
            for report, found in self.scores.items()
            if sum(score for reason, score in found.items() if reason not in without) >= RAISE_AT
        }

    def caught(self, without: Collection[str] = ()) -> dict[str, float]:
        """Share of each sort of cheat that is under suspicion."""
        raised = self.raised(without)
        planted = Counter(self.mix.planted.values())
        found = Counter(sort for report, sort in self.mix.planted.items() if report in raised)
        return {sort: found[sort] / count for sort, count in planted.items()}


async def _hear_all(screen: Screen, mix: Mix) -> None:
    for start in range(0, len(mix.riders), BATCH):
        await screen.hears(*(rider_is(one.id, kind=one.kind) for one in mix.riders[start : start + BATCH]))
    left = iter(mix.happenings)
    while part := list(islice(left, BATCH)):
        for topic, use_case in (
            (REPORT_ROUTED, partial(reports.follow_reports, ZONE)),
            (CASE_CHANGED, cases.follow_cases),
        ):
            wanted: list[Any] = [
                event_of(topic, one.body, one.version, at=one.at)
                for one in part
                if isinstance(one.body, ReportRouted) == (topic is REPORT_ROUTED)
            ]
            if wanted:
                await hear(screen.pool, use_case, *wanted)


@pytest.fixture
async def outcome(screen: Screen) -> Outcome:
    # whole days: the same mix at any time of the day
    mix = planted_mix(SEED, noon(1), ZONE)
    await _hear_all(screen, mix)
    rows = await screen.pool.fetch("SELECT report_id, reason, score FROM findings")
    scores: dict[UUID, dict[str, int]] = {}
    for row in rows:
        scores.setdefault(row["report_id"], {})[row["reason"]] = row["score"]
    return Outcome(mix, scores)


@pytest.mark.timeout(600)
async def test_what_share_of_planted_cheats_is_caught_and_whom_it_troubles(outcome: Outcome, screen: Screen) -> None:
    mix, raised = outcome.mix, outcome.raised()
    cheating = {rider.id for rider in mix.riders if rider.cheats}
    honest = {report: rider for report, rider in mix.owner.items() if rider not in cheating}
    riders = set(honest.values())
    troubled = {honest[report] for report in raised if report in honest}
    share = sum(report in raised for report in mix.planted) / len(mix.planted)
    of_reports = sum(report in raised for report in honest) / len(honest)
    print(
        f"\ncaught {share:.1%} of {len(mix.planted)}: "
        + ", ".join(f"{sort} {part:.0%}" for sort, part in sorted(outcome.caught().items()))
        + f"\ntroubled {len(troubled)} of {len(riders)} honest riders ({len(troubled) / len(riders):.2%}), "
        f"{of_reports:.2%} of {len(honest)} reports"
        f"\nby {Counter(why for one, found in outcome.scores.items() if one in honest for why in found)}"
    )
    assert len(mix.planted) == 1_000 and len(honest) >= 20_000
    assert share >= ALL_FLOOR
    assert {sort: part for sort, part in outcome.caught().items() if part < FLOORS[sort]} == {}
    assert len(troubled) / len(riders) <= TROUBLED_RIDERS_MAX and of_reports <= TROUBLED_REPORTS_MAX
    for sort, reasons in FINDS.items():
        off = outcome.caught(without=reasons)
        assert off[sort] < FLOORS[sort], f"{sort} is caught without {reasons}: its floor proves nothing"
    said = [body.report_id for _, body in await screen.said()]
    assert len(said) == len(set(said)) and set(said) == raised, "each is said once"
