"""Rule sets are checked and added; what was judged before stays as it was."""

from collections.abc import Callable, Sequence

from services.points import problems
from services.points.earning import files
from services.points.earning.rows import RuleFault, RuleRow, faults_of
from services.points.earning.terms import Terms
from services.points.store import rules as store
from services.points.store.rules import SetHead
from shared.kit.messaging.work import Work


def read(terms: Terms, text: str) -> list[RuleRow]:
    """The rules of a file, for this city.

    Raises:
        Refusal: `rules_faulty`, with line and column of each fault.
    """
    rows, unread = files.read(text, terms.zone)
    if faults := [*unread, *faults_of(rows, terms.catalogue.__contains__, _is_area(terms))]:
        raise problems.RULES_FAULTY(f"{len(faults)} faults", errors=_named(faults))
    return rows


async def check(work: Work, head: SetHead) -> None:
    """What `add` would refuse, as far as it can be known before. Raises as `add` does."""
    if head.effective_from < work.now:
        raise problems.RULE_IN_THE_PAST()
    if head.version != 1 + (last := await store.last_version(work.conn)):
        raise problems.RULE_MOVED_ON(current_version=last)


async def add(work: Work, head: SetHead, rows: Sequence[RuleRow]) -> None:
    """Append a set as the next version.

    Raises:
        Refusal: `rule_in_the_past`; `rule_moved_on` when the version isn't the next one or its instant is taken.
    """
    if head.effective_from < work.now:
        raise problems.RULE_IN_THE_PAST()
    if not await store.add(work.conn, head, rows):
        raise problems.RULE_MOVED_ON(current_version=await store.last_version(work.conn))


def _is_area(terms: Terms) -> Callable[[str], bool]:
    tree = terms.tree()
    return lambda code: not tree.known or code in tree.areas


def _named(faults: Sequence[RuleFault]) -> list[dict[str, object]]:
    return [
        {"line": fault.line, "field": f"body.csv.{fault.column}", "problem": fault.problem}
        for fault in files.numbered(faults)
    ]
