"""Settlement: a merchant's months as data, as a file, on paper; donors; what was used where."""

import csv
import io
from datetime import date, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import AfterValidator, Field

from services.rewards import problems
from services.rewards.api.pages import statement_page
from services.rewards.api.parameters import merchant_id
from services.rewards.settings import Settings
from services.rewards.store import merchants, statements
from services.rewards.store.statements import Line, Statement, StatementState
from services.rewards.usecases import settling
from services.rewards.usecases.offline import Offline
from shared.events.outside import Words
from shared.kit.auth import (
    AnyOf,
    Caller,
    CityOperator,
    Company,
    Merchant,
    Person,
    Principal,
    Public,
    allow,
    policy_router,
)
from shared.kit.cells import neutral
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["statements"])
FAR = "9000-01-01"
DAYS_MAX, AREAS_MAX = 400, 10_000
_Id = Annotated[UUID, Path(alias="id")]
_Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]
_Owner = AnyOf(Merchant, CityOperator)


class MonthIn(Body):
    """A month of the city, YYYY-MM."""

    month: _Month


class WordsIn(Body):
    """Why it is disputed, what is answered, or how it was paid."""

    words: Annotated[Words, Field(min_length=1, max_length=500), AfterValidator(masked)]


class LineOut(Answer):
    """Vouchers of one offer at one price; points = (used - returned + doubles) · price."""

    offer_id: UUID
    offer_name: str
    price: int
    used: int
    returned: int
    doubles: int
    points: int


class SettlementOut(Answer):
    """A merchant's month. `returned`: undone in this month, whenever they were used. `doubles`: used before elsewhere,
    and borne by the programme."""

    id: UUID
    version: int
    merchant_id: UUID
    month: date
    used: int
    returned: int
    doubles: int
    points: int
    digest: str
    state: StatementState
    dispute: str | None
    answer: str | None
    payment: str | None


class SettlementWhole(SettlementOut):
    """With its lines, and what proves it: `stamp` is signed with that key of /v1/vouchers/key which has `key_id`."""

    lines: list[LineOut]
    stamp: str
    key_id: str
    signature: str


class GenuineOut(Answer):
    """Whether the city closed a statement with this digest, and what has become of it."""

    genuine: bool
    state: StatementState | None
    points: int | None


class DonorOut(Answer):
    """What somebody gave, and thanks for it."""

    donor: str
    offers: int
    given: int
    used: int
    left: int
    thanks: str


class AreaUseOut(Answer):
    """Vouchers that merchants of an area took, and their points."""

    area_code: str
    vouchers: int
    points: int


class CompanyUseOut(Answer):
    """What a company's riders used in a month; null: fewer than five of them did."""

    month: str
    riders: int | None
    vouchers: int | None
    points: int | None


class UseOut(Answer):
    """What was used where in [from, to), whole days (UTC)."""

    areas: list[AreaUseOut]


