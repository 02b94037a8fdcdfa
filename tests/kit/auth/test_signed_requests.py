"""A signed request takes effect once and keeps its answer; one that was not worked on may come again. Real Postgres."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import asyncpg
import httpx
import orjson
import pytest
from fastapi import APIRouter, FastAPI, Response
from redis.asyncio import Redis

from shared.devtools.identity import AUDIENCE, ISSUER, Identity
from shared.devtools.infra.suite import Infra
from shared.events.personal import number_mark
from shared.kit import clock
from shared.kit.auth import (
    Authenticator,
    Caller,
    Company,
    Jwks,
    JwtVerifier,
    ReplayGuard,
    SignatureVerifier,
    allow,
    policy_router,
    signed_headers,
)
from shared.kit.auth.replay import (
    ABANDONED_S,
    SIGNED_WITHIN_S,
    Claim,
    KeptAnswer,
    SignedRequest,
    mark_effect,
    working_on,
)
from shared.kit.http.app import create_app
from shared.kit.http.limits import Allowance, Limiter, RateLimiter, Unlimited
from shared.kit.postgres.db import Connection, Pool
from shared.kit.privacy.erasure import Erasure, Leaver
from shared.kit.problems import VALIDATION_FAILED, ServiceBusy, too_many
from shared.kit.refusals import Refusal
from tests.kit.web import ELE, MT_NEW, MT_OLD, Keys, Well, client_of

ANSWER = KeptAnswer(201, "application/json", b'{"id": 1}')


def request_of(name: str = "request-1", content: bytes = b"a", company: str = "MT", ago_s: int = 0) -> SignedRequest:
    return SignedRequest(company, name, content, int(clock.unix_s()) - ago_s)


async def claimed(guard: ReplayGuard, request: SignedRequest) -> Claim:
    claim = await guard.begin(request)
    assert isinstance(claim, Claim)
    return claim


async def refusal(guard: ReplayGuard, request: SignedRequest) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        await guard.begin(request)
    return caught.value.status, caught.value.code


async def test_each_request_is_claimed_once_whatever_the_replica(guards: list[ReplayGuard], pool: Pool) -> None:
    requests = [request_of(f"request-{n}") for n in range(300)]
    tries = [guard.begin(one) for one in requests for guard in (*guards, *guards)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    claims = [one for one in results if isinstance(one, Claim)]
    assert len(claims) == len({one.request_id for one in claims}) == len(requests)
    assert all(isinstance(one, Claim | ServiceBusy) for one in results)  # being worked on: come again
    await claimed(guards[0], request_of("request-0", company="ELE"))  # ids are each company's own
    assert await pool.fetchval("SELECT count(*) FROM request_ids") == len(requests) + 1


@pytest.mark.parametrize("ago_s", [SIGNED_WITHIN_S + 60, 4_000, -SIGNED_WITHIN_S - 60])
async def test_the_database_says_how_old_a_signature_is(guards: list[ReplayGuard], pool: Pool, ago_s: int) -> None:
    """A process whose clock is late takes what was captured an hour ago, when its id is swept already."""
    assert await refusal(guards[0], request_of(ago_s=ago_s)) == (401, "signature_expired")
    await claimed(guards[0], request_of("request-2", ago_s=SIGNED_WITHIN_S - 60))
    assert await pool.fetchval("SELECT count(*) FROM request_ids") == 1


async def test_the_first_answer_is_kept_for_the_same_request_only(guards: list[ReplayGuard]) -> None:
    claim = await claimed(guards[0], request_of())
    assert (await refusal(guards[1], request_of()))[0] == 503
    assert await refusal(guards[1], request_of(content=b"b")) == (409, "replayed_request")
    await guards[0].finish(claim, ANSWER)
    assert [await guard.begin(request_of()) for guard in guards] == [ANSWER, ANSWER]
    assert await refusal(guards[1], request_of(content=b"b")) == (409, "replayed_request")
    await guards[0].release(claim)  # too late: it is answered
    assert await guards[1].begin(request_of()) == ANSWER


async def test_an_answer_that_was_not_kept_is_a_refusal(guards: list[ReplayGuard]) -> None:
    claim = await claimed(guards[0], request_of())
    await guards[0].finish(claim, KeptAnswer(200, "application/json", None))
    answer = await guards[1].begin(request_of())
    assert isinstance(answer, KeptAnswer)
    with pytest.raises(Refusal, match="Replayed"):
        answer.response()


async def test_a_released_request_may_come_again(guards: list[ReplayGuard]) -> None:
    for guard in (*guards, *guards):
        await guard.release(await claimed(guard, request_of()))


async def test_what_took_effect_is_never_worked_on_again(guards: list[ReplayGuard], pool: Pool) -> None:
    """Its process died between the commit and the answer."""
    claim = await claimed(guards[0], request_of())
    async with pool.acquire() as conn, conn.transaction():
        with working_on(claim):
            await mark_effect(cast(Connection, conn))
    await guards[0].release(claim)
    assert (await refusal(guards[1], request_of()))[0] == 503
    await age(pool, ABANDONED_S + 1)
    assert await refusal(guards[1], request_of()) == (409, "replayed_request")


async def test_work_whose_claim_was_given_up_is_undone(guards: list[ReplayGuard], pool: Pool) -> None:
    """A process stood still for minutes; another one took the request over."""
    lost = await claimed(guards[0], request_of())
    await age(pool, ABANDONED_S - 5)
    assert (await refusal(guards[1], request_of()))[0] == 503
    await age(pool, 10)
    won = await claimed(guards[1], request_of())
    assert won.id != lost.id
    with pytest.raises(ServiceBusy):
        async with pool.acquire() as conn, conn.transaction():
            with working_on(lost):
                await mark_effect(cast(Connection, conn))
    await guards[0].finish(lost, ANSWER)
    await guards[0].release(lost)
    assert (await refusal(guards[0], request_of()))[0] == 503  # still the winner's
    await guards[1].finish(won, ANSWER)
    assert await guards[0].begin(request_of()) == ANSWER


async def test_slow_work_of_one_company_delays_no_other(guards: list[ReplayGuard], pool: Pool) -> None:
    """Its open transaction has marked the claim, and somebody sends the request again and again."""
    claim = await claimed(guards[0], request_of())
    async with pool.acquire() as conn, conn.transaction():
        with working_on(claim):
            await mark_effect(cast(Connection, conn))
        async with asyncio.timeout(2):
            again = asyncio.gather(*(refusal(guards[0], request_of()) for _ in range(20)))
            await claimed(guards[0], request_of("request-2", company="ELE"))
            assert {status for status, _ in await again} == {503}


async def test_a_guard_that_cannot_know_refuses(dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
    guard = ReplayGuard(lambda: pool)
    await guard.start()
    pool.terminate()
    with pytest.raises((ServiceBusy, asyncpg.InterfaceError)):
        await guard.begin(request_of())
    await guard.stop()


async def age(pool: Pool, seconds: float) -> None:
    await pool.execute("UPDATE request_ids SET seen_at = seen_at - make_interval(secs => $1)", seconds)


class Door:
    """Routes whose next outcomes a test sets, and a count of what took effect."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.effects = 0
        self.next: list[Exception] = []
        self.after: list[Exception] = []

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """As Service.work: marks the claim last, then commits."""
        async with self.pool.acquire() as conn, conn.transaction():
            yield
            await mark_effect(cast(Connection, conn))
        self.effects += 1

    def router(self) -> APIRouter:
        router = policy_router()

        async def file(body: dict[str, str], caller: Caller, response: Response) -> dict[str, Any]:
            if self.next:
                raise self.next.pop(0)
            async with self.work():
                pass
            if self.after:
                raise self.after.pop(0)
            return {"company": caller.company_code, "number": self.effects}

        @router.get("/v1/reports")
        @allow(Company)
        async def read() -> int:
            return self.effects

        router.add_api_route("/v1/reports", allow(Company)(file), methods=["POST"], status_code=202)

        async def anything(body: dict[str, Any] | list[Any]) -> Any:
            async with self.work():
                return body

        router.add_api_route("/v1/anything", allow(Company)(anything), methods=["POST"], status_code=202)

        async def secret(body: dict[str, str]) -> str:
            return "whsec_"

        router.add_api_route("/v1/keys", allow(Company, answer_kept=False)(secret), methods=["POST"])
        return router


