"""The ledger against a pure model, through any arrival order, repetition and batching.

A short run belongs to every test run; BEEGRID_LEDGER_STEPS=10000 makes the long one.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.points import domain
from services.points.lots import Lot
from services.points.store import ledger as store
from services.points.store import lots as lot_store
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.db import prepare_connection
from shared.kit.postgres.rows import Query
from shared.kit.refusals import Refusal
from shared.provision.postgres import owner_role
from tests.services.points.ledger import (
    GAS,
    MANHOLE,
    NOON,
    TERMS,
    WELL,
    Case,
    Ledger,
    caps,
    empty,
    redemption,
    set_rules,
)
from tests.services.points.model import CO_MAX, DAY_MAX, KIND_MAX, VALID_DAYS, Model
from tests.support import rider_is

STEPS = int(os.environ.get("BEEGRID_LEDGER_STEPS", "400"))
STEPS_PER_EXAMPLE = 40
RIDERS = [new_id() for _ in range(3)]
SQL_EXPIRES = "INSERT INTO expiry_rules VALUES (2, '2020-01-02', $1, 'Asia/Shanghai', 'test', 'short', now())"


class LedgerMachine(RuleBasedStateMachine):
    """Makes events of cases, redemptions and riders; hands some of them on, any number of times, in any order."""

    run: ClassVar[Callable[[Coroutine[Any, Any, Any]], Any]]
    connection: ClassVar[asyncpg.Connection]
    owner: ClassVar[asyncpg.Connection]

    @initialize()
    def start(self) -> None:
        self.run(empty(self.owner))
        self.run(set_rules(self.owner, caps(DAY_MAX, KIND_MAX, CO_MAX)))
        self.run(self.owner.execute(SQL_EXPIRES, VALID_DAYS))
        self.ledger = Ledger(_One(self.connection))  # type: ignore[arg-type]  # a pool of one
        self.model = Model()
        self._see_the_day()
        self.cases: list[Case] = []
        self.wishes: list[tuple[UUID, UUID, int]] = []
        self.active: dict[tuple[UUID, int], bool] = {}
        self.events: list[Any] = []
        self.waiting: list[Any] = []

    def _say(self, event: Any) -> None:
        self.events.append(event)
        self.waiting.append(event)

    @rule(
        who=st.sampled_from(RIDERS),
        kind=st.sampled_from((GAS, MANHOLE, MANHOLE, WELL, WELL)),
        day=st.integers(0, 1),
        number=st.integers(1, 3),
    )
    def open_cases(self, who: UUID, kind: str, day: int, number: int) -> None:
        for _ in range(number):
            self.cases.append(Case(kind, NOON + timedelta(days=day)))
            self._say(self.cases[-1].report(who))

    @rule(riders=st.lists(st.sampled_from(RIDERS), min_size=1, max_size=4), at=st.integers(0, 1000))
    def attach(self, riders: list[UUID], at: int) -> None:
        for who in riders if self.cases else ():
            self._say(self.cases[at % len(self.cases)].report(who))

    @rule(step=st.sampled_from(("closed", "closed", "invalid", "open", "claimed")), at=st.integers(0, 1000))
    def move_case(self, step: str, at: int) -> None:
        if self.cases:
            transition = {"closed": "closed", "invalid": "invalidated", "open": "reopened", "claimed": "claimed"}[step]
            self._say(self.cases[at % len(self.cases)].step(transition, step))

    @rule(who=st.sampled_from(RIDERS), price=st.sampled_from((0, 10, 60, 150)))
    def wish(self, who: UUID, price: int) -> None:
        self.wishes.append((new_id(), who, price))
        self._say(redemption(*self.wishes[-1], "requested"))

    @rule(state=st.sampled_from(("issued", "used", "expired", "cancelled")), at=st.integers(0, 1000))
    def move_wish(self, state: str, at: int) -> None:
        if self.wishes:
            self._say(redemption(*self.wishes[at % len(self.wishes)], state))

    @rule(who=st.sampled_from(RIDERS), version=st.integers(1, 5), active=st.booleans())
    def change_rider(self, who: UUID, version: int, active: bool) -> None:
        # a version says one thing, however often it comes
        self._say(rider_is(who, version, active=self.active.setdefault((who, version), active)))

    @rule(size=st.integers(1, 30))
    def deliver_some(self, size: int) -> None:
        batch, self.waiting = self.waiting[:size], self.waiting[size:]
        self._deliver(batch)

    @rule()
    def deliver_all(self) -> None:
        batch, self.waiting = self.waiting, []
        self._deliver(batch)

    @rule(picks=st.lists(st.integers(0, 10_000), min_size=1, max_size=12))
    def deliver_any_again(self, picks: list[int]) -> None:
        if self.events:
            self._deliver([self.events[pick % len(self.events)] for pick in picks])

    @rule(at=st.integers(0, 1000))
    def reverse(self, at: int) -> None:
        reports = [report.report_id for case in self.cases for report in case.reports]
        if reports:
            hold = reports[at % len(reports)]
            try:
                self.run(self.ledger.reverse(hold))
                done = True
            except Refusal:
                done = False
            assert done == self.model.reverse(hold)

    @rule(days=st.sampled_from((1, 3, 8)))
    def days_go_by(self, days: int) -> None:
        self.run(self.ledger.expire(days))
        self._see_the_day()
        self.model.expire()

    @rule(who=st.sampled_from(RIDERS), amount=st.sampled_from((5, 40, -30, -90)))
    def adjust(self, who: UUID, amount: int) -> None:
        try:
            self.model.state[self.run(self.ledger.adjust(who, amount))] = "adjusted"
            done = True
        except Refusal:
            done = False
        assert done == self.model.adjust(who, amount)

    def _see_the_day(self) -> None:
        self.model.today = (clock.now() + self.ledger.ahead).astimezone(TERMS.zone).date()

    def _deliver(self, batch: list[Any]) -> None:
        self.run(self.ledger.deliver(*batch))
        for topic in ("riders.rider-changed.v1", "cases.case-changed.v1", "rewards.redemption-changed.v1"):
            for event in batch:
                if event.topic == topic:
                    self.model.hear(event)

    @invariant()
    def balances_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        for who in RIDERS:
            expected = (self.model.pending[who], self.model.available[who], self.model.reserved[who])
            assert self.run(self.ledger.balances(who)) == expected
            assert self.run(self.ledger.lots(who)) == self.model.purses[who].left
        figures = self.run(self.ledger.tallies())
        assert figures["written_off"] == self.model.written_off
        assert (figures["breakage"], figures["adjusted"]) == (self.model.breakage, self.model.adjusted)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        states = dict(self.run(self.connection.fetch("SELECT id, state FROM holds WHERE source <> 'expiry'")))
        assert states == self.model.state
        expiries = self.run(self.connection.fetch("SELECT FROM holds WHERE source = 'expiry'"))
        assert len(expiries) == self.model.expiries
        for who in RIDERS:
            assert len(self.run(self.ledger.movements(who))) == self.model.versions[who]


class _One:
    """A connection that looks like a pool, for a machine that does one thing after the other."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    def acquire(self) -> "_One":
        return self

    async def fetch(self, *query: Any) -> Any:
        return await self.connection.fetch(*query)

    async def __aenter__(self) -> asyncpg.Connection:
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.fixture
def machine(installation: Installation) -> Iterator[type[LedgerMachine]]:
    """The machine with a loop and connections of its own: Hypothesis is synchronous."""
    loop = asyncio.new_event_loop()

    async def connect() -> tuple[asyncpg.Connection, asyncpg.Connection]:
        app = await asyncpg.connect(installation.dsn("points"))
        await prepare_connection(app)
        return app, await asyncpg.connect(installation.dsn("points", owner_role))

    app, owner = loop.run_until_complete(connect())
    members = {"run": staticmethod(loop.run_until_complete), "connection": app, "owner": owner}
    yield type("Machine", (LedgerMachine,), members)
    loop.run_until_complete(empty(owner))
    for connection in (app, owner):
        loop.run_until_complete(connection.close())
    loop.close()


