"""The ledger's rules. A Book is the part of the ledger that a batch touches; it decides and remembers what to write."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

Source = Literal["report", "redemption"]
HoldState = Literal["held", "posted", "voided", "reversed", "refused"]
Act = Literal["post", "void"]
"""What a verdict does to a case's holds: closed, they are the riders'; invalid, they are given back."""

NOT_GENUINE = "not_genuine"
"""Why points are taken that somebody has found to be farmed."""

# Claim, Line and Movement are made for every event and never changed; they aren't declared frozen since a frozen
# dataclass's constructor costs three times as much.

# (source, movement) → the accounts the amount goes from and to
WAYS: dict[tuple[str, str], tuple[str, str]] = {
    ("report", "held"): ("issuance", "pending"),
    ("report", "posted"): ("pending", "available"),
    ("report", "voided"): ("pending", "issuance"),
    ("report", "reversed"): ("available", "issuance"),
    ("redemption", "held"): ("available", "reserved"),
    ("redemption", "posted"): ("reserved", "redeemed"),
    ("redemption", "voided"): ("reserved", "available"),
    ("redemption", "reversed"): ("redeemed", "available"),
}
# movements after which the rider has more than before; the sign of an event's amount
_GAINS = frozenset(
    {
        ("report", "held"),
        ("report", "posted"),
        ("report", "refused"),
        ("redemption", "voided"),
        ("redemption", "reversed"),
    }
)


@dataclass(slots=True)
class Account:
    """One rider's balances in whole points; `version` counts movements and refusals."""

    rider_id: UUID
    version: int = 0
    pending: int = 0
    available: int = 0
    reserved: int = 0
    loaded_version: int = 0


@dataclass(slots=True)
class Hold:
    """Points on their way: for a report towards the rider, for a redemption towards the merchant.

    `loaded_state` is the state in the database; None means that the hold isn't there yet.
    """

    id: UUID
    source: Source
    rider_id: UUID
    case_id: UUID | None
    kind: str
    amount: int
    state: HoldState
    reason: str | None = None
    company: str | None = None
    loaded_state: HoldState | None = None
    ordinal: int | None = None
    """Of a report: its rider's place among the case's reporters."""


@dataclass(slots=True)
class CaseVerdict:
    """What was decided of a case: up to which of its reporters points are due, and up to which they are not."""

    posted_up_to: int = 0
    voided_up_to: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Caps per rider, valid from an instant until the next rule's."""

    version: int
    effective_from: datetime
    points_per_day_max: int
    kind_reports_per_day_max: int
    co_reporters_max: int
    set_by: str = ""
    reason: str = ""


@dataclass(slots=True)
class Claim:
    """A report that may earn: how much, on which day, or why not at all."""

    report_id: UUID
    rider_id: UUID
    case_id: UUID
    kind: str
    amount: int
    on: date
    refusal: str | None
    rule: Rule
    ordinal: int
    company: str

    def hold(self, refusal: str | None) -> Hold:
        """The hold that this claim becomes."""
        return Hold(
            id=self.report_id,
            source="report",
            rider_id=self.rider_id,
            case_id=self.case_id,
            kind=self.kind,
            amount=self.amount,
            state="held",
            reason=refusal,
            ordinal=self.ordinal,
            company=self.company,
        )


@dataclass(slots=True)
class Line:
    """One entry: `amount` > 0 goes from one account to another."""

    from_account: str
    to_account: str
    amount: int


@dataclass(slots=True)
class Movement:
    """One step of one account, with the balances after it. `cause`: the place of what it follows from."""

    hold: Hold
    name: HoldState
    lines: tuple[Line, ...]
    amount: int
    reason: str | None
    version: int
    pending: int
    available: int
    cause: int


@dataclass(slots=True)
class DayUse:
    """What a rider was promised on one day: in the database before, and added by this batch."""

    points: int = 0
    reports: dict[str, int] = field(default_factory=dict)
    added: dict[str, tuple[int, int]] = field(default_factory=dict)
    """kind → (points, reports)"""


