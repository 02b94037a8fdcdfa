"""From a Kafka record to an event, record by record: one that can't be read never costs its neighbours."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiokafka import ConsumerRecord
from pydantic import ValidationError
from pydantic_core import SchemaValidator, from_json

from shared.events.envelope import SPEC_VERSION, EnvelopeError, from_headers, normalise, valid_traceparent
from shared.events.outside import INT64_MAX, plain
from shared.events.topic import Audience, Latest, Topic
from shared.kit import clock
from shared.kit.consuming.record_reading import Broken
from shared.kit.ids import read_id
from shared.kit.letters.codes import EMPTY, UNREADABLE
from shared.kit.messaging import json_bounds
from shared.kit.messaging.cloudevents import (
    BATCHED,
    STRUCTURED,
    check_attributes,
    content_of,
    event_id,
    media_type,
    read_structured,
)
from shared.kit.messaging.headers import KafkaHeaders
from shared.kit.messaging.work import Event, Gone, Record
from shared.kit.problems import (
    CONTENT_TOO_LARGE,
    EXTERNAL_ID_MISMATCH,
    MALFORMED_EVENT,
    MALFORMED_JSON,
    VALIDATION_FAILED,
)

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_Way = tuple[()] | tuple["_Way", str | int]
NAMED_MAX = 100
"""Errors of one record that are made into Python objects."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event of its topic; `detail` names fields, never values."""

    record: Record
    code: str
    detail: str
    status: Literal["dead", "rejected"] = "dead"
    """rejected: it can be read, and says two things."""


class UnstorableText(ValueError):
    """A text that JSON can write and no store can hold; the message is its field."""


class Decoder:
    """Reads the records of one Topic."""

    def __init__(self, topic: Topic[Any], prefix: str) -> None:
        self._topic = topic
        self._prefix = prefix
        self._validator: SchemaValidator = topic.model.__pydantic_validator__
        self._foreign = topic.audience is Audience.INBOUND
        self._compacted = isinstance(topic.kept, Latest)
        self.pattern = topic.pattern(prefix)
        self._family = re.compile(self.pattern)

    def record(self, raw: "ConsumerRecord[bytes, bytes]") -> Record:
        """The record with the name its Topic has in this suite."""
        topic = raw.topic.removeprefix(self._prefix)
        return Record(topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers), raw.timestamp)

    def reads(self, topic: str) -> bool:
        """Whether records of a topic (named without prefix) are of this Topic."""
        return bool(self._family.match(self._prefix + topic)) if self._topic.is_family else topic == self._topic.name

    def decode(self, records: Iterable[Record]) -> list[Event[Any] | Unreadable]:
        """Each record as an event or with the reason why it is none, in order."""
        return [self._decoded(record) for record in records]

    def _decoded(self, record: Record) -> Event[Any] | Unreadable:
        try:
            return self._decode(record)
        except Exception as error:  # noqa: BLE001 whatever reading one record raises must not cost its neighbours
            return Unreadable(record, UNREADABLE.code, type(error).__name__)

    def _decode(self, record: Record) -> Event[Any] | Unreadable:
        if record.value is None:
            if self._compacted and record.key:
                return _tombstone(record, record.key.decode())
            return Unreadable(record, EMPTY.code, "the record has no value")
        if isinstance(broken := record.value, Broken):
            record.value = bytes(broken)
            return Unreadable(record, broken.code, broken.detail)
        if len(record.value) > self._topic.record_bytes_max:
            limit = self._topic.record_bytes_max
            return Unreadable(
                record, CONTENT_TOO_LARGE.code, f"{len(record.value)} bytes, the topic's limit is {limit}"
            )
        try:
            if self._foreign:
                return self._foreign_event(record, *_foreign_parts(record))
            return _own_event(record, self._read(record.value))
        except ValidationError as error:
            return Unreadable(record, *_reason(error))
        except json_bounds.Shapeless as error:
            return Unreadable(record, VALIDATION_FAILED.code, f"body: {error}")
        except UnstorableText as error:
            return Unreadable(record, VALIDATION_FAILED.code, f"{error}: has half of a surrogate pair")
        except EnvelopeError as error:
            structured = _mode(record.headers) in (STRUCTURED, BATCHED)
            if structured and (where := _unstorable(record.value)) is not None:
                return Unreadable(record, VALIDATION_FAILED.code, f"{where}: has half of a surrogate pair")
            return Unreadable(record, MALFORMED_EVENT.code, str(error))

    def _read(self, body: bytes) -> Any:
        """The body as its model. Raises ValidationError, UnstorableText, Shapeless."""
        if self._foreign and json_bounds.needs_check(body):
            json_bounds.check(_json_or_none(body))
        try:
            return self._validator.validate_json(body)
        except ValidationError as error:
            # half of a surrogate pair breaks the parser before it knows the field
            if (where := _unstorable(body)) is not None:
                raise UnstorableText(where) from error
            raise

    def _foreign_event(self, record: Record, attributes: Mapping[str, str], data: bytes) -> Event[Any] | Unreadable:
        """A company's record: CloudEvents attributes are welcome, not needed; the topic's name says whose it is.

        A key isn't needed either. One that names something else than the body is refused, as two numbers are over HTTP.
        """
        match = self._family.match(self._prefix + record.topic)
        body = self._read(data)
        key = self._topic.key_of(body)
        if record.key and plain(record.key.decode("utf-8", "replace")) != key:
            detail = f"the record's key is not the body's {self._topic.key}: give both alike, or no key"
            return Unreadable(record, EXTERNAL_ID_MISMATCH.code, detail, "rejected")
        given = attributes.get("id", "")
        stated = given or id_of_place(record.partition, record.offset, record.timestamp_ms)
        id_ = event_id(record.topic, attributes.get("source", ""), stated)
        return Event(
            id=id_,
            data=body,
            key=key,
            version=0,
            occurred_at=getattr(body, "occurred_at", None) or clock.now(),
            record=record,
            company=match["code"] if match else "",
            traceparent=valid_traceparent(attributes.get("traceparent")),
            content=content_of(id_, body) if given else None,
        )


