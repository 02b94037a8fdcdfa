"""Drives the points use cases as the kit does: a batch, a transaction, the outbox."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from services.points import usecases
from services.points.earning import deeds
from services.points.earning.rows import RuleRow
from services.points.earning.terms import Terms
from services.points.store import ledger as store
from services.points.store import lots as lot_store
from services.points.store import rules as rule_store
from services.points.store.adjustments import Proposal
from services.points.store.rules import SetHead
from services.points.usecases import adjusting, cases, expiry, suspicions
from shared.catalog import Catalogue
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.deed_done import DEED_DONE, DeedDone
from shared.events.redemption_changed import REDEMPTION_CHANGED, RedemptionChanged
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.suspicion_changed import SUSPICION_CHANGED, SuspicionChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Rejection, Work
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.known.knowing import Riders, follow_riders
from tests.support import event_of, published, truncate, unlocked, work_on

TABLES = (
    "counters", "dead_letters", "erased_riders", "known_riders", "ledger_rounds", "ledger_checkpoints", "accounts",
    "holds", "entries", "earnings", "cases", "settlements", "outbox", "inbox", "idempotency_keys", "lots",
    "hold_deadlines", "adjustments", "seals", "account_heads", "seal_groups", "deeds", "budgets", "allocations",
    "suspicions",
)  # fmt: skip
LOCKED = ("entries", "holds", "adjustments", "seals", "account_heads", "seal_groups")
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # noon in China
GAS, MANHOLE, WELL = "local-gas-smell", "part-01001", "part-01024"
TERMS = Terms(Catalogue.load(), ZoneInfo("Asia/Shanghai"))


def points_of(kind: str) -> int:
    """What the first reporter gets."""
    found = TERMS.catalogue.kind(kind, NOON)
    assert found is not None
    return found.points


event = partial(event_of, at=NOON)


class Case:
    """Makes the events of one case. A rider who reports it again repeats, and isn't counted twice."""

    def __init__(self, kind: str = GAS, opened_at: datetime = NOON) -> None:
        self.id, self.kind, self.opened_at = new_id(), kind, opened_at
        self.reports: list[CaseReport] = []
        self.version = 0
        self.state = "open"

    def report(self, rider: UUID, at: datetime | None = None) -> Event[CaseChanged]:
        """Opened by the first report, attached by any other."""
        before = next((one.ordinal for one in self.reports if one.rider_id == rider), None)
        count = len({one.rider_id for one in self.reports})
        added = CaseReport(report_id=new_id(), rider_id=rider, company="mt", ordinal=before or count + 1)
        self.reports.append(added)
        transition = "repeated" if before else "attached" if count else "opened"
        return self.step(transition, self.state, at, added)

    def step(
        self, transition: str, state: str, at: datetime | None = None, report: CaseReport | None = None
    ) -> Event[CaseChanged]:
        """Any transition, to any state."""
        self.version += 1
        self.state = state
        body = CaseChanged.model_validate(
            {
                "case_id": self.id,
                "state": state,
                "transition": transition,
                "kind": self.kind,
                "level": "hazard",
                "grid_code": "330114001001001",
                "department": "street",
                "lng": 120.3,
                "lat": 30.3,
                "report": report,
                "report_count": len({one.rider_id for one in self.reports}),
                "changed_at": self.opened_at
                if transition == "opened"
                else at or self.opened_at + timedelta(minutes=self.version),
                "opened_at": self.opened_at,
                "due_at": self.opened_at + timedelta(hours=6),
            }
        )
        return event(CASE_CHANGED, body, self.version)

    def closed(self) -> Event[CaseChanged]:
        """Verified and closed."""
        return self.step("closed", "closed")

    def invalid(self) -> Event[CaseChanged]:
        """Found invalid."""
        return self.step("invalidated", "invalid")


def redemption(
    id_: UUID, rider: UUID, price: int, state: str, version: int = 1, **values: Any
) -> Event[RedemptionChanged]:
    """One step of a redemption."""
    body = RedemptionChanged.model_validate(
        {
            "redemption_id": id_,
            "rider_id": rider,
            "offer_id": id_,
            "merchant_id": id_,
            "offer_name": "tea",
            "price": price,
            "state": state,
            "changed_at": NOON,
            **values,
        }
    )
    return event(REDEMPTION_CHANGED, body, version)


def caps(points_day: int, kind_day: int, co_max: int) -> list[RuleRow]:
    """The shipped rules with other numbers."""
    return [
        RuleRow("catalogue", 1, "award", "report", co_max=co_max, zh="类别标准", en="the points of its kind"),
        RuleRow("day-points", 2, "cap", "report", per="day", points_max=points_day, zh="每日", en="a day"),
        RuleRow("day-kind", 3, "cap", "report", per="day", each="kind", count_max=kind_day, zh="每类", en="of a kind"),
    ]


async def set_rules(conn: Connection, rows: list[RuleRow], since: datetime = NOON - timedelta(days=60)) -> int:
    """The next version, in force from an instant of the past on, as no route would take it."""
    version = await rule_store.last_version(conn) + 1
    assert await rule_store.add(conn, SetHead(version, since, "operator", "test", clock.now()), rows)
    return version


def deed(
    rider: UUID, action: str = "volunteer-task", service: str = "errands", version: int = 1, **values: Any
) -> Event[DeedDone]:
    """A deed of an invented service."""
    usual: dict[str, Any] = {
        "deed_id": new_id(), "action": action, "rider_id": rider, "area_code": "330114001001", "quantity": 1,
        "done_at": NOON, "confirmed_by": "330114001001", "changed_at": NOON,
    }  # fmt: skip
    return event_of(DEED_DONE, DeedDone.model_validate(usual | values), version, at=NOON, company=service)


