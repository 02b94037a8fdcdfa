"""An iCalendar feed (RFC 5545), by hand: one method, seven properties, no library that we would need for more."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

from services.activities.domain import Activity

FOLD_OCTETS = 75
"""RFC 5545, 3.1: a line has no more octets, without its break; a folded one goes on behind a space."""


def feed(activities: Iterable[Activity], language: Literal["zh", "en"], host: str) -> str:
    """The calendar as one text. `host`: what makes ids unique in the world, a domain of the city's."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//BeeGrid//activities//ZH", "CALSCALE:GREGORIAN",
             "METHOD:PUBLISH"]  # fmt: skip
    for one in activities:
        lines += _event(one, language, host)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in folded(line))


def _event(one: Activity, language: Literal["zh", "en"], host: str) -> list[str]:
    title, words = (one.title_zh, one.words_zh) if language == "zh" else (one.title_en, one.words_en)
    return [
        "BEGIN:VEVENT",
        f"UID:{one.id}@{host}",
        f"SEQUENCE:{one.version - 1}",
        f"DTSTAMP:{_utc(one.changed_at)}",
        f"DTSTART:{_utc(one.starts_at)}",
        f"DTEND:{_utc(one.ends_at)}",
        f"SUMMARY:{escaped(title)}",
        f"DESCRIPTION:{escaped(words)}",
        f"LOCATION:{escaped(one.address)}",
        "END:VEVENT",
    ]


def escaped(text: str) -> str:
    """A value of the type TEXT (RFC 5545, 3.3.11)."""
    for plain, said in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r\n", "\\n"), ("\n", "\\n"), ("\r", "\\n")):
        text = text.replace(plain, said)
    return text


def folded(line: str) -> Iterator[str]:
    """A line in pieces of at most 75 octets of UTF-8, each a whole number of characters."""
    piece, size = "", 0
    for one in line:
        octets = len(one.encode())
        if size + octets > FOLD_OCTETS:
            yield piece
            piece, size = " ", 1
        piece += one
        size += octets
    yield piece


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
