"""What looks farmed, decided from what a batch has read. Pure: times and thresholds are passed in."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from math import cos, hypot, radians
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

Reason = Literal[
    "velocity", "per_day", "impossible_travel", "repeated_photo", "edited_photo", "similar_photo", "verifier_often",
    "verifier_quick", "ring",
]  # fmt: skip
State = Literal["watched", "raised", "cleared", "confirmed"]
SLOW = frozenset({"courier", "food_delivery"})
"""Kinds of riders on two wheels; all others may be as fast as a car, also those of whom nothing was heard yet."""
METRES_PER_DEGREE = 111_320.0
SENT_AGAIN = timedelta(hours=1)
"""A rider's own photo of the same grid, again within so long: a report that was filed twice, not a second one."""
REST_S = 60.0
"""Phones round times, and a report is written after the thing was seen: so much is added between two reports."""
KMH = 3.6
PHASH_BITS = 64
PLAIN_BITS = range(16, 49)
"""How many bits are set in the hash of a picture that shows something. Of a dark or empty one nearly all are alike."""
PART_SHIFTS = (0, 16, 32, 48)
"""Where the parts of a hash begin by which it is found: hashes that differ in three bits at most share one of four."""
PART_BITS = 65_535


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds from an instant until the next ones': what is heard then is held against them.

    A detector whose score is 0 is switched off: nothing is read for it. What it would need is kept all the same, so
    that it can be switched on. `raise_at`: the sum of scores from which points wait. Percentages are of a rider's own
    cases.
    """

    version: int
    effective_from: datetime
    raise_at: int
    velocity_minutes: int
    velocity_reports: int
    velocity_score: int
    day_reports: int
    day_score: int
    slow_kmh: int
    fast_kmh: int
    travel_least_m: int
    travel_score: int
    photo_score: int
    similar_bits: int
    similar_score: int
    pair_days: int
    pair_cases: int
    pair_percent: int
    pair_excess: int
    pair_score: int
    quick_minutes: int
    quick_cases: int
    quick_score: int
    ring_days: int
    ring_cases: int
    ring_percent: int
    ring_score: int
    set_by: str
    reason: str

    @property
    def looks_at_journeys(self) -> bool:
        """Whether one of the detectors is on that need a rider's other reports."""
        return bool(self.velocity_score or self.day_score or self.travel_score)

    @property
    def looks_for_similar(self) -> bool:
        """Whether pictures that are nearly alike say anything: the rider's own, or another's."""
        return bool(self.photo_score or self.similar_score)

    @property
    def looks_at_verifiers(self) -> bool:
        """Whether one of the detectors is on that are about who verifies whom."""
        return bool(self.pair_score or self.quick_score)


# The next four are made by the thousand and never changed; not frozen, which would triple what making one costs.
@dataclass(slots=True)
class Sighting:
    """Where and when a rider reported; WGS-84 in degrees. `kind`: the rider's, None: not heard yet."""

    report_id: UUID
    rider_id: UUID
    occurred_at: datetime
    lng: float
    lat: float
    accuracy_m: float
    kind: str | None


@dataclass(slots=True)
class PhotoMatch:
    """Two reports with one picture, or nearly; `bits`: in how many their hashes differ."""

    report_id: UUID
    rider_id: UUID
    grid_code: str | None
    occurred_at: datetime
    received_at: datetime
    other_report: UUID
    other_rider: UUID
    other_grid: str | None
    other_occurred: datetime
    other_received: datetime
    exact: bool
    bits: int


@dataclass(slots=True)
class Pair:
    """A rider and who verifies their cases: counts of the window. `near`: others' cases in the same grids."""

    rider_id: UUID
    verified_by: str
    cases: int
    by_them: int
    quick: int
    near: int
    near_by_them: int
    others: int
    others_quick: int


@dataclass(slots=True)
class Finding:
    """One thing that looks wrong with one report. `measured` and `allowed` in the detector's own unit."""

    report_id: UUID
    rider_id: UUID
    reason: Reason
    score: int
    measured: int
    allowed: int
    span: int = 0
    """Minutes or days over which was counted, where it was."""
    other_report: UUID | None = None
    other_rider: UUID | None = None
    other_person: str | None = None


