"""Codes, opening hours, quotas."""

import math
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from services.rewards import problems
from services.rewards.domain import ALPHABET, CODE_LENGTH, QR_PREFIX, Offer, Taken, canonical, is_open, new_code, shown
from services.rewards.usecases.codes import Codes
from shared.kit.ids import new_id

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def offer(**changed: Any) -> Offer:
    stated: dict[str, Any] = {
        "id": new_id(),
        "version": 1,
        "merchant_id": new_id(),
        "merchant_name": "m",
        "merchant_active": True,
        "name": "tea",
        "description": "",
        "price": 1,
        "donated_by": None,
        "stock": 2,
        "free": 2,
        "held": 0,
        "sold": 0,
        "per_rider_max": None,
        "per_day_max": None,
        "valid_from": NOW,
        "valid_until": NOW + timedelta(hours=1),
        "opens_minute": 0,
        "closes_minute": 1440,
        "voucher_minutes": 5,
    }
    return Offer(**{**stated, **changed})


def test_a_code_has_sixty_bits_and_no_lookalikes() -> None:
    assert CODE_LENGTH * math.log2(len(ALPHABET)) >= 60
    assert len(set(ALPHABET)) == len(ALPHABET)
    assert not set(ALPHABET) & set("01OILU")


def test_a_code_survives_being_read_out_and_typed() -> None:
    code = new_code(secrets.randbelow)
    for typed in (
        code,
        shown(code),
        shown(code).lower(),
        f" {shown(code)} ",
        QR_PREFIX + code,
        shown(code).replace("-", " "),
    ):
        assert canonical(typed) == code
    for wrong in ("", code[:-1], code + "2", "0" + code[1:], "券" * CODE_LENGTH):
        assert canonical(wrong) is None


def test_a_sealed_code_belongs_to_its_redemption() -> None:
    codes, mine, other = Codes(b"sixteen bytes ..."), new_id(), new_id()
    code_hash, sealed = codes.issue(mine)
    code = codes.open(mine, sealed)
    assert codes.hashes(code) == [code_hash] and code.encode() not in sealed
    with pytest.raises(InvalidTag):
        codes.open(other, sealed)
    assert Codes(b"another secret ....").hashes(code) != [code_hash]
    with pytest.raises(ValueError):
        Codes(b"short")


@pytest.mark.parametrize(
    ("opens", "closes", "hour", "expected"),
    [
        (0, 1440, 23, True),
        (480, 1290, 7, False),
        (480, 1290, 8, True),
        (480, 1290, 22, False),
        (1200, 1560, 1, True),
        (1200, 1560, 3, False),
        (1200, 1560, 23, True),
    ],
)
def test_opening_hours(opens: int, closes: int, hour: int, expected: bool) -> None:
    assert is_open(opens, closes, datetime(2026, 3, 2, hour, 0, tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"merchant_active": False}, "merchant_inactive"),
        ({"valid_from": NOW + timedelta(seconds=1)}, "not_valid_now"),
        ({"valid_until": NOW}, "not_valid_now"),
    ],
)
def test_who_may_take(changed: dict[str, Any], reason: str | None) -> None:
    refused = Taken(2, 0, {}).take(offer(**changed), new_id(), NOW)
    assert (refused and refused.code) == reason


def test_taking_counts() -> None:
    me, taken = new_id(), Taken(3, 0, {})
    limited = offer(price=0, per_rider_max=2, per_day_max=3)
    reasons = [taken.take(limited, rider, NOW) for rider in (me, me, me, new_id(), new_id())]
    assert reasons == [None, None, problems.RIDER_QUOTA_USED, None, problems.DAY_QUOTA_USED]
    assert Taken(0, 0, {}).take(offer(), me, NOW) is problems.SOLD_OUT


def test_whoever_waits_for_points_or_has_too_few_takes_none() -> None:
    me, poor = new_id(), new_id()
    taken = Taken(3, 0, {}, available={poor: 49})
    reasons = [taken.take(offer(price=50), rider, NOW) for rider in (me, me, poor)]
    assert reasons == [None, problems.REDEMPTION_OPEN, problems.POINTS_MISSING]
    assert taken.take(offer(price=49), poor, NOW) is None and taken.free == 1


def test_whose_level_is_too_low_takes_none() -> None:
    golden, scout, stranger = new_id(), new_id(), new_id()
    taken = Taken(9, 0, {}, levels={golden: 3, scout: 2})
    silver = offer(price=0, least_level=3, per_rider_max=1)
    reasons = [taken.take(silver, rider, NOW) for rider in (golden, golden, scout, stranger)]
    assert reasons == [None, problems.RIDER_QUOTA_USED, problems.LEVEL_TOO_LOW, problems.LEVEL_TOO_LOW]
    assert taken.take(offer(price=0), stranger, NOW) is None and taken.free == 7
    bound = offer(price=0, least_level=1, companies=("suda",))
    assert Taken(9, 0, {}).take(bound, stranger, NOW) is problems.NOT_FOR_YOU, "what no points change is said first"


def test_a_code_outlives_a_change_of_secrets() -> None:
    old, new = b"an old secret ....", b"a new secret ....."
    mine = new_id()
    code_hash, sealed = Codes(old).issue(mine)
    both = Codes(new, old)
    code = both.open(mine, sealed)
    assert code_hash in both.hashes(code) and both.under(mine, sealed) == 1
    renewed_hash, renewed = both.renewed(mine, sealed)
    assert both.under(mine, renewed) == 0
    assert Codes(new).open(mine, renewed) == code and Codes(new).hashes(code) == [renewed_hash]
    with pytest.raises(InvalidTag):
        Codes(new).open(mine, sealed)