def app_with(door: Door, guard: ReplayGuard, keys: Keys, folder: Path, limiter: Limiter) -> FastAPI:
    jwt = JwtVerifier(Jwks(Identity.open(folder).jwks_url), issuer=ISSUER, audience=AUDIENCE)
    auth = Authenticator(jwt, SignatureVerifier(keys), guard)
    return create_app(
        title="kit", version="1", health=Well(), routers=[door.router()], limiter=limiter, auth=auth, body_max=10_000
    )


PHONE, WIDE = "13900077123", "１３９０００７７１２３"
BODY = b'{"external_id": "r1"}'


async def post(
    client: httpx.AsyncClient, body: bytes = BODY, target: str = "/v1/reports", **changes: Any
) -> httpx.Response:
    sign = {"company": "MT", "secret": MT_NEW, "method": "POST", "target": target, "body": body, **changes}
    headers = signed_headers(**sign) | {"content-type": "application/json"}
    return await client.post(target, headers=headers, content=body)


class OutOfTokens(Unlimited):
    """A limiter that refuses the first request."""

    def __init__(self) -> None:
        self.left = 1

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        self.left -= 1
        if self.left >= 0:
            raise too_many(1)
        return await super().check(key, per_minute)


async def test_refused_for_now_is_not_burnt(guards: list[ReplayGuard], pool: Pool, tmp_path: Path) -> None:
    """429 from the limit, 503, an outage and an unexpected failure: then the same id, signed a second later."""
    door = Door(pool)
    door.next = [ServiceBusy("full"), OSError("postgres is away"), TimeoutError(), too_many(3), RuntimeError("a bug")]
    app = app_with(door, guards[0], Keys(), tmp_path, OutOfTokens())
    now = int(clock.unix_s())
    async with client_of(app) as client:
        answers = [await post(client, request_id="msg_00000001", timestamp=now + n) for n in range(8)]
    assert [one.status_code for one in answers] == [429, 503, 503, 503, 429, 500, 202, 202]
    assert answers[6].json() == answers[7].json() == {"company": "MT", "number": 1}
    assert "idempotency-replayed" not in answers[6].headers
    assert answers[7].headers["idempotency-replayed"] == "true"
    assert door.effects == 1


