"""How long pages, progress, gauges and the operators' status take over HTTP, on whatever lies in the database."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import get_args
from urllib.parse import urlencode

import httpx
from redis.asyncio import Redis

from shared.devtools.suite import Suite
from shared.events.case_changed import CaseState
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.db import Pool

TIMES = 100
TOKEN_S = 3_600
AT_ONCE = 200
# Figures are read again for each asker, so that a page's time is that of its statements; nobody is turned away.
STRICT = {"BEEGRID_OVERVIEW_SECONDS": "0", "BEEGRID_RATE_LIMIT_PER_MINUTE": "10000000"}
# As it is delivered but for the limit.
SHARED = {"BEEGRID_RATE_LIMIT_PER_MINUTE": "10000000"}
SHARED_S = 3.5
CAUGHT_UP_S = 300.0
PUBLIC = ("/city", "/", "/city?lang=en")
CASES = ("/v1/cases?limit=50", *(f"/v1/cases?limit=50&state={state}" for state in get_args(CaseState)))
ASKED: tuple[tuple[str, str], ...] = (
    *(("tracking", path) for path in PUBLIC),
    ("tracking", "/v1/tracking/progress"),
    ("tracking", "/v1/tracking/progress?company=aged-a"),
    ("tracking", "/v1/tracking/hops"),
    *(("cases", path) for path in CASES),
    ("riders", "/v1/companies"),
    ("rewards", "/v1/offers"),
    ("rewards", "/v1/merchants"),
    ("points", "/v1/points/rules"),
    ("routing", "/v1/routing/unroutable"),
    ("notifications", "/v1/notifications/deliveries"),
)
# What goes by area is also asked by an operator of the demo city's district, which has hundreds of grids.
DISTRICT = "330114"
ASKED_BY_DISTRICT: tuple[tuple[str, str], ...] = (
    *(("cases", path) for path in CASES),
    ("routing", "/v1/routing/unroutable"),
    ("routing", "/v1/routing/responsibilities"),
    ("notifications", "/v1/notifications/channels"),
)
# Of one merchant and one rider, those with the most where there are any.
STATEMENT, MINE, STATEMENT_DAYS = "/v1/merchants/{id}/statement", "/v1/redemptions/me?limit=50", 399
SQL_MERCHANT = "SELECT merchant_id FROM rewards.takings GROUP BY merchant_id ORDER BY sum(vouchers) DESC LIMIT 1"
SQL_RIDER = "SELECT rider_id FROM rewards.redemptions GROUP BY rider_id ORDER BY count(*) DESC LIMIT 1"
SQL_READS = """
SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements s
JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND r.rolname LIKE '%tracking\\_app'
  AND s.query LIKE '%FROM cases ORDER BY case_id DESC%'
