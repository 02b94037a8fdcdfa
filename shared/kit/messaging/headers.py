"""What a dead letter keeps of its record as it was: headers packed into one column and back, byte for byte, so that
null values and foreign bytes survive; and its key, which may be none, or no text.
"""

import base64
from collections.abc import Iterable
from typing import Any

import orjson

KafkaHeaders = tuple[tuple[str, bytes | None], ...]


def pack(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Headers as JSON: a list of [name, base64 or null]."""
    return orjson.dumps([[name, _text(value)] for name, value in headers])


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def unpack(packed: bytes) -> KafkaHeaders:
    """The reverse of `pack`."""
    return tuple((name, None if value is None else base64.b64decode(value)) for name, value in orjson.loads(packed))


def kept_key(key: bytes | None, text: str) -> bytes | None:
    """What the column `record_key` needs so that `key_of` gives a record's key again; `text`: what `key` has of it."""
    return None if key is None or (text and text.encode() == key) else key


def key_of(row: Any) -> bytes | None:
    """The key with which a row of the outbox leaves, given by its columns' names: a dead letter's is its record's, also
    none at all.
    """
    kept: bytes | None = row["record_key"]
    if kept is not None:
        return kept
    text: str = row["key"]
    return None if row["headers"] is not None and not text else text.encode()