async def test_a_refusal_for_good_is_an_answer_too(guards: list[ReplayGuard], pool: Pool, tmp_path: Path) -> None:
    door = Door(pool)
    door.next = [VALIDATION_FAILED(field="rider")]
    async with client_of(app_with(door, guards[0], Keys(), tmp_path, Unlimited())) as client:
        first, again = [await post(client, request_id="msg_00000002") for _ in range(2)]
        assert first.status_code == again.status_code == 422
        assert first.content == again.content
        assert first.headers["content-type"] == again.headers["content-type"] == "application/problem+json"
        malformed = [await post(client, b"{", request_id="msg_00000003") for _ in range(2)]
        assert [one.json()["code"] for one in malformed] == ["malformed_json"] * 2
    assert door.effects == 0


async def test_a_failure_after_the_commit_is_not_repeated(
    guards: list[ReplayGuard], pool: Pool, tmp_path: Path
) -> None:
    door = Door(pool)
    door.after = [RuntimeError("a bug"), TimeoutError()]
    async with client_of(app_with(door, guards[0], Keys(), tmp_path, Unlimited())) as client:
        assert (await post(client, request_id="msg_00000004")).status_code == 500
        assert (await post(client, request_id="msg_00000004")).status_code == 503
        await age(pool, ABANDONED_S + 1)
        late = await post(client, request_id="msg_00000004")
    assert (late.status_code, late.json()["code"]) == (409, "replayed_request")
    assert door.effects == 1


async def test_an_answer_goes_with_a_rider_whom_its_request_names(
    guards: list[ReplayGuard], pool: Pool, tmp_path: Path
) -> None:
    """One who leaves later, and one who has left already; in reports and registrations, alone, in lists and events."""
    leaver, former = number_mark("MT", PHONE), number_mark("MT", "13800000001")
    await pool.execute(
        "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, $2, now())", uuid4(), former
    )
    kept = {
        "report": {"rider": PHONE}, "rider": {"external_id": PHONE}, "reports": {"reports": [{"rider": PHONE}, {}, 1]},
        "riders": {"riders": [{"external_id": "else"}, {"external_id": PHONE}]}, "other": {"external_id": "else"},
        "former": {"rider": "13800000001"}, "event": {"specversion": "1.0", "data": {"rider": PHONE}},
        "batch": [{"data": {"external_id": PHONE}}], "wide": {"rider": WIDE},
        "base64": {"data_base64": base64.b64encode(orjson.dumps({"rider": PHONE})).decode()},
        "two_bytes": f'{{"rider": "{PHONE}"}}'.encode("utf-16"), "order": f'\ufeff{{"rider": "{PHONE}"}}'.encode(),
    }  # fmt: skip
    door = Door(pool)
    async with client_of(app_with(door, guards[0], Keys(), tmp_path, Unlimited())) as client:

        async def send() -> dict[str, int]:
            answers = {}
            for name, body in kept.items():
                content = body if isinstance(body, bytes) else orjson.dumps(body)
                answer = await post(client, content, "/v1/anything", request_id=f"msg_0000{name}")
                answers[name] = answer.status_code
            return answers

        assert set((await send()).values()) == {202}
        assert await send() == dict.fromkeys(kept, 202) | {"former": 409}
        async with pool.acquire() as conn, conn.transaction():
            await Erasure(lambda: pool, 60.0, nothing, None).take(conn, [Leaver(uuid4(), leaver, clock.now())])
        assert await send() == dict.fromkeys(kept, 409) | {"other": 202}
    left = await pool.fetch("SELECT riders FROM request_ids WHERE riders && $1::text[]", [leaver])
    assert left == []
    assert door.effects == len(kept)


