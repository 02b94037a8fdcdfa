"""Operator routes that every service has, at /ops/<service>/…: its state, its dead letters, their replay."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.kit import dead_letters
from shared.kit.auth import Caller, Operator, Public, allow, policy_router, sealing_keys
from shared.kit.db import ACQUIRE_TIMEOUT_S

log = structlog.get_logger(__name__)


class StatusOut(BaseModel):
    """A service's state: counts of rows and records, ages in seconds."""

    service: str
    outbox_rows: int
    dead_letters: dict[str, int] = Field(description="open ones by `<topic> <status>`")
    lag_records: dict[str, int] = Field(description="by topic")
    tallies: dict[str, int] = Field(description="figures of the service's own, for reconciliation")
    problems: dict[str, str] = Field(description="what is wrong now; empty: nothing")


class SealingKeyOut(BaseModel):
    """A sealing key of the process' setting. `secrets`: how many in the schema it has sealed."""

    id: str
    made_at: AwareDatetime | None
    secrets: int


class KeysOut(BaseModel):
    """What the process has of keys, never a secret. `sealing`: the first seals, all unseal."""

    sealing: list[SealingKeyOut]
    unknown: int = Field(description="sealed secrets that none of these keys opens")
    issuer: list[str] = Field(description="ids of the token issuer's keys, as last fetched")


class DeadLetterOut(BaseModel):
    """An open dead letter without its content, which may be personal."""

    id: int
    topic: str
    partition: int
    offset: int
    key: str
    status: str
    code: str
    detail: str
    attempts: int
    created_at: str


class DeadLetterContent(DeadLetterOut):
    """One dead letter with its content, for the operator who mends it."""

    headers: list[tuple[str, str | None]]
    value: str


class ReplayIn(BaseModel):
    """Which letters, and why. Without ids: all of the topic, or all."""

    model_config = ConfigDict(extra="forbid")
    ids: list[int] | None = Field(None, max_length=10_000)
    topic: str | None = None
    reason: str = Field(min_length=3, max_length=500)


class DiscardIn(BaseModel):
    """Which letters to give up, and why."""

    model_config = ConfigDict(extra="forbid")
    ids: list[int] = Field(min_length=1, max_length=10_000)
    reason: str = Field(min_length=3, max_length=500)


class OutcomeOut(BaseModel):
    """One key's letters: replayed together, or still failing with the reason."""

    topic: str
    key: str
    ids: list[int]
    done: bool
    detail: str


def _service(request: Request) -> Any:
    return request.app.state.service


Serving = Annotated[Any, Depends(_service)]


def ops_router(name: str) -> APIRouter:
    """The routes of one service."""
    router = policy_router(tags=["operations"])
    _status_routes(router, f"/ops/{name}")
    _key_routes(router, f"/ops/{name}")
    _dead_letter_routes(router, f"/ops/{name}")
    return router


def _status_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/status")
    @allow(Operator, limited=False, timeout_s=30)
    async def status(caller: Caller, service: Serving) -> StatusOut:
        async with service.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            letters = await dead_letters.open_counts(conn)
            rows = await conn.fetchval(SQL_OUTBOX_ROWS)
            tallies = await service.figures(conn)
        return StatusOut(
            service=service.name,
            outbox_rows=rows,
            dead_letters={f"{topic} {state}": n for (topic, state), n in letters.items()},
            lag_records={topic: await consumer.measure() for topic, consumer in service.consumers.items()},
            tallies=tallies,
            problems=await service.troubles(),
        )

    @router.get(f"{base}/readyz", include_in_schema=False)
    @allow(Public, limited=False)
    async def ready(service: Serving) -> dict[str, str]:
        problems: dict[str, str] = await service.ready()
        return problems


def _key_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/keys")
    @allow(Operator, timeout_s=30)
    async def keys(caller: Caller, service: Serving) -> KeysOut:
        found = await service.sealed()
        return KeysOut(
            sealing=[
                SealingKeyOut(id=key.id, made_at=key.made_at, secrets=found[key.id])
                for key in sealing_keys(service.settings.sealing_key.get_secret_value())
            ],
            unknown=found["unknown"],
            issuer=service.jwks.known(),
        )

    @router.post(f"{base}/keys/reseal")
    @allow(Operator, timeout_s=30)
    async def reseal(caller: Caller, service: Serving) -> dict[str, int]:
        found = await service.sealed(anew=True)
        first = sealing_keys(service.settings.sealing_key.get_secret_value())[0].id
        return {"resealed": sum(found.values()) - found[first] - found["unknown"]}


def _dead_letter_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/dead-letters")
    @allow(Operator)
    async def letters(
        caller: Caller,
        service: Serving,
        topic: str | None = None,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[DeadLetterOut]:
        async with service.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            found = await dead_letters.open_letters(conn, topic, after, limit)
        return [DeadLetterOut(**_shown(letter)) for letter in found]

    @router.get(base + "/dead-letters/{letter_id}")
    @allow(Operator)
    async def letter(letter_id: int, caller: Caller, service: Serving) -> list[DeadLetterContent]:
        async with service.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            found = await dead_letters.open_letters(conn, None, letter_id - 1, 1)
        return [
            DeadLetterContent(
                **_shown(letter),
                headers=[(n, None if v is None else v.decode("utf-8", "replace")) for n, v in letter.record.headers],
                value=(letter.record.value or b"").decode("utf-8", "replace")[:100_000],
            )
            for letter in found
            if letter.id == letter_id
        ]

    @router.post(f"{base}/dead-letters/replay")
    @allow(Operator, timeout_s=120)
    async def replay(body: ReplayIn, caller: Caller, service: Serving) -> list[OutcomeOut]:
        outcomes = await service.replayer.replay(body.topic, body.ids, by=caller.actor, reason=body.reason)
        done = [id_ for outcome in outcomes if outcome.done for id_ in outcome.ids]
        log.info("dead_letters_replayed", by=caller.actor, reason=body.reason, ids=done[:LOGGED_MAX], count=len(done))
        service.committed()
        return [OutcomeOut(topic=o.topic, key=o.key, ids=list(o.ids), done=o.done, detail=o.detail) for o in outcomes]

    @router.post(f"{base}/dead-letters/discard")
    @allow(Operator, timeout_s=120)
    async def discard(body: DiscardIn, caller: Caller, service: Serving) -> dict[str, int]:
        count = await service.replayer.discard(body.ids, by=caller.actor, reason=body.reason)
        log.info("dead_letters_discarded", by=caller.actor, reason=body.reason, ids=body.ids[:LOGGED_MAX], count=count)
        return {"discarded": count}


LOGGED_MAX = 100
SQL_OUTBOX_ROWS = "SELECT count(*) FROM outbox"


def _shown(letter: dead_letters.DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "topic": letter.record.topic,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "key": (letter.record.key or b"").decode("utf-8", "replace"),
        "status": letter.status,
        "code": letter.code,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "created_at": letter.created_at.isoformat(),
    }