def _run(machine: type[LedgerMachine], steps: int, always_the_same: bool = False) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // STEPS_PER_EXAMPLE),
            stateful_step_count=STEPS_PER_EXAMPLE,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
            derandomize=always_the_same,
        ),
    )


@pytest.mark.timeout(60 + STEPS // 5)
def test_the_ledger_does_what_the_model_says(machine: type[LedgerMachine]) -> None:
    _run(machine, STEPS)


def _ends_again(self: domain.Book, hold_id: UUID, cause: int) -> None:
    self._move(self.holds[hold_id], "posted", None, cause)


def _spends_without_looking(
    self: domain.Book, redemption_id: UUID, rider_id: UUID, price: int, cause: int, _party: str
) -> None:
    if redemption_id not in self.holds:
        hold = domain.Hold(redemption_id, "redemption", rider_id, None, "", price, "held")
        self.holds[hold.id] = hold
        self._move(hold, "held", None, cause)


def _whatever_comes_later(self: Lot, available: int) -> int:
    return max(0, min(self.points - self.expired, available))


PLANTED = {
    "a lot forgets what came later": (Lot, "left", _whatever_comes_later),
    "a lot is looked at once": (
        lot_store,
        "SQL_LOOK_AGAIN",
        lot_store.SQL_LOOK_AGAIN.replace("SET look_on = n.look_on, expired", "SET look_on = NULL, expired"),
    ),
    "a hold ends twice": (domain.Book, "post", _ends_again),
    "balances aren't looked at": (domain.Book, "spend", _spends_without_looking),
    "caps are forgotten between batches": (
        store,
        "SQL_EARNINGS",
        Query(store.Earning, store.SQL_EARNINGS.text + "WHERE e.points < 0"),
    ),
    "a balance is not written": (
        store,
        "SQL_MOVE_ACCOUNTS",
        store.SQL_MOVE_ACCOUNTS.replace("available = new.available", "available = a.available"),
    ),
    "a void pays out": (
        domain,
        "WAYS",
        {**domain.WAYS, ("report", "voided"): ("pending", "available")},
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_machine_sees_a_planted_bug(
    machine: type[LedgerMachine], monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    monkeypatch.setattr(*PLANTED[bug])
    with pytest.raises((AssertionError, asyncpg.PostgresError, store.LedgerConflict, BaseExceptionGroup)):
        _run(machine, 40_000, always_the_same=True)
