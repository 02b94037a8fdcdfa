"""Numbers that are kept: statement triggers of each schema add to `counters`; its view `counted` counts history.

What is kept elsewhere, by day for a page that asks for a range, is in the view `kept` and is put right by the schema's
function `correct_number`: a recount knows it like any other number.

The kit's own numbers are counted by `counted_letters` and `counted_erasures`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.kit.postgres.db import Connection

SQL_KEPT = "SELECT what, label, sum(n)::bigint AS n FROM counters WHERE what = ANY($1::text[]) GROUP BY what, label"
SQL_MOST = """
SELECT label, sum(n)::bigint AS n FROM counters WHERE what = $1
GROUP BY label HAVING sum(n) > 0 ORDER BY 2 DESC, label COLLATE "C" LIMIT $2
"""
# One statement, so one snapshot: a number and what it counts change in the same transaction, so they are compared as
# they were at one moment whatever is written meanwhile.
SQL_DIFFERENCES = """
SELECT what, label, coalesce(kept.n, 0) AS kept, coalesce(history.n, 0) AS counted
FROM (SELECT what, label, sum(n)::bigint AS n FROM kept GROUP BY what, label) AS kept
FULL JOIN (
    SELECT what, label, sum(n)::bigint AS n
    FROM (SELECT what, label, n FROM counted UNION ALL SELECT what, label, n FROM counted_letters
          UNION ALL SELECT what, label, n FROM counted_erasures) AS own_and_kits
    GROUP BY what, label) AS history USING (what, label)
WHERE coalesce(kept.n, 0) <> coalesce(history.n, 0) ORDER BY what, label
"""
SQL_CORRECT = """
SELECT count(correct_number(what, label, n)) FROM (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d (what, label, n) ORDER BY what, label
) AS ordered
"""
# Of the transaction alone: whoever counts all of history takes longer than any request may.
SQL_TAKE_TIME = "SET LOCAL transaction_timeout = 0"
RECOUNT_TIMEOUT_S = 1800.0
UNEXPLAINED = "unexplained"
"""What a recount finds wrong in history itself; it has no number that could be corrected."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A kept number that isn't what history has."""

    what: str
    label: str
    kept: int
    counted: int


class Kept:
    """Numbers as they are kept, by what they count and by label."""

    def __init__(self, numbers: Mapping[tuple[str, str], int]) -> None:
        self._numbers = numbers

    def of(self, what: str, label: str = "") -> int:
        """One number; 0 where nothing was ever counted."""
        return self._numbers.get((what, label), 0)

    def total(self, *whats: str, label: str | None = None) -> int:
        """The sum over these, of one label or of all."""
        return sum(n for (what, other), n in self._numbers.items() if what in whats and label in (None, other))

    def by_label(self, what: str) -> dict[str, int]:
        """All labels with something in them."""
        return {label: n for (other, label), n in self._numbers.items() if other == what and n}


async def kept(conn: Connection, *whats: str) -> Kept:
    """The numbers of these names: a few rows each, whatever they count."""
    return Kept({(row["what"], row["label"]): row["n"] for row in await conn.fetch(SQL_KEPT, whats)})


async def most(conn: Connection, what: str, rows_max: int) -> list[tuple[str, int]]:
    """The largest numbers of one name with their labels: where there may be thousands, few have to be carried."""
    return [(row["label"], row["n"]) for row in await conn.fetch(SQL_MOST, what, rows_max)]


async def differences(conn: Connection) -> list[Difference]:
    """Count all of history and compare; inside a transaction. Reads every row: for an operator, never on a schedule."""
    await conn.execute(SQL_TAKE_TIME)
    return [Difference(**row) for row in await conn.fetch(SQL_DIFFERENCES, timeout=RECOUNT_TIMEOUT_S)]


def correctable(found: Iterable[Difference]) -> list[Difference]:
    """Those whose kept number can be put right."""
    return [one for one in found if one.what != UNEXPLAINED]


async def correct(conn: Connection, found: Sequence[Difference]) -> None:
    """Add what is missing. What was counted meanwhile stays counted: a difference is added, no number is set."""
    await conn.execute(
        SQL_CORRECT,
        [one.what for one in found],
        [one.label for one in found],
        [one.counted - one.kept for one in found],
    )
