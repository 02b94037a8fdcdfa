"""Everybody who passes reports the same thing: one case, whose steps cost the same for the first and the last of them.

BEEGRID_FAULTS=full lets 100,000 report it.
"""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.cases import domain as case_domain
from services.cases import usecases as case_usecases
from services.cases.domain import Order, Person
from services.cases.duplicates import DuplicateRule
from services.cases.usecases import Rules, Wish, likeness
from services.notifications.settings import Settings as NotificationSettings
from services.notifications.usecases import cases as notifying
from services.points.earning.terms import Terms
from services.points.store import ledger
from services.points.usecases import cases as earning
from services.tracking import domain as tracking_domain
from services.tracking import usecases as tracking
from services.tracking.store import journeys
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.case_changed import CaseChanged
from shared.events.report_received import ReportReceived
from shared.events.report_routed import ReportRouted
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Record, Work, begin, insert_outbox
from shared.kit.postgres.db import Pool
from tests.full import FULL

REPORTERS = 100_000 if FULL else 3_000
BATCH = 500
SEEN_AT = datetime(2026, 4, 1, 8, tzinfo=UTC)
LNG, LAT = 117.3, 33.3
"""Where no other test reports anything."""
EVENT_BYTES_MAX = 1_000
STEPS_SHOWN_MAX = 120
DISPATCHER = Person(
    "d9", "李娜", frozenset({"dispatcher", "grid_worker"}), lambda _: True, dispatches_to=lambda _: True
)
VERIFIER = Person("v9", "王丽", frozenset({"verifier"}), lambda _: True)
CATALOGUE = Catalogue.load()
TERMS = Terms(CATALOGUE, ZoneInfo("Asia/Shanghai"))
Heard = Sequence[Event[CaseChanged]]


@dataclass
class City:
    """Four services on their real schemas; what one publishes the others are given, batch by batch."""

    pools: dict[str, Pool]
    settings: NotificationSettings
    rules: Rules
    event_bytes: list[int] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    last: int = 0

    async def within(self, service: str, act: Callable[[Work], Awaitable[Any]]) -> Any:
        """In a transaction of the service, its events queued."""
        async with self.pools[service].acquire() as conn, conn.transaction():
            work = await begin(conn)
            done = await act(work)
            await insert_outbox(conn, work.rows)
            return done

    async def report(self, riders: Sequence[UUID]) -> list[UUID]:
        """One batch of routed reports, and its effects in all services; the reports' ids."""
        events = [_routed(rider) for rider in riders]
        gc.collect()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        await self.within("cases", lambda work: case_usecases.take_routed_reports(self.rules, work, events))
        await self.hear()
        self.peak_bytes.append(tracemalloc.get_traced_memory()[1] - before)
        return [event.data.report_id for event in events]

    async def step(self, person: Person, case_id: UUID, step: case_domain.Step) -> None:
        """A person's step, and its effects."""
        wish = [Wish(case_id, Order(step))]
        (taken,) = await self.within("cases", lambda w: case_usecases.take_steps(w, self.rules, person, wish))
        assert isinstance(taken, case_domain.Taken), taken
        await self.hear()

    async def hear(self) -> None:
        """What cases published since the last time, in points, notifications and tracking."""
        rows = await self.pools["cases"].fetch(
            "SELECT id, event_id, key, version, occurred_at, payload FROM outbox WHERE id > $1 ORDER BY id", self.last
        )
        self.last = rows[-1]["id"]
        self.event_bytes += [len(row["payload"]) for row in rows]
        heard = [
            Event(
                row["event_id"],
                CaseChanged.model_validate_json(row["payload"]),
                row["key"],
                row["version"],
                row["occurred_at"],
                Record("cases.case-changed.v1", 0, row["id"], row["key"].encode(), b"", ()),
            )
            for row in rows
        ]
        await self.within("points", lambda work: earning.follow_cases(TERMS, work, heard))
        await self.within("notifications", lambda work: notifying.notify_of_cases(self.settings, work, heard))
        await self.within("tracking", lambda work: tracking.follow_cases(CATALOGUE, work, heard))

    async def finish(self) -> None:
        """What services do in the background."""
        while await self.within("points", partial(earning.settle, TERMS)):
            pass
        while await self.within("notifications", lambda work: notifying.notify_crowd(self.settings, work)):
            pass


def _routed(rider: UUID) -> Event[ReportRouted]:
    body = ReportRouted(
        report_id=new_id(), rider_id=rider, company=f"crowd-{rider.int % 3}", kind="part-01001", level="hazard",
        lng=LNG, lat=LAT, accuracy_m=10, text="井盖破损", occurred_at=SEEN_AT, received_at=SEEN_AT, outcome="routed",
        grid_code="340300001001001", department="water",
    )  # fmt: skip
    record = Record("routing.report-routed.v1", 0, 0, str(body.report_id).encode(), b"", ())
    return Event(new_id(), body, str(body.report_id), 1, SEEN_AT, record)


@pytest.fixture
async def city(pool_for: Callable[[str], Any], installation: Installation, monkeypatch: pytest.MonkeyPatch) -> City:
    for name, value in installation.environment("notifications").items():
        monkeypatch.setenv(name, value)
    pools = {name: await pool_for(name) for name in ("cases", "points", "notifications", "tracking")}
    rules = Rules(CATALOGUE, DuplicateRule(30, 48, 0.6, likeness), timedelta(hours=24), timedelta(days=7))
    last = await pools["cases"].fetchval("SELECT coalesce(max(id), 0) FROM outbox")
    return City(pools, NotificationSettings(), rules, last=last)


