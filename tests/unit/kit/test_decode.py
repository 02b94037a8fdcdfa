"""Records of companies as they may really come."""

from types import SimpleNamespace

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


def test_the_same_place_on_a_new_cluster_is_another_event() -> None:
    """Offsets begin at 0 again there: the restored inbox must not take a new record for an old one."""

    def heard(at_ms: int, *headers: tuple[str, bytes]) -> Event[object]:
        raw = SimpleNamespace(
            topic="t.inbound.suda.reports.v1", partition=0, offset=7, timestamp=at_ms, key=b"r-1",
            value=orjson.dumps(BODY), headers=headers,
        )  # fmt: skip
        decoder = Decoder(INBOUND_REPORTS, "t.")
        [item] = decoder.decode([decoder.record(raw)])  # type: ignore[arg-type]  # as much of a record as is read
        assert isinstance(item, Event)
        return item

    first = heard(1_000)
    assert heard(1_000).id == first.id
    assert heard(2_000).id != first.id
    # what is kept of a record, in a dead letter or a backup, still has its id
    assert decoded(first.record.headers).id == first.id  # type: ignore[union-attr]  # it is readable
    assert heard(1_000, ("ce_id", b"own")).id == heard(2_000, ("ce_id", b"own")).id


def test_whatever_reading_raises_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(Decoder, "_decode", explode)
    item = decoded()
    assert isinstance(item, Unreadable)
    assert item.detail == "OverflowError"
