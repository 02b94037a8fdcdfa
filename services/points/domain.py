"""The ledger's rules. A Book is the part of the ledger that a batch touches; it decides and remembers what to write."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

Source = Literal["report", "deed", "redemption", "expiry", "adjustment"]
EARNS: frozenset[Source] = frozenset({"report", "deed"})
"""What gives points by rules."""
HoldState = Literal["held", "posted", "voided", "reversed", "refused", "expired", "adjusted"]
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
    ("deed", "held"): ("issuance", "pending"),
    ("deed", "posted"): ("pending", "available"),
    ("deed", "voided"): ("pending", "issuance"),
    ("deed", "reversed"): ("available", "issuance"),
    ("redemption", "held"): ("available", "reserved"),
    ("redemption", "posted"): ("reserved", "redeemed"),
    ("redemption", "voided"): ("reserved", "available"),
    ("redemption", "reversed"): ("redeemed", "available"),
    ("expiry", "expired"): ("available", "breakage"),
    ("adjustment", "adjusted"): ("adjustment", "available"),
}
HOUSE = frozenset({"issuance", "redeemed", "written_off", "breakage", "adjustment"})
"""Accounts that are nobody's; their balances are derived. An entry may name the party for whose sake it moved there."""
# movements after which the rider has more than before; the sign of an event's amount
_GAINS = frozenset(
    {
        ("report", "held"),
        ("report", "posted"),
        ("report", "refused"),
        ("deed", "held"),
        ("deed", "posted"),
        ("deed", "refused"),
        ("redemption", "voided"),
        ("redemption", "reversed"),
        ("adjustment", "adjusted"),
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
    rule: str | None = None
    """Which rule decided, as `RuleSet.ref` of earning/rules.py writes it."""
    happened_at: datetime | None = None
    """When what earns happened: by that day's rules it was judged."""
    budget_id: int | None = None
    """Which budget it is paid from."""
    waits: bool = False
    """For points in that budget: it can't be posted before."""
    party: str | None = None
    """With whom points change hands at the house: `merchant:<id>` of a redemption."""
    takes: bool = False
    """Of an adjustment: it takes points from the rider. Not stored; its entry says so."""
    said: str | None = None
    """What an office has said beside the reason, for the rider."""


@dataclass(slots=True)
class CaseVerdict:
    """What was decided of a case: up to which of its reporters points are due, and up to which they are not."""

    posted_up_to: int = 0
    voided_up_to: int = 0


@dataclass(slots=True)
class Claim:
    """A report or deed that may earn: how much, on which day, or why not at all."""

    report_id: UUID
    """Of a deed: its id."""
    rider_id: UUID
    case_id: UUID | None
    kind: str
    amount: int
    on: date
    refusal: str | None
    rule: str | None
    ordinal: int | None
    company: str | None
    source: Source = "report"
    happened_at: datetime | None = None
    budget_id: int | None = None
    waits: bool = False

    def hold(self, refusal: str | None) -> Hold:
        """The hold that this claim becomes."""
        return Hold(
            id=self.report_id,
            source=self.source,
            rider_id=self.rider_id,
            case_id=self.case_id,
            kind=self.kind,
            amount=self.amount,
            state="held",
            reason=refusal,
            ordinal=self.ordinal,
            company=self.company,
            rule=self.rule,
            happened_at=self.happened_at,
            budget_id=self.budget_id,
            waits=self.waits,
        )


@dataclass(slots=True)
class Line:
    """One entry: `amount` > 0 goes from one account to another."""

    from_account: str
    to_account: str
    amount: int
    party: str | None = None


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
    """What a rider was promised on one day, and what of it is added by this batch."""

    made: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(kind or `deed/` and action, grid) → (points, how many)"""
    added: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def add(self, kind: str, grid: str, points: int) -> None:
        """Count one more."""
        for counts in (self.made, self.added):
            before, n = counts.get((kind, grid), (0, 0))
            counts[kind, grid] = (before + points, n + 1)


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
        """Hold the points of a report or deed, or refuse them; nothing if it was already dealt with.

        Caps and budgets have been asked before: the claim says so.
        """
        if claim.report_id in self.holds:
            return
        hold = claim.hold(claim.refusal)
        self._know(hold)
        if claim.refusal:
            self._move(hold, "refused", claim.refusal, cause)
        else:
            self._move(hold, "held", "budget_waits" if hold.waits else None, cause)

    def spend(self, redemption_id: UUID, rider_id: UUID, price: int, cause: int, party: str | None = None) -> None:
        """Reserve a price > 0 out of what is available, or refuse; nothing if the redemption was dealt with."""
        if redemption_id in self.holds:
            return
        account = self.accounts[rider_id]
        refusal = None
        if rider_id in self.inactive:
            refusal = "rider_inactive"
        elif account.available < price:
            refusal = "insufficient_points"
        hold = Hold(redemption_id, "redemption", rider_id, None, "", price, "held", refusal, party=party)
        self.holds[hold.id] = hold
        self._move(hold, "refused" if refusal else "held", refusal, cause)

    def post(self, hold_id: UUID, cause: int) -> None:
        """End a hold in favour of its receiver; nothing if it has ended, or waits for its budget or a decision."""
        hold = self.holds[hold_id]
        if hold.state == "held" and not hold.waits and hold_id not in self.waiting:
            self._move(hold, "posted", None, cause)

    def void(self, unless_known: Hold, reason: str, cause: int, said: str | None = None) -> None:
        """End a hold by giving back. What was never held is remembered as voided: a late request then holds nothing.

        `said`: an office's words beside the reason.
        """
        hold = self.holds.get(unless_known.id)
        if hold is None:
            unless_known.state, unless_known.reason, unless_known.amount = "voided", reason, 0
            self._know(unless_known)
        elif hold.state == "held":
            hold.said = said
            self._move(hold, "voided", reason, cause)

    def take(self, claim: Claim, verdict: CaseVerdict, cause: int) -> None:
        """A report's points; where its case's verdict was heard before the report, that is carried out at once."""
        if claim.report_id in self.holds:
            return
        if claim.report_id in self.farmed:
            self.void(claim.hold(None), NOT_GENUINE, cause)
            return
        if (claim.ordinal or 1) <= verdict.voided_up_to:
            self.void(claim.hold(None), "case_invalid", cause)
            return
        self.earn(claim, cause)
        if (claim.ordinal or 1) <= verdict.posted_up_to:
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
        """Take back posted points of a report or deed; False where there are none to take back.

        What the rider has spent meanwhile can't be taken from them without a negative balance: the house writes it off.
        """
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "posted" or hold.source not in EARNS:
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

    def expire(self, hold_id: UUID, rider_id: UUID, amount: int, cause: int) -> None:
        """Let points > 0 of an old lot go to breakage; at most what is available."""
        hold = Hold(hold_id, "expiry", rider_id, None, "", amount, "held")
        self._know(hold)
        self._move(hold, "expired", "points_expired", cause)

    def adjust(self, hold_id: UUID, rider_id: UUID, amount: int, reason: str, cause: int) -> bool:
        """Give points (`amount` > 0), or take them (< 0); False where more would be taken than is available."""
        if amount < 0 and self.accounts[rider_id].available < -amount:
            return False
        hold = Hold(hold_id, "adjustment", rider_id, None, reason, abs(amount), "held", takes=amount < 0)
        self._know(hold)
        self._move(hold, "adjusted", reason, cause)
        return True

    def _know(self, hold: Hold) -> None:
        self.holds[hold.id] = hold
        if hold.case_id is not None:
            self._of_case[hold.case_id].append(hold)

    def _move(self, hold: Hold, name: HoldState, reason: str | None, cause: int) -> None:
        account = self.accounts[hold.rider_id]
        lines = () if name == "refused" else _lines(hold, name, account)
        for line in lines:
            _apply(account, line)
        hold.state = name
        hold.reason = reason or hold.reason
        account.version += 1
        amount = hold.amount if (hold.source, name) in _GAINS and not hold.takes else -hold.amount
        self.movements.append(
            Movement(hold, name, lines, amount, reason, account.version, account.pending, account.available, cause)
        )


def _lines(hold: Hold, name: str, account: Account) -> tuple[Line, ...]:
    source_account, target_account = WAYS[hold.source, name]
    if hold.takes:
        source_account, target_account = target_account, source_account
    party = hold.party if source_account in HOUSE or target_account in HOUSE else None
    if name != "reversed" or hold.source not in EARNS or account.available >= hold.amount:
        return (Line(source_account, target_account, hold.amount, party),)
    lost = Line("written_off", target_account, hold.amount - account.available, party)
    if not account.available:
        return (lost,)
    return (Line(source_account, target_account, account.available, party), lost)


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
