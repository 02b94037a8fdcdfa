"""Records of companies as they may really come."""

import base64
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shared.events.envelope import Envelope, to_headers
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.outside import INT64_MAX
from shared.events.report_received import REPORT_RECEIVED
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.topic import Topic
from shared.kit import problems
from shared.kit.consuming.decode import Decoder, Unreadable, with_id
from shared.kit.ids import new_id
from shared.kit.messaging.cloudevents import event_id
from shared.kit.messaging.work import Event, Gone, Record

BODY: dict[str, Any] = {
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
    assert item.code == "validation_failed"
    assert "occurred_at" in item.detail


@pytest.mark.parametrize(
    "header",
    [
        ("ce_id", b"\xff\xfe"),
        ("ce_id", None),
        ("ce_id", b""),
        ("ce_id", b"7\x1f1"),
        ("ce_source", b"/a\x1f7"),
        ("ce_time", b"nonsense"),
        ("ce_specversion", b"0.3"),
    ],
)
def test_malformed_headers_are_reported(header: tuple[str, bytes | None]) -> None:
    item = decoded((header,))
    assert isinstance(item, Unreadable)
    assert item.code == "malformed_event"


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
    assert first.record.headers == (), "nothing is added to what came"
    # a dead letter keeps the place, a backup the id
    [again] = Decoder(INBOUND_REPORTS, "t.").decode([first.record])
    assert again.id == first.id  # type: ignore[union-attr]  # it is readable
    assert decoded(with_id((), 0, 7, 1_000)).id == first.id  # type: ignore[union-attr]  # as above
    assert heard(1_000, ("ce_id", b"own")).id == heard(2_000, ("ce_id", b"own")).id


def test_whatever_reading_raises_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(Decoder, "_decode", explode)
    item = decoded()
    assert isinstance(item, Unreadable)
    assert item.detail == "OverflowError"


def structured(**changes: object) -> bytes:
    event = {"specversion": "1.0", "id": "17", "source": "/dispatch/a", "type": "report", "data": BODY}
    return orjson.dumps({name: value for name, value in {**event, **changes}.items() if value is not ...})


def read(value: bytes, *headers: tuple[str, bytes | None]) -> Event[object] | Unreadable:
    decoder = Decoder(INBOUND_REPORTS, "t.")
    raw = SimpleNamespace(
        topic="t.inbound.suda.reports.v1", partition=0, offset=7, timestamp=1_000, key=b"r-1", value=value,
        headers=headers,
    )  # fmt: skip
    [item] = decoder.decode([decoder.record(raw)])  # type: ignore[arg-type]  # as much of a record as is read
    return item


@pytest.mark.parametrize("key", [None, b"", b"r-1", " ｒ-１".encode()])
def test_a_record_needs_no_key_and_may_have_the_bodys_number(key: bytes | None) -> None:
    record = Record("inbound.suda.reports.v1", 0, 7, key, orjson.dumps(BODY), ())
    [item] = Decoder(INBOUND_REPORTS, "t.").decode([record])
    assert isinstance(item, Event) and item.key == "r-1"


@pytest.mark.parametrize("key", [b" ", b"r-2", b"\xff"])
def test_a_foreign_key_is_refused_as_two_numbers_are_over_http(key: bytes) -> None:
    record = Record("inbound.suda.reports.v1", 0, 7, key, orjson.dumps(BODY), ())
    [item] = Decoder(INBOUND_REPORTS, "t.").decode([record])
    assert isinstance(item, Unreadable)
    assert (item.code, item.status) == (problems.EXTERNAL_ID_MISMATCH.code, "rejected")


@pytest.mark.parametrize(
    ("change", "field"), [({"pohtos": []}, "pohtos"), ({"place": {**BODY["place"], "lon": 1}}, "place.lon")]
)
def test_an_unknown_field_is_refused_as_it_is_over_http(change: dict[str, Any], field: str) -> None:
    item = read(orjson.dumps({**BODY, **change}))
    assert isinstance(item, Unreadable)
    assert item.code == problems.VALIDATION_FAILED.code and item.detail.startswith(f"{field}: ")


def test_an_unknown_field_that_is_no_name_is_not_repeated() -> None:
    item = read(orjson.dumps({**BODY, "13800138000": 1}))
    assert isinstance(item, Unreadable) and item.detail.startswith("[key]: ")


STRUCTURED = ("Content-Type", b"application/cloudevents+json; charset=UTF-8")


def test_two_sources_with_one_number_are_two_events() -> None:
    first, second = (decoded((("ce_id", b"17"), ("ce_source", source))) for source in (b"/a", b"/b"))
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.id != second.id
    assert decoded((("ce_source", b"/a"), ("ce_id", b"17"))).id == first.id  # type: ignore[union-attr]  # it is readable
    alone, another = (decoded((("ce_id", stated),)) for stated in (b"17", b"18"))
    assert isinstance(alone, Event) and isinstance(another, Event)
    assert alone.id == event_id("inbound.suda.reports.v1", "", "17") != another.id, "no source counts as an empty one"


def test_structured_mode_is_the_same_event_as_binary_mode() -> None:
    plain = decoded((("ce_id", b"17"), ("ce_source", b"/dispatch/a")))
    whole = read(structured(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", count=3), STRUCTURED)
    assert isinstance(plain, Event)
    assert isinstance(whole, Event)
    assert (whole.id, whole.data, whole.key, whole.company) == (plain.id, plain.data, "r-1", "suda")
    assert whole.traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
    coded = base64.b64encode(orjson.dumps(BODY)).decode()
    again = read(structured(data=..., data_base64=coded), STRUCTURED)
    assert isinstance(again, Event)
    assert (again.id, again.data) == (plain.id, plain.data)


def test_a_structured_record_is_kept_as_it_came_and_read_again_from_that() -> None:
    item = read(structured(), STRUCTURED)
    assert isinstance(item, Event)
    assert item.record.headers == (STRUCTURED,)
    [again] = Decoder(INBOUND_REPORTS, "t.").decode([item.record])
    assert again.id == item.id  # type: ignore[union-attr]  # it is readable


@pytest.mark.parametrize(
    "time",
    ["2026-11-29T08:00:00Z", "2026-11-29t08:00:00.25z", "2016-12-31T23:59:60Z", "2017-01-01 07:59:60.5+08:00"],
)
def test_times_of_rfc_3339_are_taken_however_they_are_written(time: str) -> None:
    assert isinstance(read(structured(time=time), STRUCTURED), Event)


@pytest.mark.parametrize("time", ["2026-11-29T08:60:00Z", "2026-11-29T08:00:61Z", "2026-11-60T08:00:00Z"])
def test_other_sixtieths_are_no_times(time: str) -> None:
    item = read(structured(time=time), STRUCTURED)
    assert isinstance(item, Unreadable) and "time is no time" in item.detail


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "one JSON object"),
        (structured(id=...), "attribute id is missing"),
        (structured(source=...), "attribute source is missing"),
        (structured(id=""), "id is empty"),
        (structured(id="x" * 201), "id has more than"),
        (structured(specversion="0.3"), "specversion"),
        (structured(time="nonsense"), "time is no time"),
        (structured(type=["report"]), "attribute type is neither"),
        (structured(data=...), "exactly one of data"),
        (structured(data_base64="e30="), "exactly one of data"),
        (structured(data=..., data_base64="%"), "data_base64"),
        (structured(datacontenttype="text/csv"), "datacontenttype"),
    ],
)
def test_a_faulty_structured_event_is_refused_with_the_attributes_name(value: bytes, said: str) -> None:
    item = read(value, STRUCTURED)
    assert isinstance(item, Unreadable)
    assert item.code == "malformed_event"
    assert said in item.detail


