"""The equations at the end of the demo's day: each of them can fail, and says where."""

import io
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from shared.devtools.demo import ending, live, reconcile
from shared.devtools.demo.ending import Owed, Sealed, Settled
from shared.synthetic.outings import Outing
from shared.synthetic.reports import Sent

SETTLED = Settled((Owed("东", 3, 45, 3, 45), Owed("西", 1, 15, 1, 15)), "2026-11", 0)
SEALED = Sealed(1, 7, 20, 7, 20, (), 4, 0)
REDEEMED = live.Figures({"points": {"tallies": {"redeemed": 60, "entries": 25}}})
WRONG: dict[str, tuple[Settled, Sealed | None, str]] = {
    "the ledger paid less": (replace(SETTLED, owed=(Owed("东", 3, 45, 3, 40), SETTLED.owed[1])), SEALED, "结算 ="),
    "a voucher more": (replace(SETTLED, owed=(Owed("东", 4, 45, 3, 45), SETTLED.owed[1])), SEALED, "结算的券"),
    "a station is left out": (replace(SETTLED, owed=SETTLED.owed[:1]), SEALED, "各站"),
    "a month that goes on was closed": (replace(SETTLED, closed_early=1), SEALED, "提前关账"),
    "no seal": (SETTLED, None, "有封存"),
    "an account more": (SETTLED, replace(SEALED, verified_accounts=8), "封存账户"),
    "an entry less": (SETTLED, replace(SEALED, verified_entries=19), "封存分录"),
    "an entry that reads otherwise": (SETTLED, replace(SEALED, wrong=("account 1: …",)), "与封存不符"),
    "a rider whose entries are others": (SETTLED, replace(SEALED, own_wrong=1), "与封存不符"),
}


def test_what_is_right_holds() -> None:
    assert all(line.holds for line in ending.lines(SETTLED, SEALED, REDEEMED))


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_where_it_is(what: str) -> None:
    settled, sealed, where = WRONG[what]
    wrong = [line.what for line in ending.lines(settled, sealed, REDEEMED) if not line.holds]
    assert any(line.startswith(where) for line in wrong)
    said = io.StringIO()
    ending.show(settled, sealed, REDEEMED, Console(file=said, width=500))
    assert ("no seal yet" in said.getvalue()) == (sealed is None)
    assert ("account 1: …" in said.getvalue()) == (where == "与封存不符" and sealed is not None and bool(sealed.wrong))


@pytest.mark.parametrize(
    ("states", "decided", "holds"),
    [
        ({"cleared": 1, "confirmed": 1}, {"cleared": 1, "confirmed": 1}, [True, True]),
        ({"raised": 1, "confirmed": 1}, {"confirmed": 1}, [False, True]),
        ({"cleared": 1}, {"cleared": 1}, [True, False]),
        ({}, {}, [True, False]),
    ],
)
def test_what_was_raised_is_decided_and_what_was_farmed_is_found(
    states: dict[str, int], decided: dict[str, int], holds: list[bool]
) -> None:
    figures = live.Figures({"screening": {"tallies": states}})
    assert [line.holds for line in ending.decisions(Counter(decided), figures)] == holds


@pytest.mark.parametrize(
    ("states", "entered", "holds"),
    [
        ({"confirmed": 50, "waiting": 43, "cancelled": 7}, 100, [True, True, True]),
        ({"confirmed": 51, "waiting": 42, "cancelled": 7}, 100, [False, True, True]),
        ({"confirmed": 49, "waiting": 44, "cancelled": 7}, 100, [False, True, True]),
        ({"confirmed": 50, "waiting": 44, "cancelled": 7}, 101, [True, False, True]),
        ({"confirmed": 50, "waiting": 43, "cancelled": 7}, 99, [True, True, False]),
    ],
)
def test_places_are_given_once_and_every_wish_is_somewhere(
    states: dict[str, int], entered: int, holds: list[bool]
) -> None:
    figures = live.Figures({"activities": {"tallies": {**states, "signups": entered}}})
    outing = Outing("a", 100, Counter(states))
    assert [line.holds for line in ending.places(outing, figures)] == holds


def test_who_waits_for_consent_is_counted_with_the_refused() -> None:
    """Of four bad reports one was refused over HTTP, one is a dead letter, two wait."""
    figures = live.Figures(
        {"intake": {"tallies": {"waiting": 2}, "dead_letters": {"x dead": 1}, "lag_records": {}, "outbox_rows": 0}}
    )
    found = reconcile.lines(Sent(refused=4), 1, figures)
    assert [line.holds for line in found if line.what.startswith("应退回")] == [True]