def limits_at(all_: Sequence[Limits], at: datetime) -> Limits:
    """Those in force at an instant; they ascend by effective_from, and the first ones cover all before."""
    found = all_[0]
    for one in all_[1:]:
        if one.effective_from > at:
            break
        found = one
    return found


def distance_m(a: Sighting, b: Sighting) -> float:
    """Metres between two places of one city; to 0.5 % within 100 km."""
    east = (a.lng - b.lng) * METRES_PER_DEGREE * cos(radians((a.lat + b.lat) / 2))
    return hypot(east, (a.lat - b.lat) * METRES_PER_DEGREE)


def of_journey(seen: Sequence[Sighting], limits: Limits, zone: ZoneInfo) -> Iterator[Finding]:
    """What is wrong with one rider's reports in their order: too many at a time, too many a day, too far apart.

    Of a burst all reports are found, also those with which it began. Reports that come late only add to what is found.
    """
    lately, of_day, day = 0, 0, None
    bursts: dict[int, int] = {}
    for place, one in enumerate(seen):
        begins = one.occurred_at - timedelta(minutes=limits.velocity_minutes)
        while seen[lately].occurred_at <= begins:
            lately += 1
        count = place - lately + 1
        if count > limits.velocity_reports:
            bursts.update({at: max(count, bursts.get(at, 0)) for at in range(lately, place + 1)})
        here = one.occurred_at.astimezone(zone).date()
        of_day = of_day + 1 if here == day else 1
        day = here
        if of_day > limits.day_reports:
            yield Finding(one.report_id, one.rider_id, "per_day", limits.day_score, of_day, limits.day_reports)
        if place and (found := _too_far(seen[place - 1], one, limits)) is not None:
            yield found
    for at, count in bursts.items():
        yield Finding(
            seen[at].report_id, seen[at].rider_id, "velocity", limits.velocity_score, count, limits.velocity_reports,
            limits.velocity_minutes,
        )  # fmt: skip


def _too_far(before: Sighting, one: Sighting, limits: Limits) -> Finding | None:
    metres = distance_m(before, one) - before.accuracy_m - one.accuracy_m
    if metres < limits.travel_least_m:
        return None
    kmh = metres / ((one.occurred_at - before.occurred_at).total_seconds() + REST_S) * KMH
    allowed = limits.slow_kmh if one.kind in SLOW else limits.fast_kmh
    if kmh <= allowed:
        return None
    measured = min(round(kmh), 99_999)
    return Finding(
        one.report_id, one.rider_id, "impossible_travel", limits.travel_score, measured, allowed,
        other_report=before.report_id,
    )  # fmt: skip


def of_photos(matches: Iterable[PhotoMatch], limits: Limits) -> Iterator[Finding]:
    """Which report of two with one picture came second, and how sure that is: a reason has one score, whatever is heard
    first. Of a report whose grid isn't known nobody can say that it is from elsewhere; it comes again with its grid.
    """
    for m in matches:
        own = m.rider_id == m.other_rider
        elsewhere = m.grid_code is not None and m.other_grid is not None and m.grid_code != m.other_grid
        if m.exact:
            if own and not elsewhere and abs(m.occurred_at - m.other_occurred) < SENT_AGAIN:
                continue
            reason: Reason = "repeated_photo"
            score = limits.photo_score
        else:
            # two who stand before one thing take nearly the same picture of it
            if not elsewhere or m.bits > limits.similar_bits:
                continue
            reason = "edited_photo" if own else "similar_photo"
            score = limits.photo_score if own else limits.similar_score
        mine, theirs = (m.report_id, m.rider_id), (m.other_report, m.other_rider)
        if (m.other_received, m.other_report) > (m.received_at, m.report_id):
            mine, theirs = theirs, mine
        yield Finding(*mine, reason, score, m.bits, limits.similar_bits, other_report=theirs[0], other_rider=theirs[1])


def often(pair: Pair, limits: Limits) -> int | None:
    """What share of the rider's cases this one person verifies, in per cent, where it is far above what is usual in
    the same grids; None where it isn't, or where too few others were verified there to say what is usual."""
    if pair.by_them < limits.pair_cases or pair.near < limits.pair_cases:
        return None
    share = 100 * pair.by_them // pair.cases
    usual = 100 * pair.near_by_them // pair.near
    return share if share >= limits.pair_percent and share - usual >= limits.pair_excess else None


