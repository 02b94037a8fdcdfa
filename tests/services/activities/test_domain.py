"""The draw, the codes and the calendar, without a database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.activities.calendar import FOLD_OCTETS, escaped, feed, folded
from services.activities.domain import (
    QR_PREFIX,
    Activity,
    Signup,
    bare,
    drawn_order,
    hash_of,
    is_rider_code,
    is_site_code,
    number_of,
    rider_code,
    site_code,
)
from shared.kit.ids import new_id

NOON = datetime(2026, 5, 22, 6, 0, tzinfo=UTC)
ID = UUID("0199a2c4-01d1-71d1-81d1-5f0c7be102a1")
SEED = "5f" * 32


def activity(**stated: object) -> Activity:
    usual = {
        "id": ID, "version": 3, "said": 1, "series_id": None, "template": None, "title_zh": "集体生日会；蛋糕,多多",
        "title_en": "Birthday", "words_zh": "第一行\n第二行" * 9, "words_en": "cake", "area_code": "G1",
        "address": "驿站", "station_id": None, "organiser": "街道", "starts_at": NOON, "ends_at": NOON,
        "signup_until": NOON, "places": 3, "way": "queue", "companies": (), "areas": (), "seed_hash": None,
        "drawn_at": None, "state": "open", "reason": None, "published_at": NOON, "changed_at": NOON, "signups": 0,
        "confirmed": 0, "waiting": 0, "wished": 0, "cancelled": 0, "attended": 0, "no_shows": 0,
    }  # fmt: skip
    return Activity(**{**usual, **stated})  # type: ignore[arg-type]


def signup(number: int) -> Signup:
    return Signup(new_id(), 1, ID, new_id(), "suda", number, number, None, False, "confirmed", None, NOON, NOON)


def test_anybody_can_recompute_a_draw_with_nothing_but_what_is_published() -> None:
    def strangers(seed: str, entrants: int, withdrawn: set[int]) -> list[int]:
        lines = {n: sha256(f"{seed}:{ID}:{entrants}:{n}".encode()).hexdigest() for n in range(1, entrants + 1)}
        return [n for n in sorted(lines, key=lambda n: lines[n]) if n not in withdrawn]

    assert drawn_order(SEED, ID, 2_000, {7, 8}) == strangers(SEED, 2_000, {7, 8})
    assert hash_of(SEED) == sha256(SEED.encode()).hexdigest()


@given(st.integers(0, 60), st.sets(st.integers(1, 60)))
def test_a_draw_orders_each_number_once(entrants: int, withdrawn: set[int]) -> None:
    order = drawn_order(SEED, ID, entrants, withdrawn)
    assert sorted(order) == [n for n in range(1, entrants + 1) if n not in withdrawn]


def test_who_withdraws_changes_nobodys_order_and_one_more_changes_everybodys() -> None:
    whole = drawn_order(SEED, ID, 50, ())
    assert drawn_order(SEED, ID, 50, {whole[0]}) == whole[1:]
    assert [n for n in drawn_order(SEED, ID, 51, ()) if n != 51] != whole


def test_a_draw_favours_no_number() -> None:
    firsts = Counter(drawn_order(f"{seed:064x}", ID, 10, ())[0] for seed in range(4_000))
    assert all(300 < firsts[number] < 500 for number in range(1, 11)), firsts


def test_codes_are_ours_of_one_rider_and_of_one_turn() -> None:
    mine, other = signup(17), signup(18)
    code = rider_code(b"new", mine)
    assert code.startswith("17-")
    assert number_of(code) == number_of(f"{QR_PREFIX}{ID}:{code}") == 17
    assert bare(f"{QR_PREFIX}{ID}:{code}") == code
    assert [number_of(bad) for bad in ("", "17", "x-1", "-1", "²-1", "1" * 9 + "-1")] == [0] * 6
    assert is_rider_code((b"old", b"new"), mine, code)
    assert not is_rider_code((b"old",), mine, code)
    assert not is_rider_code((b"new",), other, code)
    shown = site_code(b"new", ID, NOON)
    assert [is_site_code((b"new",), ID, NOON + timedelta(seconds=s), shown) for s in (0, 299, 599, 600, -1)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert not is_site_code((b"new",), new_id(), NOON, shown)


def test_a_calendar_is_what_rfc_5545_asks_for() -> None:
    text = feed([activity(), activity(id=new_id())], "zh", "city.example")
    assert text.endswith("END:VCALENDAR\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= FOLD_OCTETS for line in text.split("\r\n"))
    lines = text.replace("\r\n ", "").split("\r\n")
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2
    assert f"UID:{ID}@city.example" in lines
    assert "DTSTART:20260522T060000Z" in lines
    assert "SUMMARY:集体生日会；蛋糕\\,多多" in lines
    assert "SEQUENCE:2" in lines
    assert "SUMMARY:Birthday" in feed([activity()], "en", "x")


@given(st.text())
def test_folding_loses_nothing_and_escaping_leaves_no_break(text: str) -> None:
    assert "".join(piece[1:] if at else piece for at, piece in enumerate(folded(text))) == text
    assert not {"\n", "\r"} & set(escaped(text))