def test_the_body_of_a_structured_event_is_checked_like_any_other() -> None:
    item = read(structured(data={**BODY, "kind": 7}), STRUCTURED)
    assert isinstance(item, Unreadable)
    assert (item.code, "kind" in item.detail) == ("validation_failed", True)


def test_a_batch_of_cloudevents_is_refused_with_a_reason() -> None:
    item = read(b"[]", ("content-type", b"application/cloudevents-batch+json"))
    assert isinstance(item, Unreadable)
    assert item.code == "malformed_event"


def of_states(value: bytes | None, key: bytes | None, *headers: tuple[str, bytes | None]) -> Event[object] | Unreadable:
    record = Record(RIDER_CHANGED.name, 2, 7, key, value, headers, 1_700_000_000_000)
    [item] = Decoder(RIDER_CHANGED, "t.").decode([record])
    return item


def test_a_tombstone_says_who_has_gone_and_with_which_state() -> None:
    at = datetime(2025, 3, 1, tzinfo=UTC)
    headers = to_headers(Envelope(new_id(), RIDER_CHANGED.name, "/beegrid/riders", "r-7", 12, at))
    gone = of_states(None, b"r-7", *headers)
    assert isinstance(gone, Gone)
    assert (str(gone.id), gone.key, gone.version, gone.occurred_at) == (dict(headers)["ce_id"].decode(), "r-7", 12, at)


@pytest.mark.parametrize("headers", [(), (("ce_id", b"\xff"),), (("ce_id", None),)])
def test_one_without_the_suites_headers_is_later_than_all_of_its_key(headers: tuple[Any, ...]) -> None:
    gone, again = (of_states(None, b"r-7", *headers) for _ in range(2))
    assert isinstance(gone, Gone)
    assert (gone.key, gone.version) == ("r-7", INT64_MAX)
    assert gone.id == again.id, "it is one event however often it is read"  # type: ignore[union-attr]  # as above


@pytest.mark.parametrize(("topic", "key"), [(RIDER_CHANGED, None), (RIDER_CHANGED, b""), (REPORT_RECEIVED, b"r-7")])
def test_a_record_without_a_value_is_nothing_where_no_key_leaves(topic: Topic[Any], key: bytes | None) -> None:
    [item] = Decoder(topic, "t.").decode([Record(topic.name, 0, 7, key, None, ())])
    assert isinstance(item, Unreadable)
    assert item.code == "empty"
