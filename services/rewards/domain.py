"""When an offer can be had, what a voucher's code looks like. Pure."""

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from uuid import UUID

from services.rewards import problems
from shared.kit.refusals import Problem

State = Literal["requested", "issued", "used", "expired", "refused", "cancelled", "undone"]
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""30 symbols without 0 O 1 I L U: no two are confused on paper or by voice."""
CODE_LENGTH = 13
"""13 symbols of 30: 63.8 bits."""
QR_PREFIX = "BEEGRID-VOUCHER:"
EVERY_DAY = 0b1111111
EARLY = timedelta(minutes=15)
"""So long before an hour that was agreed on its voucher is taken."""
_GROUPS = ((0, 4), (4, 8), (8, 13))


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who takes vouchers."""

    id: UUID
    version: int
    name: str
    address: str
    active: bool
    closed_reason: str | None = None
    kind: Literal["shop", "station"] = "shop"
    service: str = ""
    """What it does for riders."""
    area_code: str | None = None
    review: Literal["applied", "approved", "refused"] = "approved"
    review_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A place of a merchant; hours in minutes of the city's day, WGS-84."""

    id: UUID
    name: str
    address: str
    area_code: str | None
    lng: float | None
    lat: float | None
    opens_minute: int
    closes_minute: int
    weekdays: int


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of an offer there is; None: no such limit."""

    stock: int | None
    per_day: int | None
    per_rider: int | None
    per_rider_day: int | None

    def words(self) -> tuple[str, str]:
        """In Chinese and in English."""
        parts = [
            (self.stock, "共 {} 份", "{} in all"),
            (self.per_day, "每日 {} 份", "{} a day"),
            (self.per_rider, "每人 {} 次", "{} a rider"),
            (self.per_rider_day, "每人每日 {} 次", "{} a rider and day"),
        ]
        zh = [zh.format(number) for number, zh, _ in parts if number is not None]
        en = [en.format(number) for number, _, en in parts if number is not None]
        return "，".join(zh) or "不限量", ", ".join(en) or "without a limit"


@dataclass(frozen=True, slots=True)
class Offer:
    """A gift or service; `price` in points; free + held + sold = stock always."""

    id: UUID
    version: int
    merchant_id: UUID
    merchant_name: str
    merchant_active: bool
    name: str
    description: str
    price: int
    donated_by: str | None
    stock: int
    free: int
    held: int
    sold: int
    per_rider_max: int | None
    per_day_max: int | None
    valid_from: datetime
    valid_until: datetime
    opens_minute: int
    closes_minute: int
    voucher_minutes: int
    closed_reason: str | None = None
    """Why no more can be had, of the offer or its merchant; vouchers that are out stay good till their end."""
    thanks: str = ""
    """What is said to the donor."""
    counted: bool = True
    """False: nothing runs out, as air for a tyre."""
    per_rider_day_max: int | None = None
    weekdays: int = EVERY_DAY
    """On which the counter takes vouchers; bit 0 is Monday."""
    by_appointment: bool = False
    companies: tuple[str, ...] = ()
    """Whose riders may have it; empty: all."""
    areas: tuple[str, ...] = ()
    """Where it is shown; empty: everywhere."""
    photos: tuple[str, ...] = ()
    citywide: bool = False
    """Its vouchers are good at every station that has a piece of it."""
    delivered: bool = False
    """Its goods have to be brought before a voucher is taken."""
    least_level: int = 0
    """The rank that a rider needs at least; 0: everybody may have it."""


@dataclass(frozen=True, slots=True)
class Station:
    """What a station has of an offer whose vouchers are good in the whole city: there + sold = stock."""

    merchant_id: UUID
    name: str
    address: str
    version: int
    stock: int
    there: int
    sold: int


@dataclass(frozen=True, slots=True)
class Slot:
    """An hour of an offer that can be agreed on, with `taken` of its `capacity` places given away."""

    id: UUID
    offer_id: UUID
    starts_at: datetime
    ends_at: datetime
    capacity: int
    taken: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """One rider's way to one gift."""

    id: UUID
    version: int
    rider_id: UUID
    offer_id: UUID
    merchant_id: UUID
    offer_name: str
    price: int
    state: State
    reason: str | None
    requested_at: datetime
    deadline_at: datetime
    issued_at: datetime | None
    ended_at: datetime | None
    undone_at: datetime | None = None
    undone_by: str | None = None
    slot_id: UUID | None = None
    fulfilment: Literal["ordered", "sent", "ready"] | None = None
    """Of goods that are brought first; None: they are at the counter anyhow."""


