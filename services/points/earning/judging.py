"""From what has happened to what it earns: rules, then caps, then budgets, before the book is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.points.domain import Book, Claim, DayUse
from services.points.earning import rules
from services.points.earning.memory import Known
from services.points.earning.rules import Asked, RuleSet
from services.points.store import budgets as budget_store
from services.points.store.budgets import Wanted
from shared.kit.postgres.db import Connection


@dataclass(slots=True)
class Judgement:
    """A claim with the question that it answers and the rules that decided."""

    claim: Claim
    asked: Asked
    rules: RuleSet

    def days(self) -> Iterable[tuple[UUID, date]]:
        """Of which days its rider's uses have to be known."""
        return ((self.claim.rider_id, day) for day in rules.days_of(self.asked.on, self.rules.weekly))


def days_of(judged: Iterable[Judgement]) -> set[tuple[UUID, date]]:
    """All days that caps will ask for; of what is refused already, none."""
    return {day for one in judged if one.claim.refusal is None for day in one.days()}


async def lock_budgets(conn: Connection, known: Known, judged: Iterable[Judgement], also: Iterable[int] = ()) -> None:
    """Lock the budgets that may pay these claims, and `also` those that may get something back, in one order.

    Before the book is opened: behind a budget come accounts, and behind these the shards of kept numbers, of which two
    connections may have one in common. One statement where a budget is concerned, none else.
    """
    ids = set(also)
    for one in judged:
        if one.claim.refusal is None:
            one.claim.budget_id = known.budgets.of(one.asked.line, one.asked.on)
            if one.claim.budget_id is not None:
                ids.add(one.claim.budget_id)
    if ids:
        await budget_store.lock(conn, ids)


async def admit(conn: Connection, book: Book, judged: Sequence[Judgement]) -> None:
    """Ask the caps in the order of the claims, then the budgets, which are locked; each claim says what came out.

    What the book has dealt with before counts once: it is passed over here as it is there. One statement where a budget
    is concerned, none else.
    """
    seen: set[UUID] = set()
    wanted: list[Wanted] = []
    for one in judged:
        claim = one.claim
        if claim.report_id in book.holds or claim.report_id in seen:
            continue
        seen.add(claim.report_id)
        # what was found to be farmed earns nothing: neither caps nor budgets count it
        if claim.report_id in book.farmed or claim.refusal is not None or not cap(book, one):
            claim.budget_id = None
        elif claim.budget_id is not None:
            wanted.append(Wanted(claim.budget_id, claim.report_id, claim.amount))
    if wanted:
        paid = await budget_store.charge(conn, wanted)
        waiting = {want.hold_id for want in wanted} - paid
        for one in judged:
            one.claim.waits = one.claim.report_id in waiting


def cap(book: Book, one: Judgement) -> bool:
    """Whether no cap stands against a claim, which is then counted; else it is refused."""
    claim, asked = one.claim, one.asked
    uses: dict[date, DayUse] = {}
    for rider_day in one.days():
        if (use := book.days.get(rider_day)) is not None:
            uses[rider_day[1]] = use
    row = rules.over_cap(one.rules, asked, claim.amount, uses)
    if row is not None:
        claim.refusal, claim.rule = rules.cap_code(row), one.rules.ref(row)
        return False
    today = book.days.setdefault((claim.rider_id, asked.on), DayUse())
    today.add(asked.counted, asked.grid, claim.amount)
    return True
