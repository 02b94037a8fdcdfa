"""CloudEvents 1.0 from outside, whichever way they come: attributes in headers, or one JSON object around the body.

The same reading serves Kafka and HTTP, so that an event means the same at both doors.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from shared.events.envelope import EnvelopeError
from shared.events.outside import INT32_MAX, storable
from shared.kit.ids import derived_id
from shared.kit.messaging import json_bounds

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,40}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_LEAP_SECOND = re.compile(r"(?<=[T ])(\d\d:\d\d:)60")
STATED_ID_LENGTH_MAX = 200
"""Of the id that a company may give its event."""


@dataclass(frozen=True, slots=True)
class Structured:
    """An event that came as one JSON object. `attributes`: by name, as binary mode's headers have them after `ce_`."""

    attributes: dict[str, str]
    data: bytes
    """The body as JSON."""


def media_type(content_type: str | None) -> str:
    """A content type without its parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


def read_structured(body: bytes) -> Structured:
    """Take an event out of its JSON object.

    Raises:
        EnvelopeError: it isn't one; the text names the attribute, never its value.
    """
    try:
        found: Any = from_json(body)
        json_bounds.check(found)
    except json_bounds.Shapeless as error:
        raise EnvelopeError(str(error)) from error
    except ValueError as error:
        raise EnvelopeError(f"not JSON: {str(error)[:120]}") from error
    attributes, data = read_object(found)
    return Structured(attributes, data if isinstance(data, bytes) else to_json(data, inf_nan_mode="constants"))


def read_object(found: Any) -> tuple[dict[str, str], Any]:
    """Take attributes and data out of an event that was read as JSON. The data is bytes where they came in Base64.

    Raises:
        EnvelopeError: it is no event; the text names the attribute, never its value.
    """
    if not isinstance(found, dict):
        raise EnvelopeError("a CloudEvent in structured mode is one JSON object")
    rest = {name: value for name, value in found.items() if name not in ("data", "data_base64")}
    attributes = {name: text for name, value in rest.items() if (text := _text(name, value)) is not None}
    for name in REQUIRED:
        if name not in attributes:
            raise EnvelopeError(f"attribute {name} is missing")
    check_attributes(attributes)
    stated = media_type(attributes.get("datacontenttype", "application/json"))
    if stated != "application/json" and not stated.endswith("+json"):
        raise EnvelopeError("datacontenttype is not JSON")
    return attributes, _data(found.get("data"), found.get("data_base64"))


def _data(data: Any, encoded: Any) -> Any:
    if (data is None) == (encoded is None):
        raise EnvelopeError("exactly one of data and data_base64 must be there")
    if encoded is None:
        return data
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise EnvelopeError("data_base64 is not Base64") from error


def _text(name: str, value: Any) -> str | None:
    """An attribute's canonical text; None where it is not set."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) <= INT32_MAX:
        return str(value)
    raise EnvelopeError(f"attribute {_named(name)} is neither text, whole number nor boolean")


def _named(name: str) -> str:
    """An attribute's name, as far as it is one: everything else came from the sender and is not repeated."""
    return name if _NAME.fullmatch(name) else "[name]"


def check_attributes(attributes: Mapping[str, str]) -> None:
    """What holds in both modes: an attribute that is stated is stated rightly. None has control characters (CloudEvents
    1.0): with them the source and id of two events, joined, could be one text.

    Raises:
        EnvelopeError: one is not; the text names it.
    """
    for name, text in attributes.items():
        if not text:
            raise EnvelopeError(f"{_named(name)} is empty")
        try:
            storable(text)
        except ValueError as error:
            raise EnvelopeError(f"{_named(name)} {error}") from error
        if _CONTROL.search(text):
            raise EnvelopeError(f"{_named(name)} has a control character")
    if len(attributes.get("id", "")) > STATED_ID_LENGTH_MAX:
        raise EnvelopeError(f"id has more than {STATED_ID_LENGTH_MAX} characters")
    if attributes.get("specversion", "1.0") != "1.0":
        raise EnvelopeError("specversion is not 1.0")
    if (time := attributes.get("time")) is not None:
        _check_time(time)


def _check_time(text: str) -> None:
    """RFC 3339 may be written in small letters and has leap seconds; other ways of ISO 8601 are taken as well.

    Raises:
        EnvelopeError: it is neither.
    """
    try:
        # any other time of that minute would do: the value is not used
        datetime.fromisoformat(_LEAP_SECOND.sub(r"\g<1>59", text.upper(), count=1))
    except ValueError as error:
        raise EnvelopeError("time is no time") from error


def event_id(place: str, source: str, stated: str) -> UUID:
    """The id in this suite of somebody else's event: only source and id together name one (CloudEvents 1.0).

    `place`: where it came in, so that one company's names never meet another's.
    """
    return derived_id(place, source, stated)


def content_of(event: UUID, body: BaseModel) -> bytes:
    """16 bytes that two events of one id share only where they say the same, whichever way and in whatever form.

    A field that holds its default counts as left out: so a field that is added later changes no event of before. The
    id is the key of the hash: nobody sees in it that two events under different ids say the same.
    """
    said = body.__pydantic_serializer__.to_json(body, exclude_defaults=True)
    return blake2b(said, digest_size=16, key=event.bytes).digest()
