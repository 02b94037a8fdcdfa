"""Our hand-written CloudEvents headers are what the CloudEvents SDK reads and writes."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.events.envelope import Envelope, EnvelopeError, from_headers, normalise, to_headers, valid_traceparent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), min_size=1, max_size=40)
ENVELOPES = st.builds(
    Envelope,
    event_id=st.uuids(),
    type=WORDS,
    source=WORDS,
    subject=WORDS,
    version=st.integers(0, 2**63 - 1),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    traceparent=st.one_of(st.none(), st.from_regex(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")),
)
EXAMPLE = Envelope(
    event_id=UUID("0199a2c4-01a1-71a1-81a1-5f0c7be101a1"),
    type="cases.case-changed.v1",
    source="/beegrid/cases",
    subject="0199a2c4-01a5-71a5-81a5-5f0c7be101a5",
    version=3,
    occurred_at=datetime(2026, 5, 19, 10, 5, 33, 402115, tzinfo=UTC),
    traceparent=TRACE,
)


@given(ENVELOPES)
def test_round_trip(envelope: Envelope) -> None:
    assert from_headers(normalise(to_headers(envelope))) == envelope


@given(ENVELOPES)
def test_the_sdk_reads_what_we_write(envelope: Envelope) -> None:
    event = from_binary(KafkaMessage(dict(to_headers(envelope)), b"key", b'{"a": 1}'), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == str(envelope.event_id)
    assert event.get_type() == envelope.type
    assert event.get_source() == envelope.source
    assert event.get_subject() == envelope.subject
    assert event.get_time() == envelope.occurred_at
    assert event.get_extension("aggregateversion") == str(envelope.version)
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == {"a": 1}


def test_we_read_what_the_sdk_writes() -> None:
    written = to_binary(
        CloudEvent(
            attributes={
                "id": str(EXAMPLE.event_id),
                "type": EXAMPLE.type,
                "source": EXAMPLE.source,
                "subject": EXAMPLE.subject,
                "time": EXAMPLE.occurred_at,
                "datacontenttype": "application/json",
                "aggregateversion": str(EXAMPLE.version),
                "specversion": "1.0",
            },
            data={"a": 1},
        ),
        JSONFormat(),
    )
    headers: list[tuple[str, bytes | None]] = [*written.headers.items(), ("traceparent", TRACE.encode())]
    assert from_headers(normalise(headers)) == EXAMPLE
    assert json.loads(written.value) == {"a": 1}


def test_header_names_and_types() -> None:
    headers = to_headers(EXAMPLE)
    assert all(isinstance(name, str) and isinstance(value, bytes) for name, value in headers)
    assert [name for name, _ in headers] == [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_aggregateversion",
        "content-type",
        "traceparent",
    ]


REQUIRED = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, b"\xff\xfe\x00", b""], ids=["null", "not UTF-8", "empty"])
def test_a_damaged_required_header_is_an_envelope_error(name: str, value: bytes | None) -> None:
    headers: list[tuple[str, bytes | None]] = [
        (other, value if other == name else kept) for other, kept in to_headers(EXAMPLE)
    ]
    if name in ("ce_source", "ce_type") and value is not None:
        assert from_headers(normalise(headers))  # any text is a source; the topic says the type
        return
    with pytest.raises(EnvelopeError):
        from_headers(normalise(headers))


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_header_is_named(name: str) -> None:
    headers = [(other, value) for other, value in to_headers(EXAMPLE) if other != name]
    with pytest.raises(EnvelopeError, match=name):
        from_headers(normalise(headers))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b"not-a-uuid"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-05-19T10:05:33"),
        ("ce_aggregateversion", b"three"),
    ],
)
def test_a_wrong_value_is_an_envelope_error(name: str, value: bytes) -> None:
    headers = [(other, value if other == name else kept) for other, kept in to_headers(EXAMPLE)]
    with pytest.raises(EnvelopeError):
        from_headers(normalise(headers))


@given(st.lists(st.tuples(st.text(max_size=20), st.one_of(st.none(), st.binary(max_size=40))), max_size=12))
def test_foreign_headers_never_raise_anything_else(headers: list[tuple[str, bytes | None]]) -> None:
    with contextlib.suppress(EnvelopeError):
        from_headers(normalise(headers))
    assert from_headers(normalise([*headers, *to_headers(EXAMPLE)])) == EXAMPLE


@given(
    ENVELOPES, st.sampled_from(["ce_id", "ce_time", "ce_specversion", "ce_aggregateversion"]), st.binary(max_size=30)
)
def test_any_bytes_in_a_header_are_read_or_refused(envelope: Envelope, name: str, value: bytes) -> None:
    headers = [(other, value if other == name else kept) for other, kept in to_headers(envelope)]
    with contextlib.suppress(EnvelopeError):
        from_headers(normalise(headers))


def test_another_offset_is_read_as_utc() -> None:
    beijing = EXAMPLE.occurred_at.astimezone(timezone(timedelta(hours=8)))
    headers = {**normalise(to_headers(EXAMPLE)), "ce_time": beijing.isoformat()}
    assert from_headers(headers).occurred_at == EXAMPLE.occurred_at
    assert from_headers({**headers, "ce_time": "2026-05-19T10:05:33.402115Z"}).occurred_at == EXAMPLE.occurred_at


@pytest.mark.parametrize("value", [None, "", "00-1-2-3", TRACE.upper(), TRACE + "-x", "01" + TRACE[2:], TRACE + "\n"])
def test_a_malformed_trace_is_no_trace(value: str | None) -> None:
    assert valid_traceparent(value) is None
