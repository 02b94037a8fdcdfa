"""How many requests a principal may make: a token bucket in Redis, shared by all replicas of a service.

Redis may be flushed or away at any time. Away: every process counts for itself, and asks Redis again after a pause, so
a Redis that swallows packets costs a request at most REDIS_PATIENCE_S, once in REDIS_PAUSE_S.
"""

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.kit import clock, metrics
from shared.kit.postgres.db import is_closed_transport
from shared.kit.problems import too_many
from shared.kit.refusals import Refusal
from shared.kit.volatile import volatile

REDIS_PATIENCE_S = 0.05
REDIS_PAUSE_S = 3.0
_LOCAL_KEYS_MAX = 20_000
_log = structlog.get_logger(__name__)

# GCRA: one number per key, the time at which the bucket is full again. Redis' clock, so replicas' clocks don't matter.
# KEYS[1] bucket; ARGV: micros between two requests, micros a full bucket holds. Returns {allowed, micros used}
LUA_TAKE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local next_at = full_at + tonumber(ARGV[1])
local capacity = tonumber(ARGV[2])
if next_at - now > capacity then return {0, full_at - now} end
redis.call('SET', KEYS[1], string.format('%.0f', next_at), 'PX', math.ceil((next_at - now) / 1000) + 1)
return {1, next_at - now}
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a bucket. Times in whole seconds; `retry_after_s` is 0 when the request was allowed."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int

    def headers(self) -> dict[str, str]:
        """RateLimit fields (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w=60',
            "RateLimit": f'"default";r={self.remaining};t={self.reset_s}',
        }


class Limiter(Protocol):
    """What a route asks before it works."""

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        """Counts one request of `key`; raises the 429 problem when its bucket is empty."""
        ...


class RateLimiter:
    """A bucket of `per_minute` requests for each key, refilled evenly."""

    def __init__(self, redis: Redis, *, service: str, per_minute: int, patience_s: float = REDIS_PATIENCE_S) -> None:
        self._redis = redis
        self._take = redis.register_script(LUA_TAKE)
        self._prefix = f"{service}:rate:"
        self._per_minute = per_minute
        self._patience_s = patience_s
        self._local: OrderedDict[str, float] = OrderedDict()
        self._ask_redis_from_s = 0.0

    @classmethod
    def from_url(
        cls, url: str, *, service: str, per_minute: int, patience_s: float = REDIS_PATIENCE_S
    ) -> "RateLimiter":
        """`url`: redis://…; connects on first use and never raises because Redis is away."""
        return cls(volatile(url, patience_s), service=service, per_minute=per_minute, patience_s=patience_s)

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        """Counts one request of `key`, of which `per_minute` may come.

        Raises:
            Refusal: `rate_limited` (429) with Retry-After in seconds, when the bucket is empty.
        """
        allowance = await self.take(key, per_minute)
        if not allowance.allowed:
            metrics.RATE_LIMITED.labels("default" if per_minute is None else "special").inc()
            raise _refusal(allowance)
        return allowance

    async def take(self, key: str, per_minute: int | None = None) -> Allowance:
        """Counts one request of `key` and tells what is left."""
        limit = per_minute or self._per_minute
        interval_us = 60_000_000 // limit
        used_us = await self._take_shared(key, interval_us, interval_us * limit)
        if used_us is None:
            used_us = self._take_local(key, interval_us, interval_us * limit)
        return _allowance(limit, interval_us, *used_us)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()

    async def _take_shared(self, key: str, interval_us: int, capacity_us: int) -> tuple[bool, int] | None:
        now_s = clock.monotonic_s()
        if now_s < self._ask_redis_from_s:
            return None
        try:
            async with asyncio.timeout(self._patience_s):
                answer = await self._take(keys=[self._prefix + key], args=[interval_us, capacity_us])
        except (RedisError, OSError, TimeoutError, RuntimeError) as exc:
            if isinstance(exc, RuntimeError) and not is_closed_transport(exc):
                raise
            if clock.monotonic_s() >= self._ask_redis_from_s:
                _log.warning("redis away, rate limits are counted per process", error=type(exc).__name__)
            self._ask_redis_from_s = clock.monotonic_s() + REDIS_PAUSE_S
            return None
        allowed, used_us = cast("list[int]", answer)
        return bool(allowed), used_us

    def _take_local(self, key: str, interval_us: int, capacity_us: int) -> tuple[bool, int]:
        now_us = clock.monotonic_s() * 1e6
        full_at = max(self._local.pop(key, now_us), now_us)
        allowed = full_at + interval_us - now_us <= capacity_us
        if allowed:
            full_at += interval_us
        self._local[key] = full_at
        if len(self._local) > _LOCAL_KEYS_MAX:
            self._local.popitem(last=False)
        return allowed, int(full_at - now_us)


class Unlimited:
    """Counts nothing: for generating documents and for tests of something else."""

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        """Always allowed."""
        return Allowance(True, 1, 1, 0, 0)


def _allowance(limit: int, interval_us: int, allowed: bool, used_us: int) -> Allowance:
    spent = math.ceil(used_us / interval_us)
    wait_us = 0 if allowed else max(1, used_us + interval_us - limit * interval_us)
    return Allowance(allowed, limit, max(0, limit - spent), math.ceil(used_us / 1e6), math.ceil(wait_us / 1e6))


def _refusal(allowance: Allowance) -> Refusal:
    return too_many(allowance.retry_after_s, allowance.headers())