@pytest.mark.timeout(120 + REPORTERS // 25)
async def test_a_crowd_is_one_case(city: City) -> None:
    riders = [new_id() for _ in range(REPORTERS)]
    reports: list[UUID] = []
    tracemalloc.start()
    try:
        for start in range(0, REPORTERS, BATCH):
            reports += await city.report(riders[start : start + BATCH])
    finally:
        tracemalloc.stop()
    case_ids = {row["case_id"] for row in await _all(city, "cases", "case_reports", reports)}
    assert len(case_ids) == 1
    (case_id,) = case_ids
    assert max(city.event_bytes) < EVENT_BYTES_MAX
    # The first batch also warms up caches; the last one may hold no more than the second.
    assert max(city.peak_bytes[-3:]) < 1.2 * max(city.peak_bytes[1:4]), city.peak_bytes

    again = await _repeats(city, riders[-1])
    for who, step in (
        (DISPATCHER, "claimed"), (DISPATCHER, "handled"), (VERIFIER, "verified"), (VERIFIER, "closed"),
    ):  # fmt: skip
        await city.step(who, case_id, step)
    await city.finish()
    await _paid_by_the_rules(city, case_id)
    await _notified(city, case_id, riders)
    await _followed(city, reports, again)


async def _all(city: City, service: str, table: str, reports: Sequence[UUID]) -> list[Any]:
    return await city.pools[service].fetch(f"SELECT * FROM {table} WHERE report_id = ANY($1::uuid[])", reports)


async def _repeats(city: City, rider: UUID) -> UUID:
    """The same rider once more: counted no second time, by the database too."""
    (again,) = await city.report([rider])
    (row,) = await _all(city, "cases", "case_reports", [again])
    assert row["ordinal"] is None
    first = await city.pools["cases"].fetchval(
        "SELECT count(*) FROM case_reports WHERE case_id = $1 AND rider_id = $2 AND ordinal IS NOT NULL",
        row["case_id"],
        rider,
    )
    count = await city.pools["cases"].fetchval("SELECT report_count FROM cases WHERE case_id = $1", row["case_id"])
    assert (first, count) == (1, REPORTERS)
    return again


async def _paid_by_the_rules(city: City, case_id: UUID) -> None:
    rows = await city.pools["points"].fetch(
        "SELECT state, reason, amount, ordinal FROM holds WHERE case_id = $1", case_id
    )
    kind = CATALOGUE.kind("part-01001", SEEN_AT)
    assert kind is not None
    share = kind.points * kind.co_reporter_percent // 100
    posted = sorted((row["ordinal"], row["amount"]) for row in rows if row["state"] == "posted")
    assert posted == [(1, kind.points), (2, share), (3, share), (4, share)]
    refused = Counter(row["reason"] for row in rows if row["state"] == "refused")
    assert refused == {"co_reporters_max": REPORTERS - 4, "already_reported": 1}
    async with city.pools["points"].acquire() as conn:
        figures = await ledger.tallies(conn)
    assert (figures["ledger_sum"], figures["imbalance"]) == (0, 0)


async def _notified(city: City, case_id: UUID, riders: Sequence[UUID]) -> None:
    rows = await city.pools["notifications"].fetch(
        "SELECT template, count(*) AS n, count(DISTINCT rider_id) AS riders FROM messages "
        "WHERE params ->> 'case_id' = $1 GROUP BY 1",
        str(case_id),
    )
    steps = ("case_claimed", "case_handled", "case_verified", "case_closed")
    assert {row["template"]: (row["n"], row["riders"]) for row in rows} == {
        step: (len(riders), len(riders)) for step in steps
    }
    assert await city.pools["notifications"].fetchval("SELECT count(*) FROM crowds") == 0


async def _followed(city: City, reports: Sequence[UUID], again: UUID) -> None:
    shown = (reports[0], reports[len(reports) // 2], reports[-1], again)
    await city.within("tracking", lambda work: tracking.follow_reports(work, [_received(one) for one in shown]))
    async with city.pools["tracking"].acquire() as conn:
        for report_id in shown:
            journey = await journeys.journey(conn, report_id)
            assert journey is not None and journey.case is not None
            assert (journey.case.report_count, journey.state) == (REPORTERS, "closed")
            assert len(journey.steps) < STEPS_SHOWN_MAX
            assert [step.step for step in journey.steps][-4:] == ["claimed", "handled", "verified", "closed"]
            own = [line for line in tracking_domain.timeline(journey) if line.key in ("opened", "attached", "repeated")]
            expected = {reports[0]: "已立案", again: "您已上报过同一问题，本次上报已并入该案件"}
            assert [line.zh for line in own] == [expected.get(report_id, "已并入同一问题的案件")]
        counts = await conn.fetch(
            "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'report_count')::int AS n FROM outbox "
            "WHERE key = $1 ORDER BY version",
            str(journey.case.case_id),
        )
    assert [row["n"] for row in counts] == [*range(1, REPORTERS + 1), *[REPORTERS] * 5]


def _received(report_id: UUID) -> Event[ReportReceived]:
    body = ReportReceived(
        report_id=report_id, rider_id=new_id(), company="crowd-0", external_id=str(report_id), kind="part-01001",
        level="hazard", lng=LNG, lat=LAT, accuracy_m=10, text="", occurred_at=SEEN_AT, received_at=SEEN_AT,
    )  # fmt: skip
    record = Record("intake.report-received.v1", 0, 0, str(report_id).encode(), b"", ())
    return Event(new_id(), body, str(report_id), 1, SEEN_AT, record)
