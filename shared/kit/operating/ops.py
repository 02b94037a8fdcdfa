"""Operator routes that every service has, at /ops/<service>/…: its state, its dead letters, their replay."""

from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.events.common import AreaCode
from shared.events.outside import INT32_MAX, Code, RowId, Words
from shared.kit.auth import Caller, CityOperator, Public, allow, policy_router, sealing_keys
from shared.kit.auth.resealing import UNKNOWN
from shared.kit.auth.sealing import SealingKey
from shared.kit.letters import dead_letters, letter_bounds, letter_limit
from shared.kit.operating.ops_erasures import erasure_routes
from shared.kit.operating.ops_outbox import ID_MAX, add_outbox_routes
from shared.kit.operating.ops_parts import Serving
from shared.kit.operating.ops_recount import recount_route
from shared.kit.operating.ops_standing import add_standing_routes
from shared.kit.operating.ops_states import states_routes
from shared.kit.postgres.db import reading
from shared.kit.publishing import holds, relay
from shared.kit.settings import KitSettings, SealingSettings

log = structlog.get_logger(__name__)
LetterId = Annotated[int, Path(ge=0, le=ID_MAX)]
RESEAL_S = 5.0
COUNT_TIMEOUT_S = 120.0
CURSOR = r"^([0-9](\.([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?)?)?$"


class StatusOut(BaseModel):
    """A service's state: counts of rows and records, ages in seconds."""

    service: str
    city_timezone: str = Field(description="IANA zone of the city, in which this process counts days")
    outbox_rows: int = Field(description="events that wait for Kafka; above 10,000 an estimate")
    outbox_held: int = Field(description="events that Kafka refuses, or that wait behind one")
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


class ResealOut(BaseModel):
    """One share of an exchange, committed: secrets seen and resealed; `cursor` of the next, null at the end."""

    seen: int
    resealed: int
    cursor: str | None


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
    content: Literal["kept", "left_out", "erased", "expired"] = Field(
        description="left_out: there are too many of the topic; erased: its rider is; expired: nobody can say whom it "
        "tells of. None of these can be replayed"
    )


class DeadLetterRangeOut(BaseModel):
    """Records of one partition that have no letter of their own, since there are too many: where they stand."""

    model_config = ConfigDict(from_attributes=True)
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int = Field(description="one that was read twice, around a crash, counts twice")
    code: str = Field(description="why the last of them was refused")
    first_at: AwareDatetime
    last_at: AwareDatetime


class DeadLetterContent(DeadLetterOut):
    """One dead letter with its content, for the operator who repairs it."""

    headers: list[tuple[str, str | None]]
    value: str


class AreasIn(BaseModel):
    """Codes of areas, most often those that a new map lacks."""

    model_config = ConfigDict(extra="forbid")
    codes: list[AreaCode] = Field(max_length=100_000)


class DependentsOut(BaseModel):
    """What the service keeps under these codes: number by code, by the name of the thing."""

    dependents: dict[str, dict[str, int]]


class ReplayIn(BaseModel):
    """Which letters, and why. Without ids: all of the topic, or all."""

    model_config = ConfigDict(extra="forbid")
    ids: list[RowId] | None = Field(None, max_length=10_000)
    topic: Annotated[Code, Field(max_length=249)] | None = None
    reason: Words = Field(min_length=3, max_length=500)


class DiscardIn(BaseModel):
    """Which letters to give up, and why."""

    model_config = ConfigDict(extra="forbid")
    ids: list[RowId] = Field(min_length=1, max_length=10_000)
    reason: Words = Field(min_length=3, max_length=500)


class OutcomeOut(BaseModel):
    """One key's letters: replayed together, or still failing with the reason."""

    topic: str
    key: str
    ids: list[int]
    done: bool
    detail: str


def ops_router(name: str) -> APIRouter:
    """The routes of one service."""
    router = policy_router(tags=["operations"])
    _status_routes(router, f"/ops/{name}")
    _area_routes(router, f"/ops/{name}")
    _key_routes(router, f"/ops/{name}")
    _dead_letter_routes(router, f"/ops/{name}")
    add_outbox_routes(router, f"/ops/{name}")
    add_standing_routes(router, f"/ops/{name}")
    recount_route(router, f"/ops/{name}")
    states_routes(router, f"/ops/{name}")
    erasure_routes(router, f"/ops/{name}")
    return router


def _status_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/status")
    @allow(CityOperator, limited=False, timeout_s=30)
    async def status(caller: Caller, service: Serving) -> StatusOut:
        async with reading(service.pool) as conn:
            letters = await letter_bounds.open_counts(conn)
            rows, held = await relay.waiting(conn), await holds.count(conn)
            tallies = await service.figures(conn)
            still = {one.topic: one.words for one in await letter_limit.standing(conn)}
        return StatusOut(
            service=service.name,
            city_timezone=service.settings.city_timezone,
            outbox_rows=rows,
            outbox_held=held,
            dead_letters={f"{topic} {state}": n for (topic, state), n in letters.items()},
            lag_records={topic: await consumer.measure() for topic, consumer in service.consumers.items()},
            tallies=tallies,
            problems=still | await service.probes.troubles(),
        )

    @router.get(f"{base}/readyz", include_in_schema=False)
    @allow(Public)
    async def ready(service: Serving) -> dict[str, str]:
        problems: dict[str, str] = await service.probes.ready()
        return problems


