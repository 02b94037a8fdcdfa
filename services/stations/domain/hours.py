"""Opening hours as people write them: `1-5 08:00-20:00; 6,7 09:00-12:00,14:00-18:00`, `24/7`. Pure.

Days are 1 (Monday) to 7, or names in Chinese and English; an end before its beginning is of the next day.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60
ALWAYS = "24/7"
TEXT_MAX = 300
LOOK_DAYS = 8
"""So far ahead a next opening is looked for."""
_NAMES: Mapping[str, int] = {
    **{name: at for at, name in enumerate(("mo", "tu", "we", "th", "fr", "sa", "su"), 1)},
    **{f"周{name}": at for at, name in enumerate("一二三四五六日", 1)},
    **{str(at): at for at in range(1, 8)},
    "周天": 7,
}
_EVERY_DAY = frozenset({"每天", "daily"})
_SPAN = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_LIKE = str.maketrans({"：": ":", "；": ";", "，": ",", "–": "-", "—": "-", "～": "-", "至": "-", "、": ",", "\n": ";"})

Spans = tuple[tuple[int, int], ...]
"""Minutes from midnight; an end may lie after the next one."""
Week = tuple[Spans, ...]
"""Monday's to Sunday's."""
Times = tuple[datetime, datetime]


class Unreadable(ValueError):
    """These are no hours; the text says why and quotes nothing."""


def spans_of(text: str) -> Spans:
    """`08:00-12:00,14:00-18:00`; the empty text is no hours at all. Raises Unreadable."""
    found = []
    for part in filter(None, (one.strip() for one in text.translate(_LIKE).split(","))):
        if (span := _SPAN.fullmatch(part)) is None:
            raise Unreadable("hours are written 08:00-20:00")
        opens, closes = int(span[1]) * 60 + int(span[2]), int(span[3]) * 60 + int(span[4])
        if opens >= DAY_MINUTES or closes > DAY_MINUTES or opens == closes:
            raise Unreadable("hours are written 08:00-20:00, and the end is another time than the beginning")
        found.append((opens, closes if closes > opens else closes + DAY_MINUTES))
    found.sort()
    if any(first[1] > second[0] for first, second in pairwise(found)):
        raise Unreadable("hours of one day overlap")
    return tuple(found)


def week_of(text: str) -> Week:
    """The hours of each day. Raises Unreadable."""
    if len(text) > TEXT_MAX:
        raise Unreadable(f"hours have at most {TEXT_MAX} characters")
    said = text.translate(_LIKE).strip().lower()
    if said == ALWAYS:
        return (((0, DAY_MINUTES),),) * 7
    days: dict[int, Spans] = {}
    for rule in filter(None, (one.strip() for one in said.split(";"))):
        head, _, rest = rule.partition(" ")
        named = () if _SPAN.match(head) else _days(head)
        spans = spans_of(rest if named else rule)
        for day in named or range(1, 8):
            if day in days:
                raise Unreadable("a day stands twice in the hours")
            days[day] = spans
    if not any(days.values()):
        raise Unreadable("no hours: 24/7, or 1-5 08:00-20:00; 6-7 09:00-18:00")
    return tuple(days.get(day, ()) for day in range(1, 8))


def _days(text: str) -> tuple[int, ...]:
    if text in _EVERY_DAY:
        return tuple(range(1, 8))
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = _NAMES.get(first), _NAMES.get(last or first)
        if start is None or end is None or start > end:
            raise Unreadable("days are written 1-5, 6,7 or 周一-周五")
        found += range(start, end + 1)
    return tuple(found)


def spans_text(spans: Spans) -> str:
    """As `spans_of` reads it."""
    return ",".join(f"{_clock(opens)}-{_clock(closes)}" for opens, closes in spans)


def week_text(week: Week) -> str:
    """One form for the same hours: `week_of` reads it."""
    if all(spans == ((0, DAY_MINUTES),) for spans in week):
        return ALWAYS
    rules: list[tuple[int, int, Spans]] = []
    for day, spans in enumerate(week, 1):
        if not spans:
            continue
        if rules and rules[-1][1] == day - 1 and rules[-1][2] == spans:
            rules[-1] = (rules[-1][0], day, spans)
        else:
            rules.append((day, day, spans))
    return "; ".join(
        f"{first if first == last else f'{first}-{last}'} {spans_text(spans)}" for first, last, spans in rules
    )


def _clock(minute: int) -> str:
    within = minute if minute <= DAY_MINUTES else minute - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day with other hours than its weekday's; without any the station is closed that day."""

    day: date
    hours: str
    reason: str


def times(week: Week, special: Mapping[date, SpecialDay], now: datetime, zone: ZoneInfo) -> list[Times]:
    """When it is open by its hours, from yesterday on for LOOK_DAYS: instants in UTC, in order, none touching the next.

    `special`: other hours by day.
    """
    today = now.astimezone(zone).date()
    raw = []
    for ahead in range(-1, LOOK_DAYS + 1):
        day = today + timedelta(days=ahead)
        other = special.get(day)
        for opens, closes in week[day.weekday()] if other is None else spans_of(other.hours):
            raw.append((at(day, opens, zone), at(day, closes, zone)))
    return merged(raw)


def merged(raw: Iterable[Times]) -> list[Times]:
    """Spans of time without overlaps, in order."""
    found: list[Times] = []
    for begins, ends in sorted(raw):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def at(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The instant of a minute of a day of the city, in UTC."""
    days, within = divmod(minute, DAY_MINUTES)
    return datetime.combine(day + timedelta(days=days), time(within // 60, within % 60), zone).astimezone(UTC)


def is_within(spans: Sequence[Times], now: datetime) -> bool:
    """Whether an instant lies in one of them."""
    return any(begins <= now < ends for begins, ends in spans)


def by_day(begins: datetime, ends: datetime, zone: ZoneInfo) -> dict[date, int]:
    """The seconds between two instants, by the city's days."""
    found: dict[date, int] = {}
    while begins < ends:
        day = begins.astimezone(zone).date()
        upto = min(ends, at(day + timedelta(days=1), 0, zone))
        found[day] = found.get(day, 0) + round((upto - begins).total_seconds())
        begins = upto
    return found
