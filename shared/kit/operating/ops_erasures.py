"""CityOperator routes that every service has for riders who left: how far it is, and the list that a restore needs."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from shared.kit.auth import Caller, CityOperator, allow
from shared.kit.operating.ops_parts import Serving
from shared.kit.postgres.db import reading
from shared.kit.privacy import erasure


class ErasureOut(BaseModel):
    """One rider at one service. `heard_at` null: the order has not come here; `done_at` null: something may be left."""

    service: str
    rider_id: UUID
    erased_at: AwareDatetime | None
    heard_at: AwareDatetime | None
    done_at: AwareDatetime | None


class ErasedOut(BaseModel):
    """One line of the list of erased riders."""

    rider_id: UUID
    number: str = Field(description="mark that recognises the company's number of the rider")
    erased_at: AwareDatetime
    done_at: AwareDatetime | None


class ErasedListOut(BaseModel):
    """A page by rider id; `next` asks for the following one."""

    items: list[ErasedOut]
    next: UUID | None


def erasure_routes(router: APIRouter, base: str) -> None:
    """The routes of one service."""

    @router.get(base + "/erasures")
    @allow(CityOperator, timeout_s=30)
    async def erasures(
        caller: Caller, service: Serving, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 1000
    ) -> ErasedListOut:
        async with reading(service.pool) as conn:
            rows = await erasure.page(conn, after or UUID(int=0), limit)
        items = [ErasedOut(**{name: row[name] for name in ErasedOut.model_fields}) for row in rows]
        return ErasedListOut(items=items, next=items[-1].rider_id if len(items) == limit else None)

    @router.get(base + "/erasures/{rider_id}")
    @allow(CityOperator)
    async def erasure_of(rider_id: UUID, caller: Caller, service: Serving) -> ErasureOut:
        async with reading(service.pool) as conn:
            state = await erasure.state_of(conn, rider_id)
        times: dict[str, Any] = {"erased_at": None, "heard_at": None, "done_at": None}
        if state is not None:
            times = {"erased_at": state.erased_at, "heard_at": state.heard_at, "done_at": state.done_at}
        return ErasureOut(service=service.name, rider_id=rider_id, **times)
