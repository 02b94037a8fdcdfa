"""From a Kafka record to an event, record by record: one that can't be read never costs its neighbours."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord
from pydantic import ValidationError
from pydantic_core import SchemaValidator

from shared.events.envelope import SPEC_VERSION, EnvelopeError, from_headers, normalise, valid_traceparent
from shared.events.topic import Audience, Topic
from shared.kit import clock
from shared.kit.headers import KafkaHeaders
from shared.kit.ids import derived_id, read_id
from shared.kit.work import Event, Record

STATED_ID_LENGTH_MAX = 200
"""Of the id that a company may give its record."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event of its topic; `detail` names fields, never values."""

    record: Record
    code: str
    detail: str


class Decoder:
    """Reads the records of one Topic."""

    def __init__(self, topic: Topic[Any], prefix: str) -> None:
        self._topic = topic
        self._prefix = prefix
        self._validator: SchemaValidator = topic.model.__pydantic_validator__
        self._foreign = topic.audience is Audience.INBOUND
        before, _, after = (prefix + topic.name).partition("{company}")
        self.pattern = f"^{re.escape(before)}(?P<company>[a-z][a-z0-9-]{{1,30}}){re.escape(after)}$"
        self._family = re.compile(self.pattern)

    def record(self, raw: "ConsumerRecord[bytes, bytes]") -> Record:
        """The record with the name its Topic has in this suite."""
        headers = tuple(raw.headers)
        if self._foreign:
            headers = with_id(headers, raw.partition, raw.offset, raw.timestamp)
        return Record(raw.topic.removeprefix(self._prefix), raw.partition, raw.offset, raw.key, raw.value, headers)

    def reads(self, topic: str) -> bool:
        """Whether records of a topic (named without prefix) are of this Topic."""
        return bool(self._family.match(self._prefix + topic)) if self._foreign else topic == self._topic.name

    def decode(self, records: Iterable[Record]) -> list[Event[Any] | Unreadable]:
        """Each record as an event or with the reason why it is none, in order."""
        return [self._decoded(record) for record in records]

    def _decoded(self, record: Record) -> Event[Any] | Unreadable:
        try:
            return self._decode(record)
        except Exception as error:  # noqa: BLE001 whatever reading one record raises must not cost its neighbours
            return Unreadable(record, "unreadable", type(error).__name__)

    def _decode(self, record: Record) -> Event[Any] | Unreadable:
        if record.value is None:
            return Unreadable(record, "empty", "the record has no value")
        if len(record.value) > self._topic.record_bytes_max:
            limit = self._topic.record_bytes_max
            return Unreadable(record, "too_large", f"{len(record.value)} bytes, the topic's limit is {limit}")
        try:
            body = self._validator.validate_json(record.value)
        except ValidationError as error:
            return Unreadable(record, *_reason(error))
        try:
            return self._foreign_event(record, body) if self._foreign else _own_event(record, body)
        except EnvelopeError as error:
            return Unreadable(record, "headers", str(error))

    def _foreign_event(self, record: Record, body: Any) -> Event[Any]:
        """A company's record: CloudEvents headers are welcome, not needed; the topic's name says whose it is."""
        match = self._family.match(self._prefix + record.topic)
        company = match["company"] if match else ""
        headers = _checked(record)
        stated = headers.get("ce_id", "") or f"{record.partition}:{record.offset}"
        return Event(
            id=derived_id(record.topic, stated),
            data=body,
            key=self._topic.key_of(body),
            version=0,
            occurred_at=getattr(body, "occurred_at", None) or clock.now(),
            record=record,
            company=company,
            traceparent=valid_traceparent(headers.get("traceparent")),
        )


def with_id(headers: KafkaHeaders, partition: int, offset: int, timestamp_ms: int) -> KafkaHeaders:
    """A company's headers with an id, made of the record's place and time where the company has stated none.

    The time is part of it: on a cluster that was built anew offsets begin at 0 again, and a record with an old one's
    place would be taken for that one's repetition.
    """
    if any(name.lower() == "ce_id" for name, _ in headers):
        return headers
    return (*headers, ("ce_id", f"{partition}:{offset}:{timestamp_ms}".encode()))


def _checked(record: Record) -> dict[str, str]:
    """A company's headers: it may send none, but those of CloudEvents that it sends must be right.

    Raises:
        EnvelopeError: one is null, not UTF-8, or not what CloudEvents says.
    """
    for name, value in record.headers:
        if name.lower().startswith("ce_"):
            try:
                text = (value or b"").decode()
            except UnicodeDecodeError as error:
                raise EnvelopeError(f"header {name} is not UTF-8") from error
            if not text:
                raise EnvelopeError(f"header {name} is empty")
            if name.lower() == "ce_id" and len(text) > STATED_ID_LENGTH_MAX:
                raise EnvelopeError(f"ce_id has more than {STATED_ID_LENGTH_MAX} characters")
            if name.lower() == "ce_specversion" and text != "1.0":
                raise EnvelopeError("ce_specversion is not 1.0")
            if name.lower() == "ce_time":
                _time(text)
    return normalise(record.headers)


def _time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise EnvelopeError("ce_time is no time") from error


def _own_event(record: Record, body: Any) -> Event[Any]:
    """An event of the suite's own. The usual headers are read as they are; anything odd goes the careful way."""
    found = dict(record.headers)
    try:
        trace = found.get("traceparent")
        occurred_at = datetime.fromisoformat(found["ce_time"].decode())  # type: ignore[union-attr]  # None: careful way
        if found["ce_specversion"] == SPEC_VERSION and occurred_at.tzinfo is UTC:
            return Event(
                read_id(found["ce_id"].decode()),  # type: ignore[union-attr]  # as above
                body,
                found["ce_subject"].decode(),  # type: ignore[union-attr]  # as above
                int(found["ce_aggregateversion"]),  # type: ignore[arg-type]  # as above
                occurred_at,
                record,
                None,
                valid_traceparent(trace.decode()) if trace else None,
            )
    except (KeyError, ValueError, AttributeError, TypeError):
        pass  # from_headers says what is wrong, or accepts what is only unusual
    envelope = from_headers(normalise(record.headers))
    return Event(
        id=envelope.event_id,
        data=body,
        key=envelope.subject,
        version=envelope.version,
        occurred_at=envelope.occurred_at,
        record=record,
        traceparent=envelope.traceparent,
    )


def _reason(error: ValidationError) -> tuple[str, str]:
    """A code and the faulty fields: values may be personal and stay in the record."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return "not_json", errors[0]["msg"][:200]
    told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors[:8])
    return "schema", told[:1000]
