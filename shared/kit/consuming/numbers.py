"""Which number a company's record is about, also where the record is refused: so that its sender finds it again."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from shared.events.outside import plain
from shared.events.topic import Topic
from shared.kit.messaging import json_bounds
from shared.kit.messaging.work import Record

NUMBER = re.compile(r"[\x21-\x7e]{1,64}")
"""As ExternalId has it (shared/events/common.py)."""


def number_of(topic: Topic[Any], record: Record) -> str | None:
    """The number in the body, where that can be read, else the key; None where neither is a number.

    The body may be the value itself or the data of a structured CloudEvent: what is refused often doesn't say rightly
    which it is. A value that is larger than the topic takes is not read.
    """
    value = record.value or b""
    if len(value) <= topic.record_bytes_max:
        for body in _bodies(value):
            if isinstance(body, dict) and (found := _number(body.get(topic.key))) is not None:
                return found
    try:
        return _number((record.key or b"").decode())
    except UnicodeDecodeError:
        return None


def _bodies(value: bytes) -> Iterator[Any]:
    found = _json(value)
    yield found
    if isinstance(found, dict):
        yield found.get("data")
        if isinstance(encoded := found.get("data_base64"), str):
            try:
                yield _json(base64.b64decode(encoded, validate=True))
            except binascii.Error:
                return


def _json(value: bytes) -> Any:
    try:
        return json_bounds.read(value)
    except (ValueError, RecursionError):
        return None


def _number(given: object) -> str | None:
    text = plain(given)
    return text if isinstance(text, str) and NUMBER.fullmatch(text) else None
