"""The words of activities, without a database: an activity, one rider's way to a place, the draw, the codes."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

Way = Literal["queue", "lot"]
State = Literal["open", "called_off", "over"]
SignupState = Literal["wished", "waiting", "confirmed", "cancelled"]
Outcome = Literal["attended", "no_show"]
What = Literal[
    "wished", "waiting", "confirmed", "drawn", "not_drawn", "moved_up", "cancelled", "called_off", "changed", "reminded"
]
DEED = "activity-attended"
QR_PREFIX = "beegrid:activity:"
SITE_CODE_SECONDS = 300
"""How long the code at the place is the same; the one before is taken, too."""
RIDERS_MIN = 5
"""A company learns sums of at least so many of its riders."""
_RIDER_DIGITS, _SITE_DIGITS = 6, 8


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity and its numbers: `confirmed` places are taken, `signups` is the sum of it and the three behind."""

    id: UUID
    version: int
    said: int
    series_id: UUID | None
    template: str | None
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    area_code: str
    address: str
    station_id: str | None
    organiser: str
    starts_at: datetime
    ends_at: datetime
    signup_until: datetime
    places: int
    way: Way
    companies: tuple[str, ...]
    areas: tuple[str, ...]
    seed_hash: str | None
    drawn_at: datetime | None
    state: State
    reason: str | None
    published_at: datetime
    changed_at: datetime
    signups: int
    confirmed: int
    waiting: int
    wished: int
    cancelled: int
    attended: int
    no_shows: int

    def doors_open(self, at: datetime, early: timedelta, late: timedelta) -> bool:
        """Whether somebody may check in."""
        return self.state == "open" and self.starts_at - early <= at <= self.ends_at + late


@dataclass(frozen=True, slots=True)
class Signup:
    """One rider's way to a place. `rider_id` None: erased since."""

    id: UUID
    version: int
    activity_id: UUID
    rider_id: UUID | None
    company: str
    number: int
    turn: int
    team: str | None
    photo_consent: bool
    state: SignupState
    outcome: Outcome | None
    signed_up_at: datetime
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Team:
    """A team of an activity, when it is there, and how many people it has served."""

    activity_id: UUID
    code: str
    zh: str
    en: str
    starts_at: datetime
    ends_at: datetime
    served: int
    version: int


def hash_of(seed: str) -> str:
    """What is published of a seed before the draw: SHA-256 of its 64 characters, in hexadecimal."""
    return sha256(seed.encode()).hexdigest()


def drawn_order(seed: str, activity_id: UUID, entrants: int, withdrawn: Collection[int]) -> list[int]:
    """The order that a draw gives to the numbers 1…entrants, without those that were withdrawn.

    By SHA-256 of `seed:activity:entrants:number` in ASCII, ascending: anybody can recompute it with any language.
    The number of entrants is in it, so that nobody can know before the end which numbers are good, who knows the seed
    included.
    """
    there = set(range(1, entrants + 1)).difference(withdrawn)
    return sorted(there, key=lambda one: sha256(f"{seed}:{activity_id}:{entrants}:{one}".encode()).digest())


def rider_code(key: bytes, signup: Signup) -> str:
    """What a rider shows or says at the door: their number and six digits that only we can know, `17-482913`."""
    return f"{signup.number}-{_digits(key, b'rider', signup.id.bytes, _RIDER_DIGITS)}"


def site_code(key: bytes, activity_id: UUID, at: datetime) -> str:
    """What is shown at the place for riders to enter: eight digits, others every five minutes."""
    turn = int(at.timestamp()) // SITE_CODE_SECONDS
    return _digits(key, b"site", activity_id.bytes + turn.to_bytes(8, "big"), _SITE_DIGITS)


def is_rider_code(keys: Collection[bytes], signup: Signup, given: str) -> bool:
    """Whether it is this sign-up's code, under any key that is in use."""
    return any(hmac.compare_digest(rider_code(key, signup), given) for key in keys)


def is_site_code(keys: Collection[bytes], activity_id: UUID, at: datetime, given: str) -> bool:
    """Whether it is the place's code of now or of the turn before."""
    turns = (at, at - timedelta(seconds=SITE_CODE_SECONDS))
    return any(hmac.compare_digest(site_code(key, activity_id, one), given) for key in keys for one in turns)


def number_of(code: str) -> int:
    """The number in a rider's code, as it was typed or as the QR code has it; 0: that is none."""
    head, _, tail = bare(code).partition("-")
    return int(head) if head.isascii() and head.isdigit() and tail and len(head) < 8 else 0


def bare(code: str) -> str:
    """A code without what a QR code has in front of it."""
    return code.rpartition(":")[2] if code.startswith(QR_PREFIX) else code


def _digits(key: bytes, what: bytes, of: bytes, count: int) -> str:
    number = int.from_bytes(hmac.digest(key, what + of, "sha256")[:8], "big")
    return f"{number % 10**count:0{count}}"
