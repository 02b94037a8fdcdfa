"""Counters without network: fetch a signed list, say later what was taken from it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from services.rewards import problems
from services.rewards.api.parameters import FIRST_ID, merchant_id
from services.rewards.domain import TakingOutcome
from services.rewards.store import offline as store
from services.rewards.store.offline import Taking
from services.rewards.usecases import offline
from services.rewards.usecases.offline import Offline, Taken
from services.rewards.usecases.vouchers import Counter
from shared.events.common import AnyZone
from shared.events.outside import Code
from shared.kit.auth import Caller, CityOperator, Merchant, Public, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["vouchers"])
LISTS_PER_MINUTE, UPLOADS_PER_MINUTE = 30, 120
"""Of a merchant. An upload may be sent once more, when the network goes before its answer."""


class PaperOut(Answer):
    """A list: `text` is JSON, as it was signed. A code is on it whose PBKDF2-HMAC-SHA-256 (`rounds`, 16 bytes, the
    list's id as 16 bytes of salt) is among its `entries`. An entry is taken from `opens_minute` to `closes_minute` of
    the city's day (more than 1440: after midnight) on its `weekdays` (bit 0 is Monday), or from 15 minutes before
    `from` where it has one."""

    text: str
    signature: str = Field(description="Ed25519 of the text's UTF-8, base64")
    key_id: str = Field(description="which of /v1/vouchers/key has signed it; the text says it too")
    key: str = Field(description="the public key, base64; compare it with the one that was fetched before")


class PublishedKeyOut(Answer):
    """A public key: Ed25519, 32 bytes in base64."""

    id: str
    key: str


class KeyOut(Answer):
    """The keys of lists and statements. `key` signs now; `keys` are all that still verify, that one first."""

    key: str
    keys: list[PublishedKeyOut]


class TakenIn(Body):
    """A code that was taken without network, and when by the counter's clock."""

    code: Code = Field(min_length=1, max_length=80)
    taken_at: AnyZone


class TakingsIn(Body):
    """All that was taken from a list, in order. `count` says how many, so that none is lost on the way."""

    count: Annotated[int, Field(ge=0, le=5_000)]
    items: Annotated[list[TakenIn], Field(max_length=5_000)]


class TakingOut(Answer):
    """What came of one line. `borne_by`: who bears the gift that was handed over for it, where it was no sale."""

    line: int
    redemption_id: UUID | None
    outcome: TakingOutcome
    borne_by: Literal["programme", "merchant"] | None
    first_at: datetime | None = Field(description="of a voucher that had been used: when")


class SettledOut(Answer):
    """What came of a list: one result a line, in order."""

    list_id: UUID
    items: list[TakingOut]


class DoubleOut(TakingOut):
    """A voucher that was used twice: here, and before at `first_merchant_id`."""

    list_id: UUID
    merchant_id: UUID
    first_merchant_id: UUID | None
    taken_at: datetime
    points: int


@router.get("/v1/vouchers/key")
@allow(Public)
async def read_key(desk: Given[Offline]) -> KeyOut:
    """What a counter verifies lists with, and anybody a statement."""
    keys = [PublishedKeyOut.model_validate(one) for one in desk.signer.published]
    return KeyOut(key=desk.signer.public, keys=keys)


@router.post("/v1/vouchers/lists", status_code=201)
@allow(Merchant, refuses=(NOT_FOUND, problems.NOT_STAFF, problems.LISTS_OPEN), timeout_s=20.0)
async def make_list(caller: Caller, service: CurrentService, desk: Given[Offline]) -> PaperOut:
    """A list of the vouchers that the merchant may take without network. Until it is settled they don't expire."""
    own_id = merchant_id(caller)
    if service.limiter is not None:
        await service.limiter.check(f"list:{own_id}", per_minute=LISTS_PER_MINUTE)
    async with service.work() as work:
        made = await offline.make(desk, work, own_id, caller.id)
    paper = await offline.write(desk, made)
    return PaperOut(text=paper.text, signature=paper.signature, key_id=paper.key_id, key=paper.key)


@router.post("/v1/vouchers/lists/{list_id}/takings")
@allow(
    Merchant,
    body_max=800_000,
    timeout_s=20.0,
    refuses=(NOT_FOUND, problems.NOT_STAFF, problems.LIST_SETTLED, problems.COUNT_DIFFERS),
    writes=True,
)
async def upload(
    list_id: UUID,
    body: TakingsIn,
    caller: Caller,
    service: CurrentService,
    desk: Given[Offline],
    counter: Given[Counter],
) -> SettledOut:
    """Settle a list with all that was taken from it, once; the same again gets the same answer."""
    own_id = merchant_id(caller)
    if service.limiter is not None:
        await service.limiter.check(f"takings:{own_id}", per_minute=UPLOADS_PER_MINUTE)
    if body.count != len(body.items):
        raise problems.COUNT_DIFFERS()
    taken = [Taken(one.code, one.taken_at) for one in body.items]
    async with service.work() as work:
        lines = await offline.take(desk, counter, work, own_id, list_id, taken, caller.id)
    return SettledOut(list_id=list_id, items=[TakingOut.model_validate(one) for one in lines])


@router.get("/v1/vouchers/doubles")
@allow(CityOperator)
async def list_doubles(conn: Reading, asked: Asked) -> Page[DoubleOut]:
    """Vouchers that were used twice, where and when, and who bears it; by list and line."""
    found = await store.doubles(conn, asked.after(UUID, int) or (FIRST_ID, -1), asked.rows)
    return asked.page(found, DoubleOut.model_validate, _place)


def _place(one: Taking) -> tuple[UUID, int]:
    return one.list_id, one.line