@router.post("/v1/merchants/{id}/statements")
@allow(CityOperator, refuses=(NOT_FOUND, problems.MONTH_NOT_OVER, problems.LEDGER_DIFFERS))
async def close_month(
    id_: _Id, body: MonthIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> SettlementOut:
    """Close a merchant's month, once the ledger has paid for it; again: the same statement."""
    first = date.fromisoformat(f"{body.month}-01")
    async with service.work() as work:
        made = await settling.close(work, settings.city_zone, id_, first, caller.id)
    return SettlementOut.model_validate(made)


@router.get("/v1/merchants/{id}/statements")
@allow(_Owner, refuses=(NOT_FOUND,))
async def list_statements(id_: _Id, caller: Caller, conn: Reading, asked: Asked) -> Page[SettlementOut]:
    """A merchant's closed months, the newest first."""
    _own(caller, id_)
    found = await statements.of_merchant(conn, id_, date.fromisoformat(asked.after(str) or FAR), asked.rows)
    return asked.page(found, SettlementOut.model_validate, lambda one: one.month.isoformat())


@router.get("/v1/statements/by-area")
@allow(CityOperator, refuses=(problems.BAD_PERIOD,))
async def use_by_area(
    since: Annotated[date, Query(alias="from")], until: Annotated[date, Query(alias="to")], conn: Reading
) -> UseOut:
    """What was used where, whole days (UTC), at most 400 of them."""
    if not timedelta(0) < until - since <= timedelta(days=DAYS_MAX):
        raise problems.BAD_PERIOD(f"from before to, at most {DAYS_MAX} days")
    found = await statements.by_area(conn, since, until, AREAS_MAX)
    return UseOut(areas=[AreaUseOut.model_validate(one) for one in found])


@router.get("/v1/statements/company")
@allow(Company, refuses=(problems.MONTH_NOT_OVER,))
async def use_by_company(
    month: _Month, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> CompanyUseOut:
    """What a company's own riders used in a month that is over: totals, and none where fewer than five riders did.

    Whole months alone, and what was said first stays: from two periods that overlap, or from a month before and after
    something was undone, one rider's use could be told.
    """
    first = date.fromisoformat(f"{month}-01")
    async with service.work() as work:
        found = await settling.of_company(work, settings.city_zone, caller.company_code, first)
    return CompanyUseOut(month=month, riders=found.riders, vouchers=found.vouchers, points=found.points)


@router.get("/v1/statements/donors")
@allow(Person)
async def list_donors(conn: Reading, asked: Asked) -> Page[DonorOut]:
    """Who gave what, how much of it was used, and thanks; by name."""
    found = await statements.donors(conn, asked.after(str) or "", asked.rows)
    return asked.page(found, DonorOut.model_validate, lambda one: one.donor)


@router.get("/v1/statements/{id}")
@allow(_Owner, refuses=(NOT_FOUND,))
async def read_settlement(id_: _Id, caller: Caller, conn: Reading, desk: Given[Offline]) -> SettlementWhole:
    """One statement with its lines."""
    found, lines = await _whole(caller, conn, id_)
    stamp = settling.stamp(found)
    values = SettlementOut.model_validate(found).model_dump()
    shown = [LineOut.model_validate(line) for line in lines]
    signature = desk.signer.sign(stamp)
    return SettlementWhole(**values, lines=shown, stamp=stamp, key_id=desk.signer.key_id, signature=signature)


@router.get("/v1/statements/{id}/file.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
@allow(_Owner, refuses=(NOT_FOUND,))
async def settlement_file(id_: _Id, caller: Caller, conn: Reading) -> Response:
    """The same as a file for spreadsheets; a cell that would be a formula begins with '."""
    found, lines = await _whole(caller, conn, id_)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("offer_id", "offer", "price", "used", "returned", "doubles", "points"))
    for line in lines:
        cells = line.price, line.used, line.returned, line.doubles, line.points
        writer.writerow((line.offer_id, neutral(line.offer_name), *cells))
    writer.writerow(("", "total", "", found.used, found.returned, found.doubles, found.points))
    name = f"statement-{found.month:%Y-%m}.csv"
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/v1/statements/{id}/page", response_class=Response, responses={200: {"content": {"text/html": {}}}})
@allow(_Owner, refuses=(NOT_FOUND,))
async def settlement_page(
    id_: _Id, request: Request, caller: Caller, conn: Reading, desk: Given[Offline], settings: Given[Settings],
    lang: Literal["zh", "en"] = "zh",
) -> Response:  # fmt: skip
    """The same to be printed; Chinese, or `lang=en`."""
    found, lines = await _whole(caller, conn, id_)
    owner = await merchants.merchant(conn, found.merchant_id)
    assert owner is not None, "a statement refers to its merchant"
    base = (settings.front_door or str(request.base_url)).rstrip("/")
    signed = f"{desk.signer.key_id}:{desk.signer.sign(settling.stamp(found))}"
    return statement_page(settings, lang, base, owner, found, lines, signed)


@router.get("/v1/statements/{id}/verify")
@allow(Public)
async def verify_settlement(
    id_: _Id, digest: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")], conn: Reading
) -> GenuineOut:
    """Whether a printed statement is genuine; who hasn't its digest learns nothing of it."""
    found = await statements.statement(conn, id_)
    if found is None or found.digest != digest:
        return GenuineOut(genuine=False, state=None, points=None)
    return GenuineOut(genuine=True, state=found.state, points=found.points)


@router.post("/v1/statements/{id}/dispute")
@allow(Merchant, body_max=2_000, refuses=(NOT_FOUND, problems.STATEMENT_MOVED_ON))
async def dispute(id_: _Id, body: WordsIn, caller: Caller, service: CurrentService) -> SettlementOut:
    """The merchant says what is wrong with a statement that isn't paid."""
    async with service.work() as work:
        found = await statements.statement(work.conn, id_)
        if found is None or found.merchant_id != merchant_id(caller):
            raise not_found("statement")
        made = await settling.step(work, "dispute", id_, body.words, caller.id)
    return SettlementOut.model_validate(made)


@router.post("/v1/statements/{id}/answer")
@allow(CityOperator, body_max=2_000, refuses=(NOT_FOUND, problems.STATEMENT_MOVED_ON))
async def answer(id_: _Id, body: WordsIn, caller: Caller, service: CurrentService) -> SettlementOut:
    """Answer a dispute. What was wrong is put right by undoing vouchers, which a later month returns."""
    async with service.work() as work:
        made = await settling.step(work, "answer", id_, body.words, caller.id)
    return SettlementOut.model_validate(made)


@router.post("/v1/statements/{id}/payment")
@allow(CityOperator, body_max=2_000, refuses=(NOT_FOUND, problems.STATEMENT_MOVED_ON))
async def pay(id_: _Id, body: WordsIn, caller: Caller, service: CurrentService) -> SettlementOut:
    """Note how a statement was paid, once."""
    async with service.work() as work:
        made = await settling.step(work, "pay", id_, body.words, caller.id)
    return SettlementOut.model_validate(made)


async def _whole(caller: Principal, conn: Connection, id_: UUID) -> tuple[Statement, list[Line]]:
    found = await statements.statement(conn, id_)
    if found is None or not (caller.has("operator") or merchant_id(caller) == found.merchant_id):
        raise not_found("statement")
    return found, await statements.lines_of(conn, id_)


def _own(caller: Principal, id_: UUID) -> None:
    if not caller.has("operator") and merchant_id(caller) != id_:
        raise not_found("merchant")