"""


@dataclass(frozen=True)
class Asked:
    """Milliseconds of one address, asked one after the other with an empty Redis each time.

    `areas`: of the operator who asked; none: the whole city.
    """

    service: str
    path: str
    p50_ms: float
    p99_ms: float
    areas: str = ""


@dataclass(frozen=True)
class Rush:
    """Many who open /city at the same moment after Redis was flushed: how often the database was read for them."""

    askers: int
    reads: int
    slowest_ms: float


async def ask(suite: Suite, admin: Pool, token: str) -> tuple[list[Asked], Rush]:
    """Ask everything that people and operators look at. All services must run; tracking is started here."""
    redis = Redis.from_url(suite.installation.infra.redis_url)
    try:
        suite.add("tracking", extra=STRICT)
        await _caught_up(suite, token)
        letters = [(name, f"/ops/{name}/dead-letters") for name in suite.services]
        status = [(name, f"/ops/{name}/status") for name in suite.services]
        gauges = [(name, "/metrics") for name in suite.services]
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            found = [
                await _one(client, redis, suite, service, path, _times(service, path))
                for service, path in (*ASKED, *status, *letters, *gauges)
            ]
            found.append(await _statement(client, redis, suite, admin))
        headers = {"authorization": f"Bearer {await _rider_token(suite, admin)}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            found.append(await _one(client, redis, suite, "rewards", MINE, TIMES))
        headers = {"authorization": f"Bearer {suite.operator_token(areas=(DISTRICT,))}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            for service, path in ASKED_BY_DISTRICT:
                asked = await _one(client, redis, suite, service, path, TIMES)
                found.append(replace(asked, areas=DISTRICT))
        suite.services.pop("tracking").stop()
        suite.add("tracking", extra=SHARED)
        return found, await _rush(suite, admin, redis)
    finally:
        await redis.aclose()


async def _caught_up(suite: Suite, token: str) -> None:
    """Wait until tracking has heard what the hops said meanwhile: it is asked at rest, like everybody."""
    deadline_s = clock.monotonic_s() + CAUGHT_UP_S
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as client:
        while True:
            status = await client.get(f"{suite.services['tracking'].url}/ops/tracking/status")
            lag = sum(status.raise_for_status().json()["lag_records"].values())
            if not lag:
                return
            suite.check()
            if clock.monotonic_s() > deadline_s:
                raise SystemExit(f"tracking is {lag} records behind after {CAUGHT_UP_S:.0f} s")
            await asyncio.sleep(0.5)


async def _one(client: httpx.AsyncClient, redis: Redis, suite: Suite, service: str, path: str, times: int) -> Asked:
    url = f"{suite.services[service].url}{path}"
    (await client.get(url)).raise_for_status()  # the first one also opens connections
    taken = []
    for _ in range(times):
        await redis.flushall()
        began_s = clock.monotonic_s()
        (await client.get(url)).raise_for_status()
        taken.append((clock.monotonic_s() - began_s) * 1000)
    return Asked(service, path, round(statistics.median(taken), 2), round(_p99(taken), 2))


async def _statement(client: httpx.AsyncClient, redis: Redis, suite: Suite, admin: Pool) -> Asked:
    merchant_id = await admin.fetchval(SQL_MERCHANT)
    if merchant_id is None:  # an empty city has none
        made = await client.post(
            f"{suite.services['rewards'].url}/v1/merchants",
            json={"name": "bench", "address": "bench"},
            headers={"Idempotency-Key": str(new_id())},
        )
        merchant_id = made.raise_for_status().json()["id"]
    until = clock.now()
    period = urlencode({"from": (until - timedelta(days=STATEMENT_DAYS)).isoformat(), "to": until.isoformat()})
    path = f"{STATEMENT.format(id=merchant_id)}?{period}"
    return replace(await _one(client, redis, suite, "rewards", path, TIMES), path=STATEMENT)


async def _rider_token(suite: Suite, admin: Pool) -> str:
    rider_id = await admin.fetchval(SQL_RIDER) or new_id()
    return suite.installation.identity.token(str(rider_id), "骑手 Rider", ["rider"], ttl_s=TOKEN_S)


async def _rush(suite: Suite, admin: Pool, redis: Redis) -> Rush:
    url = f"{suite.services['tracking'].url}/city"
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
        await asyncio.gather(*(client.get(url) for _ in range(AT_ONCE)))  # opens the connections
        await asyncio.sleep(SHARED_S)  # what was read for them is too old now
        await redis.flushall()
        before = await admin.fetchval(SQL_READS)

        async def visit() -> float:
            began_s = clock.monotonic_s()
            (await client.get(url)).raise_for_status()
            return (clock.monotonic_s() - began_s) * 1000

        taken = await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
        return Rush(AT_ONCE, await admin.fetchval(SQL_READS) - before, round(max(taken), 1))


def _times(service: str, path: str) -> int:
    return 3 * TIMES if path in PUBLIC else TIMES if (service, path) in ASKED else TIMES // 5


def _p99(taken: Sequence[float]) -> float:
    """The 99th percentile; of few, the largest."""
    return sorted(taken)[max(0, -(-len(taken) * 99 // 100) - 1)]