def _area_routes(router: APIRouter, base: str) -> None:
    @router.post(f"{base}/areas/dependents")
    @allow(CityOperator, body_max=4_000_000, timeout_s=30)
    async def dependents(body: AreasIn, caller: Caller, service: Serving) -> DependentsOut:
        if service.by_area is None:
            return DependentsOut(dependents={})
        async with reading(service.pool) as conn:
            found = await service.by_area.count(conn, body.codes)
        return DependentsOut(dependents={name: counts for name, counts in found.items() if counts})


def _sealing_keys(settings: KitSettings) -> tuple[SealingKey, ...]:
    """None for a service that isn't given the key."""
    return sealing_keys(settings.sealing_key.get_secret_value()) if isinstance(settings, SealingSettings) else ()


def _key_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/keys")
    @allow(CityOperator, timeout_s=COUNT_TIMEOUT_S)
    async def keys(caller: Caller, service: Serving) -> KeysOut:
        found = await service.resealing.count()
        keys = _sealing_keys(service.settings)
        return KeysOut(
            sealing=[SealingKeyOut(id=key.id, made_at=key.made_at, secrets=found[key.id]) for key in keys],
            unknown=found[UNKNOWN],
            issuer=service.jwks.known(),
        )

    @router.post(f"{base}/keys/reseal")
    @allow(CityOperator, timeout_s=RESEAL_S + 25)
    async def reseal(
        caller: Caller,
        service: Serving,
        cursor: Annotated[str, Query(pattern=CURSOR, description="of the answer before")] = "",
    ) -> ResealOut:
        done = await service.resealing.renew(cursor, RESEAL_S)
        return ResealOut(seen=done.seen, resealed=done.resealed, cursor=done.cursor)


def _dead_letter_routes(router: APIRouter, base: str) -> None:
    @router.get(f"{base}/dead-letters")
    @allow(CityOperator)
    async def letters(
        caller: Caller,
        service: Serving,
        topic: Annotated[Code, Query(max_length=249)] | None = None,
        after: RowId = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[DeadLetterOut]:
        async with reading(service.pool) as conn:
            found = await dead_letters.open_letters(conn, topic, after, limit)
        return [DeadLetterOut(**_shown(letter)) for letter in found]

    @router.get(f"{base}/dead-letter-ranges")
    @allow(CityOperator)
    async def letter_ranges(
        caller: Caller,
        service: Serving,
        after_topic: Annotated[Code, Query(max_length=249)] | None = None,
        after_partition: Annotated[int, Query(ge=0, le=INT32_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[DeadLetterRangeOut]:
        async with reading(service.pool) as conn:
            found = await letter_bounds.ranges(conn, after_topic or "", after_partition, limit)
        return [DeadLetterRangeOut.model_validate(dict(row)) for row in found]

    @router.get(base + "/dead-letters/{letter_id}")
    @allow(CityOperator)
    async def letter(letter_id: RowId, caller: Caller, service: Serving) -> list[DeadLetterContent]:
        async with reading(service.pool) as conn:
            found = await dead_letters.open_letter(conn, letter_id)
        if found is None:
            return []
        record = found.record
        return [
            DeadLetterContent(
                **_shown(found),
                headers=[(n, None if v is None else v.decode("utf-8", "replace")) for n, v in record.headers],
                value=(record.value or b"")[:SHOWN_BYTES_MAX].decode("utf-8", "replace"),
            )
        ]

    @router.post(f"{base}/dead-letters/replay")
    @allow(CityOperator, timeout_s=120)
    async def replay(body: ReplayIn, caller: Caller, service: Serving) -> list[OutcomeOut]:
        outcomes = await service.replayer.replay(body.topic, body.ids, by=caller.actor, reason=body.reason)
        done = [id_ for outcome in outcomes if outcome.done for id_ in outcome.ids]
        log.info("dead_letters_replayed", by=caller.actor, reason=body.reason, ids=done[:LOGGED_MAX], count=len(done))
        service.committed()
        return [OutcomeOut(topic=o.topic, key=o.key, ids=list(o.ids), done=o.done, detail=o.detail) for o in outcomes]

    @router.post(f"{base}/dead-letters/discard")
    @allow(CityOperator, timeout_s=120)
    async def discard(body: DiscardIn, caller: Caller, service: Serving) -> dict[str, int]:
        count = await service.replayer.discard(body.ids, by=caller.actor, reason=body.reason)
        log.info("dead_letters_discarded", by=caller.actor, reason=body.reason, ids=body.ids[:LOGGED_MAX], count=count)
        return {"discarded": count}


LOGGED_MAX = 100
SHOWN_BYTES_MAX = 100_000


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
        "content": letter.content,
    }
