"""Shares, rules, and what a Book decides."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.points.domain import Account, Book, Claim, DayUse, Hold, Rule, rule_at, share
from shared.kit.ids import new_id

DAY = date(2026, 3, 2)
START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(1, START, points_per_day_max=100, kind_reports_per_day_max=2, co_reporters_max=2)
ME = new_id()


def claim(rider: UUID = ME, amount: int = 50, kind: str = "gas", refusal: str | None = None) -> Claim:
    return Claim(new_id(), rider, new_id(), kind, amount, DAY, refusal, RULE, 1, "feima")


def book(*claims: Claim, **balances: int) -> Book:
    accounts = {c.rider_id: Account(c.rider_id, **balances) for c in claims} or {ME: Account(ME, **balances)}
    return Book(accounts, {}, {(c.rider_id, c.on): DayUse() for c in claims})


@pytest.mark.parametrize(
    ("ordinal", "repeated", "expected"),
    [
        (1, False, (51, None)),
        (2, False, (25, None)),
        (3, False, (25, None)),
        (4, False, (0, "co_reporters_max")),
        (1, True, (0, "already_reported")),
        (4, True, (0, "already_reported")),
    ],
)
def test_shares_of_a_case(ordinal: int, repeated: bool, expected: tuple[int, str | None]) -> None:
    assert share(ordinal, repeated, 51, 50, RULE) == expected


def test_a_kind_without_points_says_so() -> None:
    assert share(1, False, 0, 50, RULE) == (0, "no_points")
    assert share(2, False, 1, 50, RULE) == (0, "no_points")


def test_the_rule_in_force() -> None:
    later = Rule(2, START + timedelta(days=10), 1, 1, 1)
    assert rule_at([RULE, later], START - timedelta(days=1)) is RULE
    assert rule_at([RULE, later], later.effective_from) is later
    assert rule_at([RULE, later], later.effective_from - timedelta(seconds=1)) is RULE


def test_caps_count_what_was_promised_before_and_in_the_batch() -> None:
    claims = [claim(amount=40), claim(amount=40), claim(amount=40), claim(amount=20, kind="light")]
    held = book(*claims)
    held.days[ME, DAY].points = 20
    for at, one in enumerate(claims):
        held.earn(one, at)
    assert [(m.name, m.reason) for m in held.movements] == [
        ("held", None),
        ("held", None),
        ("refused", "points_per_day_max"),
        ("refused", "points_per_day_max"),
    ]
    assert held.days[ME, DAY].added == {"gas": (80, 2)}


def test_the_cap_of_a_kind() -> None:
    claims = [claim(amount=1) for _ in range(3)]
    held = book(*claims)
    for one in claims:
        held.earn(one, 0)
    assert [m.reason for m in held.movements] == [None, None, "kind_reports_per_day_max"]


def test_a_hold_ends_once_and_movements_are_numbered() -> None:
    one = claim()
    held = book(one)
    for _ in range(2):
        held.earn(one, 0)
        held.post(one.report_id, 1)
        held.void(Hold(one.report_id, "report", ME, None, "", 0, "voided"), "late", 2)
    assert [(m.name, m.version, m.amount) for m in held.movements] == [("held", 1, 50), ("posted", 2, 50)]
    assert held.reverse(one.report_id, "wrong", 3) and not held.reverse(one.report_id, "wrong", 3)
    account = held.accounts[ME]
    assert (account.pending, account.available, account.reserved) == (0, 0, 0)


@pytest.mark.parametrize(
    ("available", "lines"),
    [
        (50, [("available", 50)]),
        (20, [("available", 20), ("written_off", 30)]),
        (0, [("written_off", 50)]),
    ],
)
def test_a_reversal_never_makes_a_balance_negative(available: int, lines: list[tuple[str, int]]) -> None:
    hold = Hold(new_id(), "report", ME, new_id(), "gas", 50, "posted", None, "posted")
    held = Book({ME: Account(ME, available=available)}, {hold.id: hold}, {})
    assert held.reverse(hold.id, "wrong", 0)
    assert [(line.from_account, line.amount) for line in held.movements[0].lines] == lines
    assert held.accounts[ME].available == 0


def test_spending() -> None:
    held = book(available=60)
    first, second = new_id(), new_id()
    held.spend(first, ME, 60, 0)
    held.spend(second, ME, 1, 1)
    held.inactive.add(ME)
    held.spend(new_id(), ME, 0, 2)
    assert [(m.name, m.amount, m.reason) for m in held.movements] == [
        ("held", -60, None),
        ("refused", -1, "insufficient_points"),
        ("refused", 0, "rider_inactive"),
    ]
    assert not held.reverse(first, "a redemption isn't reversed", 3)
