"""A dry run over what happened: slices of the past through rules that are tried out."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from services.points.earning.dry_run import DryRun
from services.points.earning.rules import RuleSet
from services.points.earning.terms import Terms
from services.points.store import history
from shared.events.common import AreaLevel
from shared.kit.areas import AreaTree
from shared.kit.postgres.db import Pool, reading

SLICE = timedelta(hours=6)
DAYS_MAX = 62
AT_ONCE = 500
"""Judged between two looks at what else the process has to do."""
LEVELS: tuple[AreaLevel, ...] = ("city", "district", "street", "community", "grid")
_BY_LENGTH: dict[int, AreaLevel] = {6: "district", 9: "street", 12: "community", 15: "grid"}


async def rehearse(terms: Terms, pool: Pool, judge: RuleSet, days: tuple[date, date], level: AreaLevel) -> DryRun:
    """Judge all that happened on the city's days from the first until before the second.

    The days of their week before the first fill the caps and aren't added up. What is heard up to two days late counts.
    """
    first, after = (datetime.combine(day, time(), terms.zone) for day in days)
    tree = terms.tree()
    run = DryRun(judge, terms.catalogue, terms.zone, tree.line, _adding(tree, level), first)
    since = first - timedelta(days=first.weekday() if judge.weekly else 0)
    until = after + timedelta(days=2)
    while since < until:
        upto = min(since + SLICE, until)
        async with reading(pool) as conn:
            found = await history.past(conn, since, upto)
        for number, one in enumerate(found):
            if one.happened_at < after:
                run.take(one)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        since = upto
    return run


def _adding(tree: AreaTree, level: AreaLevel) -> Callable[[str], str]:
    """From a place to the area of a level in which it lies; to the smallest one above it where there is none."""
    wanted = LEVELS.index(level)

    def level_of(code: str) -> int:
        known = tree.areas.get(code)
        return LEVELS.index(known.level if known is not None else _BY_LENGTH.get(len(code), "grid"))

    def area_of(code: str) -> str:
        line = tree.line(code)
        return next((one for one in reversed(line) if level_of(one) <= wanted), line[0] if line else code)

    return area_of


def last_month(today: date) -> tuple[date, date]:
    """The first day of the month before, and of this one."""
    after = today.replace(day=1)
    return (after - timedelta(days=1)).replace(day=1), after
