"""HTTP: companies and their signing keys, for operators."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel

from services.riders import domain, problems, store, usecases
from services.riders.api.conventions import Name
from shared.events.common import CompanyCode
from shared.kit.auth import CityOperator, Sealer, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.refusals import Refusal
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["companies"])
KEYS_SHOWN = 100
"""Of years of rotations; far more than may be good at a time."""
OverlapHours = Annotated[float | None, Query(ge=0, le=24 * 31, description="then the older keys end by themselves")]


class CompanyIn(Body):
    """A new company."""

    code: CompanyCode
    name: Name


class CompanyUpdateIn(Body):
    """The company's whole changeable state; `active` false suspends it."""

    name: Name
    active: bool


class CompanyOut(Answer):
    """A company."""

    company_id: UUID
    code: str
    name: str
    active: bool
    version: int


class KeyOut(Answer):
    """A signing key. `secret` (`whsec_` and base64) is shown once; a repeated request gets null."""

    company: str
    key_id: UUID
    secret: str | None


class CompanyCreatedOut(CompanyOut):
    """A new company with its first signing key, shown once."""

    key: KeyOut


class KeyStateOut(Answer):
    """A signing key without its content."""

    key_id: UUID
    active: bool
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None


class CompanyDetailOut(CompanyOut):
    """A company and its newest keys, without their content; those that are good are always among them."""

    keys: list[KeyStateOut]


class CompanyRiderOut(Answer):
    """A rider of a company; who it is stays with the rider."""

    rider_id: UUID
    external_id: str
    active: bool


@router.post("/v1/companies", status_code=201, response_model=CompanyCreatedOut)
@allow(CityOperator, refuses=(problems.COMPANY_EXISTS,), writes=True)
async def create_company(body: CompanyIn, service: CurrentService, sealer: Given[Sealer]) -> Response:
    """Register a company. The signing key in the answer is shown only this once; lost: make a new one."""
    async with service.work() as work:
        made = await usecases.create_company(work, sealer, body.code, body.name)
    if isinstance(made, Refusal):
        raise made
    key = KeyOut(company=body.code, key_id=made.key_id, secret=made.secret)
    return _once(CompanyCreatedOut.model_validate({**_company_fields(made.company), "key": key}))


@router.get("/v1/companies")
@allow(CityOperator)
async def list_companies(conn: Reading, asked: Asked) -> Page[CompanyOut]:
    """Companies by code."""
    found = await store.companies(conn, asked.after(str) or "", asked.rows)
    return asked.page(found, CompanyOut.model_validate, lambda company: company.code)


@router.get("/v1/companies/{code}")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def read_company(code: CompanyCode, conn: Reading) -> CompanyDetailOut:
    """One company and its keys."""
    company = (await store.companies_by_code(conn, [code])).get(code)
    if company is None:
        raise not_found("company")
    keys = await store.keys(conn, company.company_id, KEYS_SHOWN)
    states = [
        KeyStateOut(key_id=key.key_id, active=key.active, created_at=key.created_at, expires_at=key.expires_at)
        for key in keys
    ]
    return CompanyDetailOut.model_validate({**_company_fields(company), "keys": states})


@router.get("/v1/companies/{code}/riders")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def list_riders(code: CompanyCode, conn: Reading, asked: Asked) -> Page[CompanyRiderOut]:
    """A company's riders by its own numbers, without those that are erased."""
    if code not in await store.companies_by_code(conn, [code]):
        raise not_found("company")
    found = await store.riders_of(conn, code, asked.after(str) or "", asked.rows)
    return asked.page(found, CompanyRiderOut.model_validate, lambda rider: rider.external_id)


@router.put("/v1/companies/{code}")
@allow(CityOperator, refuses=(NOT_FOUND,), writes=True)
async def update_company(code: CompanyCode, body: CompanyUpdateIn, service: CurrentService) -> CompanyOut:
    """Rename, suspend or resume a company."""
    async with service.work() as work:
        company = await usecases.update_company(work, code, body.name, body.active)
    if company is None:
        raise not_found("company")
    return CompanyOut.model_validate(_company_fields(company))


@router.post("/v1/companies/{code}/keys", status_code=201, response_model=KeyOut)
@allow(
    CityOperator,
    refuses=(
        NOT_FOUND,
        problems.TOO_MANY_KEYS,
    ),
    writes=True,
)
async def add_key(
    code: CompanyCode,
    attempt: Idempotent,
    service: CurrentService,
    sealer: Given[Sealer],
    overlap_hours: OverlapHours = None,
) -> Response:
    """A new signing key, shown once. The older keys stay valid until they are revoked, or for the hours stated."""
    overlap = None if overlap_hours is None else timedelta(hours=overlap_hours)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await usecases.add_key(work, sealer, code, overlap)
        if made is None:
            raise not_found("company")
        if isinstance(made, Refusal):
            raise made
        # What is remembered for repeats must not hold the secret
        await attempt.store(work.conn, 201, KeyOut(company=code, key_id=made.key_id, secret=None))
    return _once(KeyOut(company=code, key_id=made.key_id, secret=made.secret))


@router.delete("/v1/companies/{code}/keys/{key_id}", status_code=204)
@allow(CityOperator, refuses=(NOT_FOUND,))
async def revoke_key(code: CompanyCode, key_id: UUID, service: CurrentService) -> None:
    """End a key; within seconds no service accepts it."""
    async with service.work() as work:
        revoked = await usecases.revoke_key(work, code, key_id)
    if not revoked:
        raise not_found("active key")


def _once(body: BaseModel) -> Response:
    """An answer with a secret: no cache may keep it."""
    return JSONResponse(body.model_dump(mode="json"), 201, {"Cache-Control": "no-store"})


def _company_fields(company: domain.Company) -> dict[str, object]:
    return {
        "company_id": company.company_id,
        "code": company.code,
        "name": company.name,
        "active": company.active,
        "version": company.version,
    }
