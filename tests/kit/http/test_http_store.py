"""Replay, idempotency and rate limits on real Postgres and Redis, with what happens when those go away."""

import asyncio
import hashlib
import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import pytest
from fastapi import APIRouter, Response
from pydantic import BaseModel
from redis.asyncio import Redis

from shared.devtools.identity import AUDIENCE, ISSUER, Identity
from shared.devtools.infra.suite import Infra
from shared.kit import clock
from shared.kit.auth import (
    Authenticator,
    Jwks,
    JwtVerifier,
    Principal,
    ReplayGuard,
    Rider,
    SignatureVerifier,
    allow,
    idempotency,
    policy_router,
)
from shared.kit.auth.idempotency import Idempotent, StoredResponse
from shared.kit.http import RateLimiter, Unlimited
from shared.kit.http.app import create_app
from shared.kit.http.limits import REDIS_PATIENCE_S
from shared.kit.postgres.db import Pool
from shared.kit.refusals import Refusal
from shared.kit.telemetry.log import configure_logging
from tests.kit.web import Keys, Well, bearer, client_of

RIDER = Principal("person", "r1")


@pytest.fixture(scope="module", autouse=True)
def _quiet_logs() -> None:
    configure_logging("test", "WARNING", io.StringIO())  # structlog's default draws tracebacks for seconds


async def attempt(pool: Pool, key: str, body: bytes, answer: bytes, gate: asyncio.Event | None = None) -> bytes:
    digest = hashlib.sha256(body).digest()
    async with pool.acquire() as conn, conn.transaction():
        seen = await idempotency.remembered(conn, RIDER, key, digest)
        if seen is not None:
            return b"again " + seen.body
        if gate is not None:
            await gate.wait()
        await idempotency.store(conn, RIDER, key, 201, answer)
    return answer


async def test_same_key_same_answer(pool: Pool) -> None:
    assert await attempt(pool, "key-00001", b"a", b"first") == b"first"
    assert await attempt(pool, "key-00001", b"a", b"second") == b"again first"
    async with pool.acquire() as conn:
        other = Principal("person", "r2")
        assert await idempotency.remembered(conn, other, "key-00001", b"x" * 32) is None  # keys are each person's own


async def test_same_key_other_body_is_a_conflict(pool: Pool) -> None:
    await attempt(pool, "key-00002", b"a", b"first")
    with pytest.raises(Refusal) as refusal:
        await attempt(pool, "key-00002", b"b", b"second")
    assert (refusal.value.status, refusal.value.code) == (409, "idempotency_conflict")


async def test_second_waits_for_the_firsts_commit(pool: Pool) -> None:
    gate = asyncio.Event()
    first = asyncio.create_task(attempt(pool, "key-00003", b"a", b"first", gate))
    await asyncio.sleep(0.1)
    others = [asyncio.create_task(attempt(pool, "key-00003", b"a", b"other")) for _ in range(4)]
    await asyncio.sleep(0.2)
    assert not any(other.done() for other in others)
    gate.set()
    assert await first == b"first"
    assert await asyncio.gather(*others) == [b"again first"] * 4


async def test_failed_first_leaves_the_key_to_the_second(pool: Pool) -> None:
    first = asyncio.create_task(attempt(pool, "key-00004", b"a", b"first", asyncio.Event()))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(attempt(pool, "key-00004", b"a", b"second"))
    await asyncio.sleep(0.1)
    first.cancel()
    assert await second == b"second"


