"""Reports of a small city's riders over some weeks, honest ones with the rhythms of real days, and planted cheats.

The same for the same seed. What comes out are the events that a service hears, in the order in which it would hear
them, and which of the reports were planted. Honest riders are no angels of regularity: they walk down an alley and
report five things, phones lose their way, upload late or twice, friends ride together, some streets have one verifier.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.events.case_changed import CaseChanged, CaseReport
from shared.events.common import Actor, Photo
from shared.events.report_routed import ReportRouted

Cheat = Literal["velocity", "per_day", "impossible_travel", "repeated_photo", "similar_photo", "verifier", "ring"]
Place = tuple[float, float]
WEST, SOUTH, SIDE = 120.30, 30.20, 0.12
"""Degrees: a city of about 12 km."""
GRID, ZONE = 0.003, 0.02
METRE = 1 / 111_000
BEAT_M = 1_200.0
KINDS = ("courier", "food_delivery", "food_delivery", "ride_hailing")
DAYS = 20
FLAT = (0x8000000000000000, 0xC000000000000000, 0x8080000000000000)
"""Hashes of pictures of the night."""


@dataclass(slots=True)
class Rider:
    """A rider: where their beat is, and what they move with. `cheats`: they have planted something."""

    id: UUID
    kind: str
    home: Place
    cheats: bool = False


@dataclass(slots=True)
class Happening:
    """One event, and when a service hears it."""

    at: datetime
    body: ReportRouted | CaseChanged
    version: int


@dataclass
class Mix:
    """The whole: `planted` says of a report which cheat it is; reports of cheats that aren't in it are their cover."""

    riders: list[Rider] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    planted: dict[UUID, Cheat] = field(default_factory=dict)
    owner: dict[UUID, UUID] = field(default_factory=dict)
    """Report → rider."""


@dataclass(slots=True)
class _Thing:
    """Something in the street that was reported: its case."""

    case_id: UUID
    at: datetime
    place: Place
    phash: int
    reports: list[CaseReport]
    version: int = 1


