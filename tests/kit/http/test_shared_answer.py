"""Whoever asks at the same time, or shortly after, shares one answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.kit import clock
from shared.kit.http import Unlimited
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.service import Service
from shared.kit.settings import KitSettings
from tests.kit.web import client_of


class Source:
    """Answers with how often it was asked, when the gate opens."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def ask(self) -> int:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.asked


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until a test moves it."""
    now = [1.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])
    return now


async def test_a_thousand_ask_once(now_s: list[float]) -> None:
    source = Source()
    answer = SharedAnswer(source.ask, fresh_s=1.0)
    waiting = [asyncio.create_task(answer.get()) for _ in range(1_000)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # a caller who leaves takes nobody's answer along
    source.gate.set()
    assert set(await asyncio.gather(*waiting[1:])) == {1}
    assert await answer.get() == 1
    now_s[0] += 0.9
    assert await answer.get() == 1
    now_s[0] += 0.2
    assert await answer.get() == 2


async def test_a_failure_is_shared_and_forgotten(now_s: list[float]) -> None:
    source = Source()
    source.gate.set()
    source.error = OSError("away")
    answer = SharedAnswer(source.ask, fresh_s=1.0)
    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            await answer.get()
    assert source.asked == 2  # at once with another connection, then not for a second
    source.error = None
    now_s[0] += 1.1
    assert await answer.get() == 3


async def test_one_dead_connection_refuses_nobody(now_s: list[float]) -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ConnectionResetError
        return asked

    assert await SharedAnswer(ask, fresh_s=1.0).get() == 2


async def test_what_took_long_to_fail_or_would_fail_again_is_asked_once(now_s: list[float]) -> None:
    """A server that is away: whoever waits has waited long enough, and a defect stays one."""
    asked = 0

    async def late() -> int:
        nonlocal asked
        asked += 1
        now_s[0] += 4.0
        raise TimeoutError

    async def wrong() -> int:
        nonlocal asked
        asked += 1
        raise ZeroDivisionError

    for ask, error in ((late, TimeoutError), (wrong, ZeroDivisionError)):
        asked = 0
        with pytest.raises(error):
            await SharedAnswer(ask, fresh_s=1.0).get()
        assert asked == 1


async def test_a_failure_does_not_last_as_long_as_an_answer(now_s: list[float]) -> None:
    source = Source()
    source.gate.set()
    source.error = OSError("away")
    answer = SharedAnswer(source.ask, fresh_s=300.0)
    with pytest.raises(OSError, match="away"):
        await answer.get()
    source.error = None
    now_s[0] += 1.1
    assert await answer.get() == 3
    now_s[0] += 299
    assert await answer.get() == 3


class Pool:
    """A pool that counts its loans."""

    def __init__(self) -> None:
        self.loans = 0
        self.lent = 0
        self.lent_most = 0

    def acquire(self, *, timeout: float) -> Any:
        return self._lend()

    @contextlib.asynccontextmanager
    async def _lend(self) -> AsyncIterator["Pool"]:
        self.loans += 1
        self.lent += 1
        self.lent_most = max(self.lent, self.lent_most)
        yield self
        self.lent -= 1

    async def fetchval(self, sql: str) -> int:
        await asyncio.sleep(0.01)
        return 1


async def test_readiness_takes_one_connection_whoever_asks(monkeypatch: pytest.MonkeyPatch, now_s: list[float]) -> None:
    """Two addresses say it, and one of them is open to everybody."""
    needed = ("postgres_dsn", "kafka_username", "kafka_password")
    settings = KitSettings(
        **dict.fromkeys(needed, "x"),  # type: ignore[arg-type]  # parsed
        kafka_bootstrap="localhost:1",
        redis_url="redis://localhost:1/0",  # type: ignore[arg-type]  # parsed
        jwks_url="file:///nowhere",
        sealing_key="a" * 43 + "=",
    )
    service, pool = Service("nobody", settings, title="test"), Pool()
    monkeypatch.setattr(service, "_pool", pool)
    monkeypatch.setattr(service.probes, "has_started", True)
    app = service.app()
    app.state.limiter = Unlimited()
    async with client_of(app) as client:
        paths = ("/readyz", "/ops/nobody/readyz") * 20
        answers = await asyncio.gather(*(client.get(path) for path in paths))
        assert {one.status_code for one in answers} == {200}
        assert (pool.loans, pool.lent_most) == (1, 1)
        service.draining = True  # known at once, whatever was answered before
        assert (await client.get("/readyz")).json()["problems"] == {"process": "shutting down"}