async def test_unstored_claims(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await idempotency.remembered(conn, RIDER, "key-00005", b"x")
        with pytest.raises(Refusal, match="Unfinished"):
            await idempotency.remembered(conn, RIDER, "key-00005", b"x")
        with pytest.raises(RuntimeError):
            await idempotency.store(conn, RIDER, "key-unclaimed", 200, b"")
    assert StoredResponse(201, b"{}").response().headers["idempotency-replayed"] == "true"


class Out(BaseModel):
    number: int


def routes(pool: Pool, made: list[int]) -> APIRouter:
    router = policy_router()

    @router.post("/v1/offers", status_code=201, response_model=Out)
    @allow(Rider)
    async def offer(body: dict[str, str], attempt: Idempotent) -> Response:
        async with pool.acquire() as conn, conn.transaction():
            if (seen := await attempt.remembered(conn)) is not None:
                return seen.response()
            made.append(1)
            return await attempt.store(conn, 201, Out(number=len(made)))

    return router


async def test_idempotent_route(pool: Pool, guards: list[ReplayGuard], tmp_path: Path) -> None:
    made, identity = list[int](), Identity.open(tmp_path)
    jwt = JwtVerifier(Jwks(identity.jwks_url), issuer=ISSUER, audience=AUDIENCE)
    app = create_app(
        title="kit",
        version="1",
        health=Well(),
        routers=[routes(pool, made)],
        limiter=Unlimited(),
        auth=Authenticator(jwt, SignatureVerifier(Keys()), guards[0]),
        body_max=10_000,
    )
    headers = bearer(identity.token("r1", "某", ["rider"])) | {"idempotency-key": "attempt-1"}
    async with client_of(app) as client:
        answers = [await client.post("/v1/offers", json={"a": "b"}, headers=headers) for _ in range(3)]
        assert [(a.status_code, a.json()) for a in answers] == [(201, {"number": 1})] * 3
        assert answers[1].headers["idempotency-replayed"] == "true"
        other = await client.post("/v1/offers", json={"a": "c"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        del headers["idempotency-key"]
        assert (await client.post("/v1/offers", json={"a": "b"}, headers=headers)).status_code == 422
    assert made == [1]


@pytest.fixture
async def limiter(infra: Infra) -> AsyncIterator[RateLimiter]:
    made = RateLimiter.from_url(infra.redis_url, service=secrets.token_hex(4), per_minute=60, patience_s=5.0)
    yield made
    await made.aclose()


async def test_bucket_is_shared_atomic_and_refilled(infra: Infra, limiter: RateLimiter) -> None:
    results = await asyncio.gather(*(limiter.take("k") for _ in range(200)))
    assert 60 <= sum(one.allowed for one in results) <= 65  # one more for each second that it took
    refused = [one for one in results if not one.allowed]
    assert {one.retry_after_s for one in refused} == {1}
    assert all(one.remaining == 0 for one in refused)
    assert (await limiter.take("other")).remaining == 59
    while (await limiter.take("k")).allowed:
        pass
    with pytest.raises(Refusal) as refusal:
        await limiter.check("k")
    assert refusal.value.status == 429
    assert (refusal.value.headers or {})["Retry-After"] == "1"
    assert (refusal.value.headers or {})["RateLimit-Policy"] == '"default";q=60;w=60'
    await asyncio.sleep(2.1)
    assert 1 <= sum([(await limiter.take("k")).allowed for _ in range(5)]) <= 3
    assert sum([(await limiter.take("v", per_minute=5)).allowed for _ in range(9)]) == 5


async def test_flushed_redis_only_refills(infra: Infra, limiter: RateLimiter) -> None:
    for _ in range(60):
        await limiter.take("f")
    assert not (await limiter.take("f")).allowed
    flusher = Redis.from_url(infra.redis_url)
    await flusher.flushall()
    await flusher.script_flush()
    await flusher.aclose()
    assert (await limiter.take("f")).allowed


async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(30)
    finally:
        writer.close()


async def test_black_holed_redis_costs_one_short_wait(infra: Infra) -> None:
    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = hole.sockets[0].getsockname()[1]
    limiter = RateLimiter.from_url(f"redis://127.0.0.1:{port}/0", service="hole", per_minute=60)

    async def timed() -> tuple[float, bool]:
        start = clock.monotonic_s()
        allowed = (await limiter.take("k")).allowed
        return clock.monotonic_s() - start, allowed

    together = await asyncio.gather(*(timed() for _ in range(50)))
    assert median(seconds for seconds, _ in together) < 6 * REDIS_PATIENCE_S  # fifty at once on a busy machine
    after = [await timed() for _ in range(50)]
    assert median(seconds for seconds, _ in after) < REDIS_PATIENCE_S / 10
    assert sum(allowed for _, allowed in together + after) == 60  # still limited, by this process alone
    await limiter.aclose()
    hole.close()


async def test_refused_redis_and_its_return(infra: Infra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kit.http.limits.REDIS_PAUSE_S", 0.2)
    limiter = RateLimiter.from_url("redis://127.0.0.1:1/0", service="gone", per_minute=60)
    assert (await limiter.take("k")).allowed
    await limiter.aclose()
    back = RateLimiter.from_url(infra.redis_url, service=secrets.token_hex(4), per_minute=60, patience_s=5.0)
    back._ask_redis_from_s = clock.monotonic_s() + 0.2
    assert (await back.take("k")).remaining == 59  # locally
    await asyncio.sleep(0.25)
    assert (await back.take("k")).remaining == 59  # in Redis, where nothing was counted yet
    assert (await back.take("k")).remaining == 58
    await back.aclose()