@dataclass(frozen=True, slots=True)
class OfflineList:
    """Vouchers that a counter without network may take from `made_at` to `good_until`."""

    id: UUID
    merchant_id: UUID
    made_at: datetime
    good_until: datetime
    closes_at: datetime
    """Until then its vouchers neither expire nor are cancelled: what was taken has to be heard of."""
    redemption_ids: tuple[UUID, ...]
    settled_at: datetime | None
    digest: bytes | None


TakingOutcome = Literal["sold", "double", "late", "closed", "ended", "foreign", "unknown"]
CLOCK_SKEW = timedelta(minutes=5)
"""So wrong may the clock of a counter be."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When a counter takes a voucher: minutes of the city's day and weekdays; or about an hour that was agreed on."""

    opens_minute: int
    closes_minute: int
    weekdays: int
    starts_at: datetime | None = None

    def allow(self, at: datetime, zone: tzinfo) -> bool:
        """Whether it is taken then."""
        if self.starts_at is not None:
            return self.starts_at - EARLY <= at
        return is_open(self.opens_minute, self.closes_minute, at.astimezone(zone), self.weekdays)


@dataclass(frozen=True, slots=True)
class Judged:
    """What comes of a voucher that a counter took without network, and who bears what it is worth."""

    outcome: TakingOutcome
    borne_by: Literal["programme", "merchant"] | None = None
    first_merchant_id: UUID | None = None
    first_at: datetime | None = None
    lost: bool = False
    """A piece more went over the counter than was sold."""


def judge(
    paper: OfflineList,
    found: Redemption | None,
    taken_at: datetime,
    listed: Container[UUID],
    earlier: Mapping[UUID, datetime],
    is_open_at: Callable[[datetime], bool],
) -> Judged:
    """The rule for one line of what a counter uploads.

    `listed`: what stood on the list. `earlier`: what was sold by this merchant's earlier lines, of this list and of
    others: redemptions, and when by the counter's clock. `is_open_at`: whether the voucher's counter takes it then.

    The first use that the database knows is the sale. A second one at another merchant was in good faith where its
    list was good: the programme bears it. All else the merchant bears, since its own list could have told it apart.
    What was not on its list is none of its business, whatever became of it: of that it neither sells nor loses a piece.
    """
    if found is None:
        return Judged("unknown", "merchant")
    if found.id not in listed:
        return Judged("foreign", "merchant")
    if (before := earlier.get(found.id)) is not None:
        # with the same time it is the same line once more, from another list: one piece has left, not two
        return Judged("double", "merchant", paper.merchant_id, before, lost=before != taken_at)
    in_time = paper.made_at - CLOCK_SKEW <= taken_at <= min(paper.good_until, found.deadline_at) + CLOCK_SKEW
    in_hours = any(is_open_at(taken_at + skew) for skew in (-CLOCK_SKEW, timedelta(), CLOCK_SKEW))
    if found.state in ("used", "undone"):
        faithful = in_time and in_hours and found.merchant_id != paper.merchant_id
        return Judged("double", "programme" if faithful else "merchant", found.merchant_id, found.ended_at, lost=True)
    if found.state != "issued":
        return Judged("ended", "merchant")
    if not in_time:
        return Judged("late", "merchant")
    return Judged("sold") if in_hours else Judged("closed", "merchant")