async def nothing(_conn: Connection, _leavers: Sequence[Leaver]) -> None:
    """A service without tables of its own."""


async def test_what_is_not_given_again(guards: list[ReplayGuard], pool: Pool, tmp_path: Path) -> None:
    """Another address or body under the same id, and answers with secrets; a read is read again."""
    door = Door(pool)
    async with client_of(app_with(door, guards[0], Keys(), tmp_path, Unlimited())) as client:
        assert (await post(client, request_id="msg_00000005")).status_code == 202
        for elsewhere in ({"target": "/v1/keys"}, {"body": b'{"external_id": "r2"}'}):
            answer = await post(client, request_id="msg_00000005", **elsewhere)  # type: ignore[arg-type]  # parsed
            assert (answer.status_code, answer.json()["code"]) == (409, "replayed_request")
        keys = [await post(client, target="/v1/keys", request_id="msg_00000006") for _ in range(2)]
        assert [one.status_code for one in keys] == [200, 409]
        read = signed_headers(company="MT", secret=MT_NEW, method="GET", target="/v1/reports")
        reads = [await client.get("/v1/reports", headers=read) for _ in range(2)]
        assert [one.status_code for one in reads] == [200, 200]
        assert "idempotency-replayed" not in reads[1].headers, "read again"
    assert not await pool.fetchval("SELECT count(*) FROM request_ids WHERE response = $1", b'"whsec_"')


async def test_only_the_company_itself_speaks_for_a_company(
    pool: Pool, guards: list[ReplayGuard], infra: Infra, tmp_path: Path
) -> None:
    """1,000 signed requests pass. Replayed, also after FLUSHALL, they get their answer and have no second effect; late,
    changed, foreign and revoked ones are refused."""
    keys, door, at_once = Keys(), Door(pool), asyncio.Semaphore(32)
    limiter = RateLimiter.from_url(infra.redis_url, service=f"kit-proof-{uuid4().hex}", per_minute=60_000)
    apps = [app_with(door, guard, keys, tmp_path, limiter) for guard in guards]
    bodies = [f'{{"external_id": "r{n}"}}'.encode() for n in range(1_000)]
    sent = [
        signed_headers(company="MT", secret=(MT_NEW, MT_OLD)[n % 2], method="POST", target="/v1/reports", body=body)
        for n, body in enumerate(bodies)
    ]

    async with client_of(apps[0]) as one, client_of(apps[1]) as two:

        async def send(client_at: int, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
            json_headers = headers | {"content-type": "application/json"}
            async with at_once:
                answer = await (one, two)[client_at % 2].post("/v1/reports", headers=json_headers, content=body)
            return answer.status_code, answer.json()["code"] if answer.status_code >= 400 else answer.json()

        first = await asyncio.gather(*(send(n, h, b) for n, (h, b) in enumerate(zip(sent, bodies, strict=True))))
        assert {status for status, _ in first} == {202}
        flusher = Redis.from_url(infra.redis_url)
        await flusher.flushall()
        await flusher.aclose()
        replayed = await asyncio.gather(*(send(n + 1, h, b) for n, (h, b) in enumerate(zip(sent, bodies, strict=True))))
        assert (replayed, door.effects) == (first, 1_000)

        def signed(**changes: Any) -> dict[str, str]:
            usual = {"company": "MT", "secret": MT_NEW, "method": "POST", "target": "/v1/reports", "body": bodies[0]}
            return signed_headers(**{**usual, **changes})

        for offset_s in (-360, 360):
            off = signed(timestamp=int(clock.unix_s()) + offset_s)
            assert await send(0, off, bodies[0]) == (401, "signature_expired")
        fresh = signed()
        assert await send(0, fresh, bodies[1]) == (401, "signature_invalid")
        assert await send(0, sent[0], bodies[1]) == (401, "signature_invalid")  # nor does an answered id betray any
        assert await send(0, fresh | {"beegrid-company": "ELE"}, bodies[0]) == (401, "signature_invalid")
        assert await send(0, signed(secret=ELE), bodies[0]) == (401, "signature_invalid")
        assert (await send(0, fresh, bodies[0]))[0] == 202  # a refused request doesn't burn its id
        keys.by_company["MT"].remove(MT_OLD)
        assert await send(0, signed(secret=MT_OLD), bodies[0]) == (401, "signature_invalid")
        assert await send(0, sent[1], bodies[1]) == (401, "signature_invalid")
    assert door.effects == 1_001
    await limiter.aclose()
