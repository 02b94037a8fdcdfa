"""Operator routes that every service has for topics it stands still on: the list, burying on, counting from nothing."""

from typing import Annotated

import structlog
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.events.outside import Code, Words
from shared.kit.auth import Caller, CityOperator, allow
from shared.kit.letters import letter_limit
from shared.kit.operating.ops_parts import Serving
from shared.kit.postgres.db import begun, reading

log = structlog.get_logger(__name__)
LETTERS_MAX = 1_000_000

TopicName = Annotated[Code, Field(max_length=249)]


class StandingOut(BaseModel):
    """A topic that processes of the service leave where it is, since too many of its records failed alike."""

    model_config = ConfigDict(from_attributes=True)
    topic: str
    cause: str = Field(description="the letters' code; of what a handler raised with the error's class")
    used: float = Field(description="dead letters for this reason, less what was given back")
    granted: int = Field(description="letters that an operator lets be buried besides")
    stands_since: AwareDatetime
    stood_at: AwareDatetime = Field(description="when it was last tried in vain")


class BuryOnIn(BaseModel):
    """How many letters more of a topic that stands still may be buried within a day. Without a cause: for each."""

    model_config = ConfigDict(extra="forbid")
    topic: TopicName
    cause: Annotated[Words, Field(max_length=letter_limit.CAUSE_LENGTH_MAX)] | None = None
    letters: int = Field(ge=1, le=LETTERS_MAX)
    reason: Words = Field(min_length=3, max_length=500)


class BeginAgainIn(BaseModel):
    """A topic whose fault has gone: its letters are counted from nothing."""

    model_config = ConfigDict(extra="forbid")
    topic: TopicName
    reason: Words = Field(min_length=3, max_length=500)


class StandingDone(BaseModel):
    """The reasons that this has changed; none: the topic doesn't stand still."""

    causes: list[str]


def add_standing_routes(router: APIRouter, base: str) -> None:
    """The list and what can be done about it."""

    @router.get(f"{base}/standing")
    @allow(CityOperator)
    async def standing(caller: Caller, service: Serving) -> list[StandingOut]:
        async with reading(service.pool) as conn:
            return [StandingOut.model_validate(one) for one in await letter_limit.standing(conn)]

    @router.post(f"{base}/standing/bury")
    @allow(CityOperator)
    async def bury_on(body: BuryOnIn, caller: Caller, service: Serving) -> StandingDone:
        async with begun(service.pool) as conn:
            causes = await letter_limit.grant(
                conn, body.topic, body.cause, body.letters, by=caller.actor, reason=body.reason
            )
        log.warning(
            "burial_granted", by=caller.actor, reason=body.reason, topic=body.topic, letters=body.letters, causes=causes
        )
        return StandingDone(causes=causes)

    @router.post(f"{base}/standing/retry")
    @allow(CityOperator)
    async def begin_again(body: BeginAgainIn, caller: Caller, service: Serving) -> StandingDone:
        async with begun(service.pool) as conn:
            causes = await letter_limit.begin_again(conn, body.topic, by=caller.actor, reason=body.reason)
        log.info("allowance_renewed", by=caller.actor, reason=body.reason, topic=body.topic, causes=causes)
        return StandingDone(causes=causes)
