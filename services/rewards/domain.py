"""When an offer can be had, what a voucher's code looks like. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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

    def take(self, offer: Offer, rider_id: UUID, now: datetime) -> Problem | None:
        """Take one for a rider, or the reason why not."""
        mine = self.by_rider.get(rider_id, 0)
        if not offer.merchant_active:
            return problems.MERCHANT_INACTIVE
        if offer.closed_reason is not None:
            return problems.OFFER_CLOSED
        if not offer.valid_from <= now < offer.valid_until:
            return problems.NOT_VALID_NOW
        if offer.per_rider_max is not None and mine >= offer.per_rider_max:
            return problems.RIDER_QUOTA_USED
        if offer.per_day_max is not None and self.today >= offer.per_day_max:
            return problems.DAY_QUOTA_USED
        if rider_id in self.waiting:
            return problems.REDEMPTION_OPEN
        if self.available.get(rider_id, offer.price) < offer.price:
            return problems.POINTS_MISSING
        if self.free < 1:
            return problems.SOLD_OUT
        self.free -= 1
        self.today += 1
        self.by_rider[rider_id] = mine + 1
        if offer.price > 0:
            self.waiting.add(rider_id)
        return None


def whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Whole days (UTC) within [since, until): where the first begins, where the last ends; none: both are `until`."""
    start, end = since.astimezone(UTC), until.astimezone(UTC)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if first < start:
        first += timedelta(days=1)
    last = end.replace(hour=0, minute=0, second=0, microsecond=0)
    return (first, last) if first < last else (end, end)


def is_open(opens_minute: int, closes_minute: int, local: datetime) -> bool:
    """Whether a counter takes vouchers at a local time; hours may reach over midnight."""
    minute = local.hour * 60 + local.minute
    return opens_minute <= minute < closes_minute or opens_minute <= minute + 1440 < closes_minute


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
