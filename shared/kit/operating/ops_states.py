"""The operator's routes that publish a topic's states once more."""

from typing import Annotated

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from shared.events.outside import Code, Words
from shared.kit.auth import Caller, CityOperator, allow
from shared.kit.operating.ops_parts import Serving
from shared.kit.postgres.db import reading
from shared.kit.problems import NOT_FOUND, VALIDATION_FAILED, ServiceBusy, not_found
from shared.kit.publishing import relay

log = structlog.get_logger(__name__)
# Counting reads every row of the producer's table.
COUNT_TIMEOUT_S = 120.0
PAGE_MAX = 1_000


class StatesOut(BaseModel):
    """A topic that keeps the latest state of each key, and what publishing all of them would say now."""

    topic: str
    states: int
    tombstones: int = Field(description="keys that have left: they are said to be gone once more")


class PublishStatesIn(BaseModel):
    """The next page of which topic, and why."""

    model_config = ConfigDict(extra="forbid")
    topic: Annotated[Code, Field(max_length=249)]
    after: Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]*$")] = Field(
        "", description="`last` of the page before; empty: from the first"
    )
    most: int = Field(200, ge=1, le=PAGE_MAX, description="rows of a page, which are locked together")
    reason: Words = Field(min_length=3, max_length=500)


class StatesPublishedOut(BaseModel):
    """What one page has put into the outbox. Asking for the same page again changes nothing for readers."""

    states: int
    tombstones: int
    left_out: int = Field(description="rows of which no state can be made; the runbook says which these are")
    last: str | None = Field(description="where the next page begins; null: that was the last")
    outbox_rows: int = Field(description="events that wait for Kafka now")


def states_routes(router: APIRouter, base: str) -> None:
    """What there is to publish, and a page of it."""

    @router.get(f"{base}/states")
    @allow(CityOperator, timeout_s=COUNT_TIMEOUT_S)
    async def states(caller: Caller, service: Serving) -> list[StatesOut]:
        found = []
        async with reading(service.pool) as conn:
            for name, one in sorted(service.states.items()):
                counted = await one.count(conn)
                found.append(StatesOut(topic=name, states=counted.states, tombstones=counted.tombstones))
        return found

    @router.post(f"{base}/states/publish")
    @allow(CityOperator, timeout_s=30, refuses=(NOT_FOUND, VALIDATION_FAILED))
    async def publish_states(body: PublishStatesIn, caller: Caller, service: Serving) -> StatesPublishedOut:
        if (one := service.states.get(body.topic)) is None:
            raise not_found("topic with states of this service")
        if service.overloaded():
            raise ServiceBusy("too many events wait for Kafka: go on when they have left", retry_after_s=5)
        async with service.work() as work:
            try:
                page = await one.publish(work, body.after, body.most)
            except ValueError as error:
                raise VALIDATION_FAILED(f"no key of {body.topic}", field="after") from error
            tombstones = sum(row.payload is None for row in work.rows)
            states = len(work.rows) - tombstones
        async with reading(service.pool) as conn:
            waiting = await relay.waiting(conn)
        log.info(
            "states_published", by=caller.actor, reason=body.reason, topic=body.topic, after=body.after, states=states,
            tombstones=tombstones, left_out=page.left_out,
        )  # fmt: skip
        return StatesPublishedOut(
            states=states, tombstones=tombstones, left_out=page.left_out, last=page.last, outbox_rows=waiting
        )