class Town:
    """Makes the events. `now`: when the last of them was heard; `zone`: where a day begins."""

    def __init__(self, seed: int, now: datetime, zone: ZoneInfo) -> None:
        self.chance = Random(seed)  # noqa: S311 a reproducible town, no secret
        self.now = now
        midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        self.begin = (midnight - timedelta(days=DAYS)).astimezone(UTC)
        self.mix = Mix()
        self._recent: dict[str, list[_Thing]] = {}
        self._verifiers: dict[str, list[str]] = {}

    # --- who there is -----------------------------------------------------------------------------------------------

    def rider(self, home: Place | None = None, kind: str | None = None, *, cheats: bool = False) -> Rider:
        """A rider with a beat of their own, or somebody's."""
        home = home or (WEST + SIDE * self.chance.random(), SOUTH + SIDE * self.chance.random())
        made = Rider(self.id(), kind or self.chance.choice(KINDS), home, cheats)
        self.mix.riders.append(made)
        return made

    def id(self) -> UUID:
        """An id, drawn."""
        return UUID(int=self.chance.getrandbits(128), version=4)

    def near(self, place: Place, metres: float) -> Place:
        """A place within so many metres of another."""
        far, way = metres * math.sqrt(self.chance.random()), self.chance.random() * math.tau
        return place[0] + far * METRE * math.cos(way) * 1.16, place[1] + far * METRE * math.sin(way)

    def moment(self, day: int) -> datetime:
        """Some time in the working hours of a day; lunch and dinner are busier."""
        hour = self.chance.choice((9, 10, 11, 11, 12, 12, 13, 15, 17, 18, 18, 19, 20))
        return self.begin + timedelta(days=day, hours=hour, seconds=self.chance.randrange(3_600))

    def verifiers(self, place: Place) -> list[str]:
        """Who verifies at a place: of some parts of the city one person alone."""
        zone = f"{int(place[0] / ZONE)}-{int(place[1] / ZONE)}"
        if zone not in self._verifiers:
            count = self.chance.choice((1, 2, 3, 3, 4))
            self._verifiers[zone] = [f"verifier-{zone}-{n}" for n in range(count)]
        return self._verifiers[zone]

    # --- what they do -----------------------------------------------------------------------------------------------

    def report(
        self, rider: Rider, at: datetime, place: Place, *, cheat: Cheat | None = None, thing: _Thing | None = None,
        photo: int | None = None, digest: str | None = None, verifier: str | None = None, quick: bool = False,
    ) -> _Thing:  # fmt: skip
        """A report, and what becomes of its case. `thing`: what somebody has reported before."""
        report_id = self.id()
        phash = self.picture() if photo is None else photo
        late = self.chance.expovariate(1 / 7_200) if self.chance.random() < 0.03 and cheat is None else 0.0
        heard = min(self.now, at + timedelta(seconds=2 + late))
        photos = self._photos(phash, digest) if digest or photo is not None or self.chance.random() < 0.85 else ()
        self._say_report(rider, report_id, at, heard, place, photos)
        self.mix.owner[report_id] = rider.id
        if cheat is not None:
            self.mix.planted[report_id] = cheat
        if thing is not None:
            self._join(thing, rider, report_id, heard)
            return thing
        made = _Thing(self.id(), heard, place, phash, [])
        made.reports.append(CaseReport(report_id=report_id, rider_id=rider.id, company="suda", ordinal=1))
        self._say_case(made, "opened", made.reports[0], heard)
        self._recent.setdefault(grid_of(place), []).append(made)
        self._verify(made, verifier, quick)
        return made

    def picture(self) -> int:
        """A photo's hash; few are of the night and say nothing."""
        if self.chance.random() < 0.03:
            return self.chance.choice(FLAT)
        return self.chance.getrandbits(64)

    def changed(self, phash: int, bits: int) -> int:
        """Nearly the same picture."""
        for place in self.chance.sample(range(64), bits):
            phash ^= 1 << place
        return phash

    def recent(self, place: Place, at: datetime, rider: Rider) -> _Thing | None:
        """Something in the same grid that another rider has reported within the last day."""
        for thing in reversed(self._recent.get(grid_of(place), ())):
            if timedelta() < at - thing.at < timedelta(days=1) and thing.reports[0].rider_id != rider.id:
                return thing
        return None

    def _photos(self, phash: int, digest: str | None) -> tuple[Photo, ...]:
        sha256 = digest or f"{self.chance.getrandbits(256):064x}"
        return (Photo(photo_id=str(self.id()), sha256=sha256, phash=f"{phash:016x}"),)

    def _join(self, thing: _Thing, rider: Rider, report_id: UUID, heard: datetime) -> None:
        before = next((one.ordinal for one in thing.reports if one.rider_id == rider.id), None)
        ordinal = before or len({one.rider_id for one in thing.reports}) + 1
        added = CaseReport(report_id=report_id, rider_id=rider.id, company="suda", ordinal=ordinal)
        thing.reports.append(added)
        self._say_case(thing, "repeated" if before else "attached", added, max(heard, thing.at))

    def _verify(self, thing: _Thing, verifier: str | None, quick: bool) -> None:
        if verifier is None and self.chance.random() < 0.08:
            return  # found to be nothing, or still open
        soon = quick or self.chance.random() < 0.03
        minutes = self.chance.uniform(1, 8) if soon else 12 + self.chance.lognormvariate(math.log(200), 0.8)
        at = thing.at + timedelta(minutes=minutes)
        if at < self.now:
            by = verifier or self.chance.choice(self.verifiers(thing.place))
            self._say_case(thing, "verified", None, at, Actor(id=by, name=by, role="verifier"))

    def _say_report(
        self, rider: Rider, report_id: UUID, at: datetime, heard: datetime, place: Place, photos: tuple[Photo, ...]
    ) -> None:
        accuracy_m = self.chance.choice((5.0, 8.0, 12.0, 20.0, 35.0))
        body = ReportRouted(
            report_id=report_id, rider_id=rider.id, company="suda", kind="part-01001", level="hazard", lng=place[0],
            lat=place[1], accuracy_m=accuracy_m, text="", photos=photos, occurred_at=at, received_at=heard,
            outcome="routed", grid_code=grid_of(place),
        )  # fmt: skip
        self.mix.happenings.append(Happening(heard, body, 1))

    def _say_case(
        self, thing: _Thing, step: str, report: CaseReport | None, at: datetime, actor: Actor | None = None
    ) -> None:
        values: dict[str, Any] = {
            "case_id": thing.case_id, "state": "verified" if step == "verified" else "open", "transition": step,
            "kind": "part-01001", "level": "hazard", "grid_code": grid_of(thing.place), "department": None,
            "lng": thing.place[0], "lat": thing.place[1], "report": report, "report_count": len(thing.reports),
            "actor": actor, "changed_at": at, "opened_at": thing.at, "due_at": thing.at + timedelta(days=1),
        }  # fmt: skip
        self.mix.happenings.append(Happening(at, CaseChanged.model_validate(values), thing.version))
        thing.version += 1


