"""What offices say of a station, and what is wrong with it: one set of rules for forms and files. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.stations.domain.hours import Unreadable, week_of, week_text
from services.stations.domain.taxonomy import Taxonomy
from shared.events.outside import one_line, plain

CODE = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
PHONE = r"^[0-9+() -]{3,30}$"
PHOTO = r"^(https://[\x21-\x7e]{1,300}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
NAME_MAX, LINE_MAX = 120, 200
SERVICES_MAX, PHOTOS_MAX, PARKING_MAX = 60, 10, 10_000
COLUMNS = (
    "code", "name", "kind", "sponsor", "area_code", "address", "lng", "lat", "managing_unit", "responsible", "phone",
    "duty_phone", "hours", "open_on_holidays", "services", "parking_places", "photos",
)  # fmt: skip
REQUIRED = ("code", "name", "kind", "area_code", "address", "lng", "lat", "managing_unit", "hours")
_LENGTHS = {"name": NAME_MAX, "sponsor": NAME_MAX, "address": LINE_MAX, "managing_unit": NAME_MAX, "responsible": 60}
_TRUE, _FALSE = {"true", "1", "yes", "是"}, {"false", "0", "no", "否", ""}
_PARTED = re.compile(r"[;；、|\s]+")


@dataclass(frozen=True, slots=True)
class Details:
    """A station as its office states it. WGS-84 degrees; `phone` is the responsible person's own and shown to offices
    alone, `duty_phone` hangs on the door.
    """

    code: str
    name: str
    kind: str
    sponsor: str
    area_code: str
    address: str
    lng: float
    lat: float
    managing_unit: str
    responsible: str
    phone: str
    duty_phone: str
    hours: str
    open_on_holidays: bool
    services: tuple[str, ...]
    parking_places: int | None
    photos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one field; quotes nothing that was sent."""

    field: str
    problem: str


def faults_of(said: Details, taxonomy: Taxonomy, is_area: Callable[[str], bool]) -> Iterator[Wrong]:
    """What form and length alone don't say: codes that nobody knows, hours that can't be read."""
    if said.kind not in taxonomy.kinds:
        yield Wrong("kind", f"one of {', '.join(sorted(taxonomy.kinds))}")
    if [one for one in said.services if one not in taxonomy.services]:
        yield Wrong("services", "a code that the taxonomy of services doesn't have")
    if len(set(said.services)) < len(said.services):
        yield Wrong("services", "a code stands twice")
    if not is_area(said.area_code):
        yield Wrong("area_code", "no area of the map in force")
    try:
        week_of(said.hours)
    except Unreadable as wrong:
        yield Wrong("hours", str(wrong))


def canonical(hours: str) -> str:
    """Hours in their one form. Raises Unreadable."""
    return week_text(week_of(hours))


def read(cells: Mapping[str, str]) -> tuple[Details | None, list[Wrong]]:
    """A file's row by column; degrees are WGS-84 already. What can't be read is named, cell by cell."""
    values: dict[str, Any] = {}  # `_value` reads each column as its field is
    wrong = []
    for column in COLUMNS:
        try:
            values[column] = _value(column, cells.get(column, "").strip())
        except ValueError as error:
            wrong.append(Wrong(column, str(error)))
    return (None, wrong) if wrong else (Details(**values), [])


def _value(column: str, said: str) -> object:
    """A cell as its field has it. Raises ValueError for one that it can't have."""
    if column in REQUIRED and not said:
        raise ValueError("is missing")
    if (reader := _READERS.get(column)) is not None:
        return reader(said)
    if len(said) > _LENGTHS[column]:
        raise ValueError(f"at most {_LENGTHS[column]} characters")
    return one_line(said) if said else ""


def _code(said: str) -> str:
    return _matching(str(plain(said)), CODE, "letters, digits, - and _, at most 32")


def _phone(said: str) -> str:
    return _matching(str(plain(said)), PHONE, "a phone's number") if said else ""


def _photos(said: str) -> tuple[str, ...]:
    return tuple(_matching(one, PHOTO, "an https address or a photo's id") for one in _codes(said, PHOTOS_MAX))


def _matching(said: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, said):
        raise ValueError(what)
    return said


def _degrees(said: str, most: int) -> float:
    if not re.fullmatch(r"-?\d{1,3}(\.\d{1,15})?", said) or abs(float(said)) > most:
        raise ValueError(f"degrees with a point, from -{most} to {most}")
    return float(said)


def _truth(said: str) -> bool:
    if said.lower() not in _TRUE | _FALSE:
        raise ValueError("true or false")
    return said.lower() in _TRUE


def _codes(said: str, most: int) -> list[str]:
    found = [str(plain(one)) for one in _PARTED.split(said) if one]
    if len(found) > most:
        raise ValueError(f"at most {most}")
    return found


def _count(said: str) -> int | None:
    if not said:
        return None
    if not said.isascii() or not said.isdigit() or int(said[:9]) > PARKING_MAX:
        raise ValueError(f"a whole number up to {PARKING_MAX}")
    return int(said)


_READERS: Mapping[str, Callable[[str], object]] = {
    "code": _code,
    "area_code": _code,
    "kind": plain,
    "lng": lambda said: _degrees(said, 180),
    "lat": lambda said: _degrees(said, 90),
    "phone": _phone,
    "duty_phone": _phone,
    "hours": canonical,
    "open_on_holidays": _truth,
    "services": lambda said: tuple(_codes(said, SERVICES_MAX)),
    "photos": _photos,
    "parking_places": _count,
}
