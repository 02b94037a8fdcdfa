"""Rows of the service as others of its parts have them. Pure."""

import hmac
from base64 import b32encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

from shared.events.public_station_changed import StationState

VISIT_CODE_CHARS = 10


@dataclass(frozen=True, slots=True)
class Station:
    """A station: what its office says (`Details`), and what is so now.

    `edition` counts changes of what the office says, `version` all that others are notified of.
    """

    id: UUID
    code: str
    version: int
    edition: int
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
    code_epoch: int
    retired_reason: str | None
    state: StationState
    state_reason: str
    state_since: datetime
    state_until: datetime | None
    faults: tuple[str, ...]
    list_year: int | None
    list_version: int | None
    next_at: datetime
    settled_at: datetime
    changed_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether whoever comes gets in."""
        return self.state in ("open", "full")


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rider's stars and words about a station, and what its managing unit says. `due_at`: by when."""

    id: UUID
    station_id: UUID
    stars: int
    words: str
    state: Literal["noted", "waiting", "answered"]
    given_at: datetime
    due_at: datetime
    answer: str
    answered_at: datetime | None
    answered_by: str


@dataclass(frozen=True, slots=True)
class Donation:
    """What somebody gave to a station. `named`: whether others may read who."""

    id: UUID
    station_id: UUID
    donor: str
    named: bool
    goods: str
    quantity: int
    unit: str
    given_on: date
    thanks: str
    withdrawn_reason: str | None


@dataclass(frozen=True, slots=True)
class ServiceList:
    """One version of a year's list of services; `items` as {code, words, times}."""

    station_id: UUID
    year: int
    version: int
    items: dict[str, list[dict[str, str]]]
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who keeps a station's state, by the id of their token."""

    station_id: UUID
    person: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """A station's sums over some days. `stars` is their sum, `open_s` seconds."""

    station_id: UUID
    code: str
    name: str
    area_code: str
    visits: int
    open_s: int
    ratings: int
    stars: int
    sightings: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of all stations of a kind over some days. `stars` is their sum, `open_s` seconds."""

    kind: str
    stations: int
    visits: int
    open_s: int
    ratings: int
    stars: int
    sightings: int


def visit_code(key: bytes, station_id: UUID, epoch: int) -> str:
    """What hangs in a station, and only whoever is there reads; another one for each epoch."""
    digest = hmac.digest(key, station_id.bytes + epoch.to_bytes(4, "big"), sha256)
    return b32encode(digest)[:VISIT_CODE_CHARS].decode()


def is_visit_code(keys: Collection[bytes], station_id: UUID, epoch: int, given: str) -> bool:
    """Whether a code is the station's, under any of the keys."""
    shown = given.upper().encode()
    return any(hmac.compare_digest(visit_code(key, station_id, epoch).encode(), shown) for key in keys)
