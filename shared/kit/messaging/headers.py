"""Kafka headers packed into one column and back, byte for byte: null values and foreign bytes survive."""

import base64
from collections.abc import Iterable

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