def id_of_place(partition: int, offset: int, timestamp_ms: int) -> str:
    """What stands for a company's id where it has stated none: the record's place and time.

    The time is part of it: on a cluster that was rebuilt offsets begin at 0 again, and a record with an old one's
    place would be taken for that one's repetition.
    """
    return f"{partition}:{offset}:{timestamp_ms}"


def with_id(headers: KafkaHeaders, partition: int, offset: int, timestamp_ms: int) -> KafkaHeaders:
    """A company's headers with the id that its record has in this place, for one that goes to another place."""
    if any(name.lower() == "ce_id" for name, _ in headers) or _mode(headers) == STRUCTURED:
        return headers
    return (*headers, ("ce_id", id_of_place(partition, offset, timestamp_ms).encode()))


def _mode(headers: KafkaHeaders) -> str:
    """The media type that the headers name."""
    return next(
        (
            media_type((value or b"").decode("ascii", "replace"))
            for name, value in headers
            if name.lower() == "content-type"
        ),
        "",
    )


def _foreign_parts(record: Record) -> tuple[dict[str, str], bytes]:
    """A company's CloudEvents attributes and body, from either mode. It may state none in binary mode.

    Raises:
        EnvelopeError: what it states is null, not UTF-8, or not what CloudEvents says.
    """
    mode = _mode(record.headers)
    if mode == BATCHED:
        raise EnvelopeError("a record is one event: batches of CloudEvents are not read")
    if mode == STRUCTURED:
        event = read_structured(record.value or b"")
        headers = normalise(record.headers)
        traceparent = event.attributes.get("traceparent") or headers.get("traceparent", "")
        return {**event.attributes, "traceparent": traceparent}, event.data
    attributes: dict[str, str] = {}
    traceparent = ""
    for name, value in record.headers:
        name = name.lower()
        if name.startswith("ce_"):
            try:
                attributes[name[3:]] = (value or b"").decode()
            except UnicodeDecodeError as error:
                raise EnvelopeError(f"header {name} is not UTF-8") from error
        elif name == "traceparent" and value is not None:
            traceparent = value.decode("utf-8", "replace")
    check_attributes(attributes)
    return {**attributes, "traceparent": traceparent}, record.value or b""


def _tombstone(record: Record, key: str) -> Gone:
    """Whoever wrote it: one without the suite's headers is named by its place, and later than all of its key."""
    try:
        envelope = from_headers(normalise(record.headers))
    except EnvelopeError:
        id_ = event_id(record.topic, "", f"{record.partition}:{record.offset}:{record.timestamp_ms}")
        return Gone(id_, None, key, INT64_MAX, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC), record)
    version, trace = envelope.version or INT64_MAX, envelope.traceparent
    return Gone(envelope.event_id, None, key, version, envelope.occurred_at, record, traceparent=trace)


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


def _json_or_none(body: bytes) -> Any:
    """None also for what is no JSON: who validates it says why."""
    try:
        return from_json(body)
    except ValueError:
        return None


def _unstorable(body: bytes) -> str | None:
    """The field with half of a surrogate pair, where that is what is wrong with a body."""
    if b"\\u" not in body:
        return None
    try:
        pending: list[tuple[_Way, Any]] = [((), json.loads(body))]
    except (ValueError, RecursionError):
        return None
    while pending:
        way, found = pending.pop()
        if isinstance(found, str) and _HALF_PAIR.search(found):
            return _path(way) or "body"
        # a way is a link to the one before, not a text of its own: a thousand deep, texts would be a million long
        if isinstance(found, dict):
            pending += [((way, name), one) for name, one in found.items()]
        elif isinstance(found, list):
            pending += [((way, number), one) for number, one in enumerate(found)]
    return None


def _path(way: "_Way") -> str:
    parts: list[str] = []
    while way:
        way, name = way
        parts.append(_part(name))
    return ".".join(reversed(parts))


def _part(name: str | int) -> str:
    """A part of a way. What is no usual name came from the sender and may be about somebody."""
    return str(name) if isinstance(name, int) or _NAME.fullmatch(name) else "[key]"


def _reason(error: ValidationError) -> tuple[str, str]:
    """A code and the faulty fields: values may be personal and stay in the record."""
    if (one := json_bounds.too_many(error, NAMED_MAX)) is not None:
        return VALIDATION_FAILED.code, one.message()
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return MALFORMED_JSON.code, errors[0]["msg"][:200]
    found = "; ".join(f"{'.'.join(map(_part, e['loc'])) or 'body'}: {json_bounds.said(e)}" for e in errors[:8])
    return VALIDATION_FAILED.code, found[:1000]
