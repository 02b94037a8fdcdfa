"""Operator routes that every service has for events that Kafka refuses: the list, another try, giving them up."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.events.outside import Words
from shared.kit.auth import Caller, CityOperator, allow
from shared.kit.operating.ops_parts import Serving
from shared.kit.postgres.db import begun, reading
from shared.kit.publishing import holds

log = structlog.get_logger(__name__)
LOGGED_MAX = 100
ID_MAX = 2**63 - 1

HoldId = Annotated[int, Field(ge=1, le=ID_MAX)]


class StuckOut(BaseModel):
    """Events of one key, or of a whole topic where `key` is null, that wait because Kafka refuses the first of them."""

    id: int
    topic: str
    key: str | None
    code: str
    detail: str
    tries: int
    since: AwareDatetime
    next_try_at: AwareDatetime | None = Field(description="null: it waits for an operator")
    events: int = Field(description="how many wait, counted to 10,000")


class StuckRetryIn(BaseModel):
    """Which of them are to be tried at once; without ids all."""

    model_config = ConfigDict(extra="forbid")
    ids: list[HoldId] | None = Field(None, max_length=10_000)
    reason: Words = Field(min_length=3, max_length=500)


class StuckDiscardIn(BaseModel):
    """Which to give up. Of a key it is the event that is refused; of a topic all that wait for it now."""

    model_config = ConfigDict(extra="forbid")
    ids: list[HoldId] = Field(min_length=1, max_length=10_000)
    reason: Words = Field(min_length=3, max_length=500)


def add_outbox_routes(router: APIRouter, base: str) -> None:
    """The list and what can be done about it."""

    @router.get(f"{base}/outbox/stuck")
    @allow(CityOperator)
    async def stuck(
        caller: Caller,
        service: Serving,
        after: Annotated[int, Query(ge=0, le=ID_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[StuckOut]:
        async with reading(service.pool) as conn:
            found = await holds.stuck(conn, after, limit)
        return [
            StuckOut(
                id=one.id, topic=one.topic, key=one.key, code=one.code, detail=one.detail, tries=one.tries,
                since=one.since, next_try_at=one.next_try_at, events=one.events,
            )
            for one in found
        ]  # fmt: skip

    @router.post(f"{base}/outbox/stuck/retry")
    @allow(CityOperator)
    async def retry_stuck(body: StuckRetryIn, caller: Caller, service: Serving) -> dict[str, int]:
        async with begun(service.pool) as conn:
            count = await holds.retry(conn, body.ids)
        log.info("outbox_stuck_retried", by=caller.actor, reason=body.reason, count=count)
        service.committed()
        return {"retried": count}

    @router.post(f"{base}/outbox/stuck/discard")
    @allow(CityOperator, timeout_s=30)
    async def discard_stuck(body: StuckDiscardIn, caller: Caller, service: Serving) -> dict[str, int]:
        async with begun(service.pool) as conn:
            gone = await holds.discard(conn, body.ids, by=caller.actor, reason=body.reason)
        log.warning(
            "outbox_stuck_discarded", by=caller.actor, reason=body.reason, events=gone[:LOGGED_MAX], count=len(gone)
        )
        service.committed()
        return {"discarded": len(gone)}
