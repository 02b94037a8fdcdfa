"""What the ledger should hold, by the words of the rules: balances, and lots in a row, spent from the old end."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from tests.services.points.ledger import TERMS, points_of

# low caps, so that a short run meets them
DAY_MAX, KIND_MAX, CO_MAX = 200, 3, 2
# points of one day: short, so that they meet their end
VALID_DAYS = 10


@dataclass
class DayLot:
    """What was earned on one day. `spent` came from it; what is given back goes to where it was last taken."""

    day: date
    points: int = 0
    spent: int = 0
    expired: int = 0

    @property
    def left(self) -> int:
        return self.points - self.spent - self.expired


@dataclass
class Purse:
    """The lots of one rider, oldest first."""

    lots: list[DayLot] = field(default_factory=list)

    def earn(self, day: date, points: int) -> None:
        if not self.lots or self.lots[-1].day < day:
            self.lots.append(DayLot(day))
        self.lots[-1].points += points

    def spend(self, points: int) -> None:
        for lot in self.lots:
            taken = min(lot.left, points)
            lot.spent += taken
            points -= taken
        assert points == 0, "more than there was"

    def give_back(self, points: int) -> None:
        for lot in reversed(self.lots):
            given = min(lot.spent, points)
            lot.spent -= given
            points -= given
        assert points == 0, "more than was spent"

    def expire(self, today: date, valid: timedelta) -> list[int]:
        """Each old lot's rest."""
        gone = []
        for lot in self.lots:
            if lot.day + valid <= today and lot.left:
                gone.append(lot.left)
                lot.expired += lot.left
        return gone

    @property
    def left(self) -> dict[date, int]:
        return {lot.day: lot.left for lot in self.lots if lot.left}


@dataclass
class Model:
    """What the ledger should hold, calculated one event after the other, from the words of the rules."""

    pending: Counter[UUID] = field(default_factory=Counter)
    available: Counter[UUID] = field(default_factory=Counter)
    reserved: Counter[UUID] = field(default_factory=Counter)
    versions: Counter[UUID] = field(default_factory=Counter)
    state: dict[UUID, str] = field(default_factory=dict)
    amount: dict[UUID, int] = field(default_factory=dict)
    owner: dict[UUID, UUID] = field(default_factory=dict)
    promised: Counter[Any] = field(default_factory=Counter)
    inactive: set[UUID] = field(default_factory=set)
    rider_version: Counter[UUID] = field(default_factory=Counter)
    written_off: int = 0
    breakage: int = 0
    adjusted: int = 0
    expiries: int = 0
    today: date = date.min
    purses: defaultdict[UUID, Purse] = field(default_factory=lambda: defaultdict(Purse))
    place: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    posted_up_to: Counter[UUID] = field(default_factory=Counter)
    voided_up_to: Counter[UUID] = field(default_factory=Counter)

    def hear(self, event: Any) -> None:
        """One event."""
        body = event.data
        if hasattr(body, "redemption_id"):
            self._redemption(body)
        elif hasattr(body, "consent"):
            if event.version > self.rider_version[body.rider_id]:
                self.rider_version[body.rider_id] = event.version
                (self.inactive.discard if body.active else self.inactive.add)(body.rider_id)
        elif body.transition == "invalidated":
            self.voided_up_to[body.case_id] = max(self.voided_up_to[body.case_id], body.report_count)
            for hold in self._of_case(body):
                self._invalid(hold)
        elif body.transition == "closed":
            self.posted_up_to[body.case_id] = max(self.posted_up_to[body.case_id], body.report_count)
            for hold in self._of_case(body):
                if self.state[hold] == "held":
                    self._post(hold)
        elif body.report is not None and body.report.report_id not in self.state:
            self.place[body.report.report_id] = (body.case_id, body.report.ordinal)
            if body.report.ordinal <= self.voided_up_to[body.case_id]:
                self.state[body.report.report_id] = "voided"
                return
            self._hold(body, body.report)
            held = self.state[body.report.report_id] == "held"
            if held and body.report.ordinal <= self.posted_up_to[body.case_id]:
                self._post(body.report.report_id)

    def reverse(self, hold: UUID) -> bool:
        """As an operator or an invalid case."""
        if self.state.get(hold) != "posted" or hold not in self.owner:
            return False
        who, amount = self.owner[hold], self.amount[hold]
        taken = min(amount, self.available[who])
        self.available[who] -= taken
        self.purses[who].spend(taken)
        self.written_off += amount - taken
        self._step(hold, "reversed")
        return True

    def _step(self, hold: UUID, state: str) -> None:
        self.state[hold] = state
        self.versions[self.owner[hold]] += 1

    def _of_case(self, case: Any) -> list[UUID]:
        return [hold for hold, (of, at) in self.place.items() if of == case.case_id and at <= case.report_count]

    def _hold(self, case: Any, report: Any) -> None:
        hold, who = report.report_id, report.rider_id
        self.owner[hold] = who
        amount = points_of(case.kind)
        if case.transition == "repeated":
            amount = 0
        elif report.ordinal > 1:
            amount = 0 if report.ordinal - 1 > CO_MAX else amount // 2
        day = case.changed_at.astimezone(TERMS.zone).date()
        over = self.promised[who, day] + amount > DAY_MAX or self.promised[who, day, case.kind] >= KIND_MAX
        self.amount[hold] = amount
        if amount == 0 or over:
            self._step(hold, "refused")
            return
        self.promised[who, day] += amount
        self.promised[who, day, case.kind] += 1
        self.pending[who] += amount
        self._step(hold, "held")

    def _post(self, hold: UUID) -> None:
        who = self.owner[hold]
        self.pending[who] -= self.amount[hold]
        self.available[who] += self.amount[hold]
        self.purses[who].earn(self.today, self.amount[hold])
        self._step(hold, "posted")

    def expire(self) -> None:
        """What is too old by now."""
        for who, purse in self.purses.items():
            for gone in purse.expire(self.today, timedelta(days=VALID_DAYS)):
                self.available[who] -= gone
                self.breakage += gone
                self.versions[who] += 1
                self.expiries += 1

    def adjust(self, who: UUID, amount: int) -> bool:
        """By two people; False where more would be taken than there is."""
        if self.available[who] + amount < 0:
            return False
        self.available[who] += amount
        self.adjusted += amount
        self.versions[who] += 1
        if amount > 0:
            self.purses[who].earn(self.today, amount)
        else:
            self.purses[who].spend(-amount)
        return True

    def _invalid(self, hold: UUID) -> None:
        if self.state[hold] == "held":
            self.pending[self.owner[hold]] -= self.amount[hold]
            self._step(hold, "voided")
        else:
            self.reverse(hold)

    def _redemption(self, body: Any) -> None:
        hold, who, price = body.redemption_id, body.rider_id, body.price
        if price == 0 or body.state == "issued":
            return
        if body.state in ("requested", "used") and hold not in self.state:
            self.owner[hold], self.amount[hold] = who, price
            if who in self.inactive or self.available[who] < price:
                self._step(hold, "refused")
            else:
                self.available[who] -= price
                self.purses[who].spend(price)
                self.reserved[who] += price
                self._step(hold, "held")
        if body.state in ("expired", "cancelled", "refused"):
            if self.state.setdefault(hold, "voided") == "held":
                self.reserved[who] -= price
                self.available[who] += price
                self.purses[who].give_back(price)
                self._step(hold, "voided")
        elif body.state == "used" and self.state[hold] == "held":
            self.reserved[who] -= price
            self._step(hold, "posted")
