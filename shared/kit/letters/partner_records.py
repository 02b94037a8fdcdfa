"""What is published of dead letters on `<topic>.dlq`: the record as it was, and why it is there, in headers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from shared.events.outside import cleaned
from shared.kit.ids import new_id
from shared.kit.messaging.headers import KafkaHeaders, kept_key, pack
from shared.kit.messaging.kafka import DLQ_BYTES_MAX
from shared.kit.messaging.work import OutboxRow, Record

DETAIL_LENGTH_MAX = 2_000
RECORD_BYTES_MAX = DLQ_BYTES_MAX - 8 * 1024
KEY_BYTES_MAX = 64 * 1024
"""A longer key is cut, and `dlq-key-cut` says so: a key names a record, and nobody's number is as long as that."""
KEY_TEXT_BYTES_MAX = 1_024
"""Of the key as text, by which what Kafka refuses is held."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who buries: the service, and the installation's prefix, without which nobody finds the topic on the cluster."""

    consumer: str
    topic_prefix: str


class Buried(Protocol):
    """What is published of one burial."""

    @property
    def record(self) -> Record:
        """As it is kept."""

    @property
    def status(self) -> str:
        """dead, parked or rejected."""

    @property
    def code(self) -> str:
        """Why, for machines."""

    @property
    def detail(self) -> str:
        """Why, for people."""

    @property
    def attempts(self) -> int:
        """How often it was tried."""

    @property
    def content(self) -> str:
        """kept, or why it isn't."""


def one(letter: Buried, by: Author, now: datetime) -> OutboxRow:
    """The event about one letter."""
    record, texts = letter.record, _why(letter, by, now)
    if letter.content != "kept":
        texts["dlq-content"] = letter.content
    if (length := len(record.key or b"")) > KEY_BYTES_MAX:
        record, texts["dlq-key-cut"] = replace(record, key=(record.key or b"")[:KEY_BYTES_MAX]), str(length)
    headers = [*record.headers, *_texts(texts)]
    taken = len(record.key or b"") + sum(len(name) + len(text or b"") for name, text in headers)
    value, room = record.value or b"", RECORD_BYTES_MAX - taken
    if room < len(value):
        # What was compressed on its way in may be larger than any topic takes. The letter in the database is whole.
        texts["dlq-cut"] = str(len(value))
        headers = [*(record.headers if room > 0 else ()), *_texts(texts)]
        value = value[: room if room > 0 else RECORD_BYTES_MAX // 2]
    return _row(record, value, headers, now)


def many(letters: Iterable[Buried], by: Author, now: datetime) -> list[OutboxRow]:
    """The events about records that are only counted: one for those of a partition that have one reason."""
    groups: dict[tuple[str, int, str, str], list[Buried]] = {}
    for letter in letters:
        record = letter.record
        groups.setdefault((record.topic, record.partition, letter.status, letter.code), []).append(letter)
    return [_of_group(group, by, now) for group in groups.values()]


def _of_group(group: Sequence[Buried], by: Author, now: datetime) -> OutboxRow:
    first = min(group, key=lambda letter: letter.record.offset)
    texts = _why(first, by, now) | {
        "dlq-content": "counted",
        "dlq-records": str(len(group)),
        "dlq-last-offset": str(max(letter.record.offset for letter in group)),
    }
    return _row(replace(first.record, key=None, headers=()), b"", list(_texts(texts)), now)


def _why(letter: Buried, by: Author, now: datetime) -> dict[str, str]:
    record = letter.record
    return {
        "dlq-topic": by.topic_prefix + record.topic,
        "dlq-partition": str(record.partition),
        "dlq-offset": str(record.offset),
        "dlq-consumer": by.consumer,
        "dlq-status": letter.status,
        "dlq-code": letter.code,
        "dlq-detail": cleaned(letter.detail[:DETAIL_LENGTH_MAX]),
        "dlq-attempts": str(letter.attempts),
        "dlq-at": now.isoformat(),
    }


def _texts(texts: Mapping[str, str]) -> KafkaHeaders:
    return tuple((name, text.encode()) for name, text in texts.items())


def _row(record: Record, value: bytes, headers: Sequence[tuple[str, bytes | None]], now: datetime) -> OutboxRow:
    text = (record.key or b"")[:KEY_TEXT_BYTES_MAX].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return OutboxRow(
        event_id=new_id(),
        topic=f"{record.topic}.dlq",
        key=text,
        version=0,
        occurred_at=now,
        traceparent=None,
        payload=value,
        headers=pack(headers),
        record_key=kept_key(record.key, text),
    )