@dataclass(slots=True)
class Taken:
    """How much of an offer's quotas is used, while a batch goes on taking."""

    free: int
    today: int
    by_rider: dict[UUID, int]
    waiting: set[UUID] = field(default_factory=set)
    """Riders whose last piece of it still waits for their points."""
    available: dict[UUID, int] = field(default_factory=dict)
    """What riders have to spend whom points have refused lately; of nobody else is it known well enough."""
    by_rider_today: dict[UUID, int] = field(default_factory=dict)
    companies: dict[UUID, str] = field(default_factory=dict)
    """Whose riders they are, where the offer is for some companies' alone."""
    levels: dict[UUID, int] = field(default_factory=dict)
    """Riders' ranks, where the offer asks for one; of whom nothing was heard, it is 0."""
    slots: dict[UUID, Slot] = field(default_factory=dict)
    """Hours of this offer that the batch asks for."""
    in_slot: dict[UUID, int] = field(default_factory=dict)

    def take(self, offer: Offer, rider_id: UUID, now: datetime, slot_id: UUID | None = None) -> Problem | None:
        """Take one for a rider, or the reason why not."""
        problem = _closed(offer, now) or self._spent(offer, rider_id) or self._hour(offer, slot_id, now)
        if problem is not None:
            return problem
        if rider_id in self.waiting:
            return problems.REDEMPTION_OPEN
        if self.available.get(rider_id, offer.price) < offer.price:
            return problems.POINTS_MISSING
        if offer.counted and self.free < 1:
            return problems.SOLD_OUT
        self.free -= offer.counted
        self.today += 1
        self.by_rider[rider_id] = self.by_rider.get(rider_id, 0) + 1
        self.by_rider_today[rider_id] = self.by_rider_today.get(rider_id, 0) + 1
        if slot_id is not None:
            self.in_slot[slot_id] = self.in_slot.get(slot_id, 0) + 1
        if offer.price > 0:
            self.waiting.add(rider_id)
        return None

    def _spent(self, offer: Offer, rider_id: UUID) -> Problem | None:
        """The quota that is used, or why the rider never had one."""
        if offer.companies and self.companies.get(rider_id) not in offer.companies:
            return problems.NOT_FOR_YOU
        if self.levels.get(rider_id, 0) < offer.least_level:
            return problems.LEVEL_TOO_LOW
        if offer.per_rider_max is not None and self.by_rider.get(rider_id, 0) >= offer.per_rider_max:
            return problems.RIDER_QUOTA_USED
        if offer.per_rider_day_max is not None and self.by_rider_today.get(rider_id, 0) >= offer.per_rider_day_max:
            return problems.RIDER_DAY_QUOTA_USED
        if offer.per_day_max is not None and self.today >= offer.per_day_max:
            return problems.DAY_QUOTA_USED
        return None

    def _hour(self, offer: Offer, slot_id: UUID | None, now: datetime) -> Problem | None:
        """Why there is no place at the hour that was agreed on."""
        if not offer.by_appointment and slot_id is None:
            return None
        slot = self.slots.get(slot_id) if slot_id is not None else None
        if slot is None or slot.offer_id != offer.id:
            return problems.SLOT_NEEDED
        if slot.starts_at <= now:
            return problems.SLOT_OVER
        if slot.taken + self.in_slot.get(slot.id, 0) >= slot.capacity:
            return problems.SLOT_FULL
        return None


def _closed(offer: Offer, now: datetime) -> Problem | None:
    if not offer.merchant_active:
        return problems.MERCHANT_INACTIVE
    if offer.closed_reason is not None:
        return problems.OFFER_CLOSED
    if not offer.valid_from <= now < offer.valid_until:
        return problems.NOT_VALID_NOW
    return None


def whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Whole days (UTC) within [since, until): where the first begins, where the last ends; none: both are `until`."""
    start, end = since.astimezone(UTC), until.astimezone(UTC)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if first < start:
        first += timedelta(days=1)
    last = end.replace(hour=0, minute=0, second=0, microsecond=0)
    return (first, last) if first < last else (end, end)


def is_open(opens_minute: int, closes_minute: int, local: datetime, weekdays: int = EVERY_DAY) -> bool:
    """Whether a counter takes vouchers at a local time; hours over midnight belong to the day on which they begin."""
    minute, day = local.hour * 60 + local.minute, local.weekday()
    today = opens_minute <= minute < closes_minute and weekdays >> day & 1
    since_yesterday = opens_minute <= minute + 1440 < closes_minute and weekdays >> (day - 1) % 7 & 1
    return bool(today or since_yesterday)


def new_code(random_below: Callable[[int], int]) -> str:
    """A one-time code, canonical form; `random_below(n)` must be cryptographic."""
    return "".join(ALPHABET[random_below(len(ALPHABET))] for _ in range(CODE_LENGTH))


def shown(code: str) -> str:
    """The code as people read it: XXXX-XXXX-XXXXX."""
    return "-".join(code[start:end] for start, end in _GROUPS)


def canonical(entered: str) -> str | None:
    """The code out of what was typed or scanned (any case, dashes, spaces, the QR's prefix); None: it can't be one."""
    text = entered.strip().upper().removeprefix(QR_PREFIX)
    code = "".join(symbol for symbol in text if symbol not in "- ")
    known: Collection[str] = ALPHABET
    return code if len(code) == CODE_LENGTH and all(symbol in known for symbol in code) else None
