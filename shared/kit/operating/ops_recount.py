"""The operator's route that compares kept numbers with history."""

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from shared.events.outside import Words
from shared.kit.auth import Caller, CityOperator, allow
from shared.kit.operating.ops_parts import Serving
from shared.kit.postgres import counters
from shared.kit.postgres.db import begun

log = structlog.get_logger(__name__)


class RecountIn(BaseModel):
    """Whether to put kept numbers right, and why."""

    model_config = ConfigDict(extra="forbid")
    correct: bool = False
    reason: Words = Field(min_length=3, max_length=500)


class DifferenceOut(BaseModel):
    """A number that is kept, and what counting all of history gives."""

    model_config = ConfigDict(from_attributes=True)
    what: str
    label: str
    kept: int
    counted: int


class RecountOut(BaseModel):
    """Where kept numbers differ from history: nowhere, in a sound schema. `corrected`: how many were put right."""

    differences: list[DifferenceOut]
    corrected: int


def recount_route(router: APIRouter, base: str) -> None:
    """POST `<base>/recount`."""

    @router.post(f"{base}/recount")
    @allow(CityOperator, timeout_s=counters.RECOUNT_TIMEOUT_S)
    async def recount(body: RecountIn, caller: Caller, service: Serving) -> RecountOut:
        async with begun(service.pool) as conn:
            found = await counters.differences(conn)
            wrong = counters.correctable(found) if body.correct else []
            if wrong:
                await counters.correct(conn, wrong)
        log.info("recounted", by=caller.actor, reason=body.reason, differences=len(found), corrected=len(wrong))
        return RecountOut(differences=[DifferenceOut.model_validate(one) for one in found], corrected=len(wrong))