def quick(pair: Pair, limits: Limits) -> int | None:
    """What share of the pair's cases was verified sooner than anybody walks there, in per cent, where the same person
    takes longer over others' cases; None where it isn't so."""
    if pair.quick < limits.quick_cases or pair.others < limits.quick_cases:
        return None
    share = 100 * pair.quick // pair.by_them
    usual = 100 * pair.others_quick // pair.others
    return share if share >= limits.pair_percent and share - usual >= limits.pair_excess else None


def is_ring(shared: int, of_one: int, of_other: int, limits: Limits) -> bool:
    """Whether two riders report together so often that for one of them it is the rule."""
    least = min(of_one, of_other)
    return shared >= limits.ring_cases and 100 * shared >= limits.ring_percent * least


def signed(phash: str) -> int:
    """A hash of 64 bits in hexadecimal as a signed number. Raises ValueError for anything else."""
    value = int(phash, 16)
    return value - (1 << PHASH_BITS) if value >> (PHASH_BITS - 1) else value


def shows_something(phash: int) -> bool:
    """Whether a picture's hash says enough of it to compare."""
    return (phash & ((1 << PHASH_BITS) - 1)).bit_count() in PLAIN_BITS


def rider_lock(rider_id: UUID) -> int:
    """Key of the advisory lock for one rider's reports: 64 bits, signed."""
    return _key(f"rider/{rider_id}")


def photo_locks(sha256: str, phash: int) -> Iterator[int]:
    """Keys of the advisory locks for a picture: any two that are compared have one in common. `phash` is signed."""
    if not shows_something(phash):  # only the very same one is looked for
        yield _key(f"photo/{sha256}")
        return
    for shift in PART_SHIFTS:
        yield _key(f"photo/{shift}/{(phash >> shift) & PART_BITS}")


def _key(text: str) -> int:
    return int.from_bytes(blake2b(f"screening/{text}".encode(), digest_size=8).digest(), "big", signed=True)


TEXTS: dict[Reason, tuple[str, str]] = {
    "velocity": (
        "{span} 分钟内上报 {measured} 次，超过 {allowed} 次",
        "{measured} reports within {span} minutes, more than {allowed}",
    ),
    "per_day": ("当日第 {measured} 次上报，超过 {allowed} 次", "the day's report no. {measured}, more than {allowed}"),
    "impossible_travel": (
        "与上一次上报相距过远：时速约 {measured} 公里，超过 {allowed} 公里",
        "too far from the report before: about {measured} km/h, more than {allowed}",
    ),
    "repeated_photo": ("照片与另一次上报完全相同", "the photo is that of another report"),
    "edited_photo": (
        "照片与本人在别处的另一次上报几乎相同（64 位中相差 {measured} 位）",
        "the photo is nearly that of the rider's own report from elsewhere ({measured} of 64 bits differ)",
    ),
    "similar_photo": (
        "照片与他人在别处的上报几乎相同（64 位中相差 {measured} 位）",
        "the photo is nearly that of another rider's report from elsewhere ({measured} of 64 bits differ)",
    ),
    "verifier_often": (
        "{span} 天内其案件的 {measured}% 由同一人核查，同网格其他案件只有 {allowed}%",
        "{measured} % of the rider's cases in {span} days were verified by one person, of others' there {allowed} %",
    ),
    "verifier_quick": (
        "{span} 天内同一人核查其案件的 {measured}% 来不及到场，对他人只有 {allowed}%",
        "{measured} % of the cases that one person verified in {span} days were too quick for a visit, of others' "
        "{allowed} %",
    ),
    "ring": (
        "{span} 天内与同一骑手共同上报 {measured} 次，达到 {allowed} 次",
        "{measured} reports together with one other rider in {span} days, {allowed} are enough",
    ),
}


def words(finding: Finding) -> tuple[str, str]:
    """What was found, in Chinese and in English."""
    zh, en = TEXTS[finding.reason]
    said = {"measured": finding.measured, "allowed": finding.allowed, "span": finding.span}
    return zh.format(**said), en.format(**said)
