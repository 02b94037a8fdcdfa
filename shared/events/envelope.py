"""CloudEvents 1.0 in Kafka's binary mode: the body is plain JSON, everything about the event is a header.

Written out by hand because it runs for every event: building the same headers through the CloudEvents SDK costs more
than the rest of the hop. A contract test holds the result against the SDK.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

SPEC_VERSION = b"1.0"
CONTENT_TYPE = b"application/json"
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
Headers = list[tuple[str, bytes]]


class EnvelopeError(ValueError):
    """The headers are not those of a CloudEvent; the text says which one."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around an event's body."""

    event_id: UUID
    type: str
    """The topic's name without prefix."""
    source: str
    """`/beegrid/<service>`, or what a company states."""
    subject: str
    """The aggregate's id: also the partition key."""
    version: int
    """The aggregate's version after this event: 1..n without gaps per subject; 0 where there is no aggregate."""
    occurred_at: datetime
    traceparent: str | None = None


def to_headers(envelope: Envelope) -> Headers:
    """Kafka headers of an event, values UTF-8."""
    headers: Headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", str(envelope.event_id).encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", envelope.occurred_at.isoformat().encode()),
        ("ce_aggregateversion", str(envelope.version).encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def normalise(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Headers as text: null values are dropped, bytes that are not UTF-8 are replaced; the last of a name wins."""
    return {name.lower(): value.decode("utf-8", "replace") for name, value in headers if value is not None}


def from_headers(headers: Mapping[str, str]) -> Envelope:
    """Read normalised headers.

    Raises:
        EnvelopeError: a required attribute is missing or not readable.
    """
    try:
        if headers["ce_specversion"] != "1.0":
            raise EnvelopeError(f"ce_specversion {headers['ce_specversion'][:16]!r} is not 1.0")
        occurred_at = datetime.fromisoformat(headers["ce_time"])
        if occurred_at.tzinfo is None:
            raise EnvelopeError("ce_time has no offset from UTC")
        return Envelope(
            event_id=UUID(headers["ce_id"]),
            type=headers["ce_type"],
            source=headers["ce_source"],
            subject=headers.get("ce_subject", ""),
            version=int(headers.get("ce_aggregateversion", "0")),
            occurred_at=occurred_at.astimezone(UTC),
            traceparent=valid_traceparent(headers.get("traceparent")),
        )
    except KeyError as missing:
        raise EnvelopeError(f"header {missing.args[0]} is missing") from missing
    except ValueError as bad:
        raise EnvelopeError(f"header not readable: {str(bad)[:120]}") from bad


def valid_traceparent(value: str | None) -> str | None:
    """The W3C traceparent, or None where it is absent or malformed (a trace is never a reason to refuse an event)."""
    return value if value and _TRACEPARENT.fullmatch(value) else None