def grid_of(place: Place) -> str:
    """The code of the grid that a place lies in."""
    return f"G{int(place[0] / GRID)}-{int(place[1] / GRID)}"


def planted_mix(seed: int, now: datetime, zone: ZoneInfo, honest: int = 20_000, cheats: int = 1_000) -> Mix:
    """About so many honest reports, and exactly so many planted ones, of seven sorts."""
    town = Town(seed, now, zone)
    _honest_riders(town, honest)
    often = (_hasty, _far, _far, _same_picture, _edited_picture, _with_a_verifier, _ring)
    makers = (_tireless, *often, *often, *often)
    turn = 0
    while len(town.mix.planted) < cheats:
        makers[turn % len(makers)](town)
        turn += 1
    town.mix.planted = dict(list(town.mix.planted.items())[:cheats])
    town.mix.happenings.sort(key=lambda one: one.at)
    return town.mix


# --- honest riders ----------------------------------------------------------------------------------------------------


def _honest_riders(town: Town, reports: int) -> None:
    chance = town.chance
    while len(town.mix.owner) < reports:
        rider = town.rider()
        friend = town.rider(rider.home, rider.kind) if chance.random() < 0.05 else None
        for day in sorted(chance.sample(range(DAYS), chance.choice((1, 2, 4, 6, 9, 12)))):
            _honest_day(town, rider, friend, day)
            if friend is not None and chance.random() < 0.5:
                _honest_day(town, friend, rider, day)


def _honest_day(town: Town, rider: Rider, friend: Rider | None, day: int) -> None:
    chance = town.chance
    at, place = town.moment(day), town.near(rider.home, BEAT_M)
    left = 1 + min(int(chance.expovariate(1 / 1.6)), 9)
    while left > 0 and at < town.now - timedelta(minutes=1):
        # down an alley on foot: a few things within a few minutes
        for _ in range(min(left, chance.choice((1, 1, 1, 1, 1, 1, 2, 3, 5)))):
            left -= 1
            _honest_report(town, rider, friend, at, place)
            at += timedelta(seconds=chance.uniform(70, 240))
            place = town.near(place, 90)
        at += timedelta(minutes=5 + chance.expovariate(1 / 40))
        place = town.near(rider.home, BEAT_M)


def _honest_report(town: Town, rider: Rider, friend: Rider | None, at: datetime, place: Place) -> None:
    chance = town.chance
    seen = place
    if chance.random() < 0.002:  # a phone that has lost its way
        seen = town.near(place, 4_000)
    thing = town.recent(seen, at, rider) if chance.random() < 0.15 else None
    if thing is not None:
        town.report(rider, at, seen, thing=thing, photo=town.changed(thing.phash, chance.randrange(2, 9)))
        return
    photo, digest = town.picture(), f"{chance.getrandbits(256):064x}"
    made = town.report(rider, at, seen, photo=photo, digest=digest)
    if chance.random() < 0.003:  # filed twice by an app that got no answer
        town.report(rider, at + timedelta(seconds=40), seen, thing=made, photo=photo, digest=digest)
    if friend is not None and chance.random() < 0.25:
        later = at + timedelta(minutes=chance.uniform(0.5, 4))
        town.report(friend, later, town.near(seen, 15), thing=made, photo=town.changed(photo, 5))


# --- cheats -----------------------------------------------------------------------------------------------------------


def _hasty(town: Town) -> None:
    """From where they sit: a handful to a dozen reports within minutes."""
    rider = town.rider(cheats=True)
    at, place = town.moment(town.chance.randrange(DAYS)), town.near(rider.home, BEAT_M)
    for _ in range(town.chance.randrange(6, 16)):
        town.report(rider, at, place, cheat="velocity")
        at += timedelta(seconds=town.chance.uniform(15, 90))
        place = town.near(place, 60)