def rule_at(rules: Sequence[Rule], at: datetime) -> Rule:
    """The rule in force at an instant; `rules` ascend by effective_from, and the first one also covers all before."""
    found = rules[0]
    for rule in rules[1:]:
        if rule.effective_from > at:
            break
        found = rule
    return found


def share(ordinal: int, repeated: bool, points: int, co_percent: int, rule: Rule) -> tuple[int, str | None]:
    """Points of one report of a case, and why none.

    The first reporter has them in full; each other rider has a fraction (rounded down) up to the rule's number of
    co-reporters; a rider's second report of the same case earns nothing.
    """
    if repeated:
        return 0, "already_reported"
    if ordinal == 1:
        return points, None if points else "no_points"
    if ordinal - 1 > rule.co_reporters_max:
        return 0, "co_reporters_max"
    amount = points * co_percent // 100
    return amount, None if amount else "no_points"


class Book:
    """The accounts and holds of one batch, locked by the caller. Its methods may be called in any order and again.

    `inactive`: riders who still earn what they reported, and may not spend. `waiting`: reports under suspicion, whose
    points are not posted before somebody has decided; `farmed`: those found to earn nothing.
    """

    def __init__(
        self, accounts: dict[UUID, Account], holds: dict[UUID, Hold], days: dict[tuple[UUID, date], DayUse]
    ) -> None:
        self.accounts = accounts
        self.holds = holds
        self.days = days
        self.inactive: set[UUID] = set()
        self.waiting: set[UUID] = set()
        self.farmed: set[UUID] = set()
        self.movements: list[Movement] = []
        self._of_case: defaultdict[UUID, list[Hold]] = defaultdict(list)
        for hold in holds.values():
            self._know(hold)

    def earn(self, claim: Claim, cause: int) -> None:
        """Hold the points of a report, or refuse them; nothing if the report was already dealt with."""
        if claim.report_id in self.holds:
            return
        refusal = claim.refusal or self._over_cap(claim)
        hold = claim.hold(refusal)
        self._know(hold)
        if refusal:
            self._move(hold, "refused", refusal, cause)
            return
        use = self.days[claim.rider_id, claim.on]
        points, reports = use.added.get(claim.kind, (0, 0))
        use.added[claim.kind] = (points + claim.amount, reports + 1)
        use.points += claim.amount
        use.reports[claim.kind] = use.reports.get(claim.kind, 0) + 1
        self._move(hold, "held", None, cause)

    def spend(self, redemption_id: UUID, rider_id: UUID, price: int, cause: int) -> None:
        """Reserve a price > 0 out of what is available, or refuse; nothing if the redemption was dealt with."""
        if redemption_id in self.holds:
            return
        account = self.accounts[rider_id]
        refusal = None
        if rider_id in self.inactive:
            refusal = "rider_inactive"
        elif account.available < price:
            refusal = "insufficient_points"
        hold = Hold(redemption_id, "redemption", rider_id, None, "", price, "held", refusal)
        self.holds[hold.id] = hold
        self._move(hold, "refused" if refusal else "held", refusal, cause)

    def post(self, hold_id: UUID, cause: int) -> None:
        """End a hold in favour of its receiver; nothing if it has ended, or waits for a decision."""
        hold = self.holds[hold_id]
        if hold.state == "held" and hold_id not in self.waiting:
            self._move(hold, "posted", None, cause)

    def void(self, unless_known: Hold, reason: str, cause: int) -> None:
        """End a hold by giving back. What was never held is remembered as voided: a late request then holds nothing."""
        hold = self.holds.get(unless_known.id)
        if hold is None:
            unless_known.state, unless_known.reason, unless_known.amount = "voided", reason, 0
            self._know(unless_known)
        elif hold.state == "held":
            self._move(hold, "voided", reason, cause)

    def take(self, claim: Claim, verdict: CaseVerdict, cause: int) -> None:
        """A report's points; where its case's verdict was heard before the report, that is carried out at once."""
        if claim.report_id in self.holds:
            return
        if claim.report_id in self.farmed:
            self.void(claim.hold(None), NOT_GENUINE, cause)
            return
        if claim.ordinal <= verdict.voided_up_to:
            self.void(claim.hold(None), "case_invalid", cause)
            return
        self.earn(claim, cause)
        if claim.ordinal <= verdict.posted_up_to:
            self.post(claim.report_id, cause)

    def settle(self, act: Act, hold_ids: Iterable[UUID], cause: int) -> None:
        """Carry a case's verdict out on some of its reports; nothing where that was done before."""
        for hold_id in hold_ids:
            if act == "post":
                self.post(hold_id, cause)
            elif not self.reverse(hold_id, "case_invalid", cause):
                self.void(self.holds[hold_id], "case_invalid", cause)

    def of_case(self, case_id: UUID, up_to: int) -> list[UUID]:
        """The reports of a case that the book knows, of its first `up_to` reporters."""
        known = self._of_case.get(case_id, ())
        return [hold.id for hold in known if hold.ordinal is not None and hold.ordinal <= up_to]

    def reverse(self, hold_id: UUID, reason: str, cause: int) -> bool:
        """Take back posted points of a report; False where there are none to take back.

        What the rider has spent meanwhile can't be taken from them without a negative balance: the house writes it off.
        """
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "posted" or hold.source != "report":
            return False
        self._move(hold, "reversed", reason, cause)
        return True

    def refund(self, hold_id: UUID, reason: str, cause: int) -> bool:
        """Give posted points of a redemption back to its rider; False where none are posted."""
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "posted" or hold.source != "redemption":
            return False
        self._move(hold, "reversed", reason, cause)
        return True

    def _know(self, hold: Hold) -> None:
        self.holds[hold.id] = hold
        if hold.case_id is not None:
            self._of_case[hold.case_id].append(hold)

    def _over_cap(self, claim: Claim) -> str | None:
        use = self.days.setdefault((claim.rider_id, claim.on), DayUse())
        if use.points + claim.amount > claim.rule.points_per_day_max:
            return "points_per_day_max"
        if use.reports.get(claim.kind, 0) >= claim.rule.kind_reports_per_day_max:
            return "kind_reports_per_day_max"
        return None

    def _move(self, hold: Hold, name: HoldState, reason: str | None, cause: int) -> None:
        account = self.accounts[hold.rider_id]
        lines = () if name == "refused" else _lines(hold, name, account)
        for line in lines:
            _apply(account, line)
        hold.state = name
        hold.reason = reason or hold.reason
        account.version += 1
        amount = hold.amount if (hold.source, name) in _GAINS else -hold.amount
        self.movements.append(
            Movement(hold, name, lines, amount, reason, account.version, account.pending, account.available, cause)
        )


def _lines(hold: Hold, name: str, account: Account) -> tuple[Line, ...]:
    source_account, target_account = WAYS[hold.source, name]
    if (hold.source, name) != ("report", "reversed") or account.available >= hold.amount:
        return (Line(source_account, target_account, hold.amount),)
    lost = Line("written_off", target_account, hold.amount - account.available)
    return (Line(source_account, target_account, account.available), lost) if account.available else (lost,)


def _apply(account: Account, line: Line) -> None:
    if line.from_account == "pending":
        account.pending -= line.amount
    elif line.from_account == "available":
        account.available -= line.amount
    elif line.from_account == "reserved":
        account.reserved -= line.amount
    if line.to_account == "pending":
        account.pending += line.amount
    elif line.to_account == "available":
        account.available += line.amount
    elif line.to_account == "reserved":
        account.reserved += line.amount


def riders_of(holds: Iterable[Hold]) -> set[UUID]:
    """Whose accounts these holds move."""
    return {hold.rider_id for hold in holds}