def suspicion(case: Case, state: str, version: int = 1, ordinal: int = 1) -> Event[SuspicionChanged]:
    """What was found or decided of one of a case's reports."""
    [of] = [one for one in case.reports if one.ordinal == ordinal][:1]
    body = SuspicionChanged.model_validate(
        {"report_id": of.report_id, "rider_id": of.rider_id, "state": state, "reasons": ["ring"], "changed_at": NOON}
    )
    return event(SUSPICION_CHANGED, body, version)


class Ledger:
    """The service's use cases on one pool or connection."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.rejections: list[Rejection] = []
        self.ahead = timedelta()
        """How far the use cases are ahead of the database's clock."""

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """A unit of work, ahead."""
        async with work_on(self.pool) as work:
            work.now += self.ahead
            yield work

    async def deliver(self, *events: Event[Any]) -> None:
        """One batch per topic, as consumers get them; each its own transaction."""
        for topic, use_case in (
            (RIDER_CHANGED, partial(follow_riders, Riders())),
            (CASE_CHANGED, lambda work, batch: cases.follow_cases(TERMS, work, batch)),
            (DEED_DONE, lambda work, batch: deeds.follow_deeds(TERMS, work, batch)),
            (REDEMPTION_CHANGED, usecases.follow_redemptions),
            (SUSPICION_CHANGED, partial(suspicions.follow_suspicions, TERMS)),
        ):
            batch = [e for e in events if e.topic == topic.name or isinstance(e.data, topic.model)]
            if batch:
                async with self.work() as work:
                    await use_case(work, batch)
                self.rejections += work.rejections

    async def reverse(self, hold_id: UUID, covers: Callable[[str], bool] = lambda _: True) -> None:
        """As an operator, of the whole city unless `covers` says otherwise."""
        async with self.work() as work:
            await usecases.reverse(work, hold_id, "wrong", covers)

    async def expire(self, days: int = 0) -> int:
        """Let days go by, then what expires by the clock; how many lots were looked at."""
        self.ahead += timedelta(days=days)
        looked = 0
        while True:
            async with self.work() as work:
                some = await expiry.expire(TERMS.zone, work)
            looked += some
            if not some:
                return looked

    async def adjust(self, rider_id: UUID, amount: int) -> UUID:
        """By two people."""
        id_ = await self.propose(rider_id, amount)
        async with self.work() as work:
            await adjusting.decide(work, id_, "approved", ("b", "B"), "checked")
        return id_

    async def propose(self, rider_id: UUID, amount: int, key: str | None = None, by: str = "a") -> UUID:
        """As one of them."""
        id_ = new_id()
        async with self.work() as work:
            body = f"{rider_id} {amount}".encode()
            proposal = Proposal(
                id_, rider_id, amount, "goodwill", "a good reason", by, by.upper(), work.now, key or str(id_), body
            )
            return (await adjusting.propose(work, proposal)).id

    async def lots(self, rider_id: UUID) -> dict[date, int]:
        """What is left of each day's points."""
        async with self.pool.acquire() as conn:
            account = await store.account(conn, rider_id)
            found = await lot_store.lots_of(conn, rider_id)
        return {lot.earned_on: left for lot in found if account and (left := lot.left(account.available))}

    async def balances(self, rider_id: UUID) -> tuple[int, int, int]:
        """(pending, available, reserved)."""
        async with self.pool.acquire() as conn:
            found = await store.account(conn, rider_id)
        return (found.pending, found.available, found.reserved) if found else (0, 0, 0)

    async def tallies(self) -> dict[str, int]:
        """The reconciliation's figures; sound in every test."""
        async with self.pool.acquire() as conn:
            figures = await store.tallies(conn)
            assert await counters.differences(conn) == []
        assert figures["imbalance"] == 0 and figures["ledger_sum"] == 0, figures
        return figures

    async def published(self, rider_id: UUID | None = None) -> list[tuple[int, AccountChanged]]:
        """(version, event) in the order of the outbox."""
        found = await published(self.pool, ACCOUNT_CHANGED, rider_id)
        return [(one["version"], AccountChanged.model_validate(one)) for one in found]

    async def movements(self, rider_id: UUID) -> list[tuple[str, int, str | None]]:
        """(movement, amount, reason) of a rider's events, whose versions are checked to be 1..n."""
        found = await self.published(rider_id)
        assert [version for version, _ in found] == list(range(1, len(found) + 1))
        return [(body.movement, body.amount, body.reason) for _, body in found]


async def empty(owner: asyncpg.Connection, keep_rules: Iterable[int] = (1,)) -> None:
    """Empty the service's tables; needs the owner's rights."""
    await truncate(owner, *TABLES)
    await owner.execute("DELETE FROM rule_rows WHERE NOT version = ANY($1::bigint[])", list(keep_rules))
    await owner.execute("DELETE FROM rule_sets WHERE NOT version = ANY($1::bigint[])", list(keep_rules))
    await owner.execute("DELETE FROM expiry_rules WHERE version > 1")


async def tamper(owner: asyncpg.Connection, statement: str, *values: object) -> None:
    """What only somebody does who means it: change history with the owner's rights and the locks taken off."""
    async with owner.transaction(), unlocked(owner, *LOCKED):
        await owner.execute(statement, *values)