def _tireless(town: Town) -> None:
    """All day long, at a pace that no minute betrays."""
    rider = town.rider(cheats=True)
    at = town.begin + timedelta(days=town.chance.randrange(DAYS - 1), hours=1)
    for number in range(town.chance.randrange(50, 80)):
        # what the first forty would have earned, caps stop elsewhere: the cheat is what comes beyond any day's work
        town.report(rider, at, town.near(rider.home, BEAT_M), cheat="per_day" if number >= 35 else None)
        at += timedelta(seconds=town.chance.uniform(420, 900))


def _far(town: Town) -> None:
    """A phone that says it is elsewhere: every second report is from another part of the city, minutes later."""
    rider = town.rider(cheats=True)
    at = town.moment(town.chance.randrange(DAYS))
    for _ in range(town.chance.randrange(3, 8)):
        town.report(rider, at, town.near(rider.home, BEAT_M))
        at += timedelta(minutes=town.chance.uniform(1, 6))
        elsewhere = (WEST + SIDE * town.chance.random(), SOUTH + SIDE * town.chance.random())
        town.report(rider, at, elsewhere, cheat="impossible_travel")
        at += timedelta(hours=town.chance.uniform(1, 2))


def _same_picture(town: Town) -> None:
    """One picture from the net or a chat, by one rider or several, at many places."""
    riders = [town.rider(cheats=True) for _ in range(town.chance.choice((1, 1, 2, 3)))]
    photo, digest = town.picture(), f"{town.chance.getrandbits(256):064x}"
    day = town.chance.randrange(DAYS - 6)
    for number in range(town.chance.randrange(5, 13)):
        rider = riders[number % len(riders)]
        at = town.moment(day + number // 2)
        cheat: Cheat | None = "repeated_photo" if number else None
        town.report(rider, at, town.near(rider.home, BEAT_M), cheat=cheat, photo=photo, digest=digest)


def _edited_picture(town: Town) -> None:
    """The same, cropped or saved again: another digest, and a hash that differs in a bit or a few."""
    rider = town.rider(cheats=True)
    photo, day = town.chance.getrandbits(64), town.chance.randrange(DAYS - 6)
    for number in range(town.chance.randrange(5, 13)):
        seen = town.changed(photo, town.chance.choice((0, 1, 1, 2, 2, 3, 5))) if number else photo
        cheat: Cheat | None = "similar_photo" if number else None
        town.report(rider, town.moment(day + number // 2), town.near(rider.home, BEAT_M), cheat=cheat, photo=seen)


def _with_a_verifier(town: Town) -> None:
    """A friend in the office has whatever the rider reports, most of it before anybody could have been there."""
    rider = town.rider(cheats=True)
    friend = town.chance.choice(town.verifiers(rider.home))
    hurried = town.chance.random() < 0.7
    for _ in range(town.chance.randrange(7, 19)):
        at, place = town.moment(town.chance.randrange(DAYS)), town.near(rider.home, BEAT_M)
        quick = hurried and town.chance.random() < 0.9
        town.report(rider, at, place, cheat="verifier", verifier=friend, quick=quick)
    for _ in range(town.chance.randrange(3)):
        town.report(rider, town.moment(town.chance.randrange(DAYS)), town.near(rider.home, BEAT_M))


def _ring(town: Town) -> None:
    """Three to five who report whatever one of them finds; each also has reports of their own, as a cover."""
    home = town.near((WEST + SIDE / 2, SOUTH + SIDE / 2), SIDE / METRE / 3)
    riders = [town.rider(home, "courier", cheats=True) for _ in range(town.chance.choice((2, 3, 3, 4, 5)))]
    for _ in range(town.chance.randrange(5, 13)):
        at, place = town.moment(town.chance.randrange(DAYS)), town.near(home, BEAT_M)
        present = town.chance.sample(riders, max(2, len(riders) - town.chance.choice((0, 0, 1))))
        thing = town.report(present[0], at, place, cheat="ring")
        for number, rider in enumerate(present[1:], 1):
            later = at + timedelta(minutes=number * town.chance.uniform(0.5, 3))
            town.report(rider, later, town.near(place, 20), cheat="ring", thing=thing)
    for rider in riders:
        for _ in range(town.chance.randrange(4)):
            town.report(rider, town.moment(town.chance.randrange(DAYS)), town.near(home, BEAT_M))
