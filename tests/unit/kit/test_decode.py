"""Records of companies as they may really come."""

import orjson
import pytest

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.decode import Decoder, Unreadable
from shared.kit.work import Event, Record

BODY = {
    "external_id": "r-1",
    "rider": "7",
    "kind": "part-01001",
    "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"},
    "occurred_at": "2018-05-01T12:00:00+08:00",
}


def decoded(headers: tuple[tuple[str, bytes | None], ...] = (), **changes: object) -> Event[object] | Unreadable:
    record = Record("inbound.suda.reports.v1", 0, 7, b"r-1", orjson.dumps({**BODY, **changes}), headers)
    [item] = Decoder(INBOUND_REPORTS, "t.").decode([record])
    return item


def test_headers_may_be_absent_and_the_company_is_the_topics() -> None:
    item = decoded()
    assert isinstance(item, Event)
    assert item.company == "suda"


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1969-01-01T00:00:00Z"]
)
def test_the_ends_of_the_calendar_are_refused_and_spin_nobody(time: str) -> None:
    item = decoded(occurred_at=time)
    assert isinstance(item, Unreadable)
    assert item.code == "schema"
    assert "occurred_at" in item.detail


@pytest.mark.parametrize(
    "header",
    [("ce_id", b"\xff\xfe"), ("ce_id", None), ("ce_id", b""), ("ce_time", b"nonsense"), ("ce_specversion", b"0.3")],
)
def test_malformed_headers_are_told(header: tuple[str, bytes | None]) -> None:
    item = decoded((header,))
    assert isinstance(item, Unreadable)
    assert item.code == "headers"


def test_whatever_reading_raises_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(Decoder, "_decode", explode)
    item = decoded()
    assert isinstance(item, Unreadable)
    assert item.detail == "OverflowError"
