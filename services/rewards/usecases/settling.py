"""A merchant's month: closed once, disputed, answered, paid; and what proves a printed one."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from services.rewards import problems
from services.rewards.store import merchants, statements
from services.rewards.store.statements import Closing, CompanyUse, Line, Statement, Unlike
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found
from shared.kit.refusals import Refusal

PREFIX = "BEEGRID-STATEMENT:"
RIDERS_MIN = 5
"""Of fewer riders a company is given no totals: they would be somebody's."""
UNLIKE_SHOWN = 50
"""Vouchers that a refusal names."""


def month_of(first: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The month that begins on a day, as the city has it: [since, until)."""
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return datetime.combine(first, time(), zone), datetime.combine(after, time(), zone)


async def close(work: Work, zone: ZoneInfo, merchant_id: UUID, first: date, by: str) -> Statement:
    """Close a merchant's month, an hour after its end or later. Again: the same statement.

    Raises:
        Refusal: no such merchant; `month_not_over`; `ledger_differs` while the ledger has not moved the points of what
            was taken and given back in it.
    """
    if await merchants.merchant(work.conn, merchant_id) is None:
        raise not_found("merchant")
    since, until = month_of(first, zone)
    if not await statements.is_over(work.conn, until):
        raise problems.MONTH_NOT_OVER()
    if (kept := await statements.of_month(work.conn, merchant_id, first)) is not None:
        return kept
    if unlike := await statements.unlike(work.conn, merchant_id, since, until, UNLIKE_SHOWN + 1):
        raise _differs(unlike)
    lines = await statements.lines(work.conn, merchant_id, since, until)
    fresh = Closing(
        id=new_id(),
        merchant_id=merchant_id,
        month=first,
        since=since,
        until=until,
        used=sum(line.used for line in lines),
        returned=sum(line.returned for line in lines),
        doubles=sum(line.doubles for line in lines),
        points=sum(line.points for line in lines),
        digest=digest(merchant_id, first, lines),
    )
    made = await statements.add(work.conn, fresh, by, lines)
    if made is not None:
        return made
    kept = await statements.of_month(work.conn, merchant_id, first)
    assert kept is not None, "somebody else has just closed it"
    return kept


def _differs(unlike: Sequence[Unlike]) -> Refusal:
    shown = unlike[:UNLIKE_SHOWN]
    more = " at least" if len(unlike) > len(shown) else ""
    return problems.LEDGER_DIFFERS(
        f"of{more} {len(shown)} vouchers", redemption_ids=[str(one.redemption_id) for one in shown]
    )


async def of_company(work: Work, zone: ZoneInfo, company: str, first: date) -> CompanyUse:
    """What a company's riders used in a month: as it was first said, whatever is undone later.

    Raises:
        Refusal: `month_not_over`.
    """
    since, until = month_of(first, zone)
    if not await statements.is_over(work.conn, until):
        raise problems.MONTH_NOT_OVER()
    said = await statements.of_company(work.conn, company, first)
    return said or await statements.say_of_company(work.conn, company, first, (since, until), RIDERS_MIN)


async def step(work: Work, which: str, id_: UUID, words: str, by: str) -> Statement:
    """Dispute, answer or pay.

    Raises:
        Refusal: no such statement; `statement_moved_on` with its state.
    """
    made = await statements.step(work.conn, which, id_, words, by)
    if made is not None:
        return made
    found = await statements.statement(work.conn, id_)
    if found is None:
        raise not_found("statement")
    raise problems.STATEMENT_MOVED_ON(state=found.state)


def digest(merchant_id: UUID, first: date, lines: Sequence[Line]) -> str:
    """SHA-256 of all that a statement says, in hexadecimal: two that differ anywhere have two."""
    said = [
        [str(line.offer_id), line.offer_name, line.price, line.used, line.returned, line.doubles, line.points]
        for line in sorted(lines, key=lambda line: (line.offer_name, str(line.offer_id), line.price))
    ]
    return hashlib.sha256(orjson.dumps([str(merchant_id), first.isoformat(), said])).hexdigest()


def stamp(statement: Statement) -> str:
    """What is signed, and printed as a QR code before its signature."""
    return f"{PREFIX}{statement.id}:{statement.digest}"
