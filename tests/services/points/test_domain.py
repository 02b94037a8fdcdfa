"""What a Book decides."""

from datetime import date
from uuid import UUID

import pytest

from services.points.domain import Account, Book, Claim, DayUse, Hold
from shared.kit.ids import new_id

DAY = date(2026, 3, 2)
ME = new_id()


def claim(rider: UUID = ME, amount: int = 50, kind: str = "gas", refusal: str | None = None) -> Claim:
    return Claim(new_id(), rider, new_id(), kind, amount, DAY, refusal, "1/catalogue", 1, "feima")


def book(*claims: Claim, **balances: int) -> Book:
    accounts = {c.rider_id: Account(c.rider_id, **balances) for c in claims} or {ME: Account(ME, **balances)}
    return Book(accounts, {}, {(c.rider_id, c.on): DayUse() for c in claims})


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
