"""The front door while services come and go: requests wait, none is sent twice, and what it refuses is a problem."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.caddy import start_caddy
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.watchdog import Guard
from shared.kit import clock

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE_S = 4


@pytest.fixture
async def door() -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """A client of a front door whose intake is to listen at the port, where nobody does yet."""
    away, port = free_port(), free_port()
    variables = {
        "BEEGRID_PORT": str(port),
        "BEEGRID_DOOR_PATIENCE": f"{PATIENCE_S}s",
        "INTAKE_HOST": "127.0.0.1",
        "INTAKE_PORT": str(away),
    }
    guard = Guard()
    try:
        caddy = await asyncio.to_thread(start_caddy, guard, (ROOT / "Caddyfile").read_text(), port, variables)
        async with httpx.AsyncClient(base_url=caddy.url, timeout=30, trust_env=False) as client:
            yield client, away
    finally:
        await asyncio.to_thread(guard.close)


async def answered(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def listening(port: int, answer: Answer) -> AsyncIterator[None]:
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_waits_for_the_service_that_is_being_replaced(
    door: tuple[httpx.AsyncClient, int], method: str
) -> None:
    client, port = door
    asked = asyncio.create_task(client.request(method, "/v1/reports", content=b"{}" if method == "POST" else None))
    await asyncio.sleep(1.5)
    assert not asked.done()
    async with listening(port, answered):
        assert (await asked).status_code == 204


async def test_what_a_service_may_have_begun_is_not_sent_again(door: tuple[httpx.AsyncClient, int]) -> None:
    client, port = door
    heard = 0

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        await reader.readuntil(b"\r\n\r\n")
        heard += 1
        writer.transport.abort()

    async with listening(port, breaks_off):
        answer = await client.post("/v1/reports", json={})
    assert answer.status_code == 503
    assert heard == 1


async def test_a_service_that_stays_away_is_a_problem_document(door: tuple[httpx.AsyncClient, int]) -> None:
    client, _ = door
    began_s = clock.monotonic_s()
    answer = await client.get("/v1/reports")
    assert PATIENCE_S - 1 < clock.monotonic_s() - began_s < PATIENCE_S + 5
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "/problems/busy"


async def test_what_is_too_large_is_a_problem_document(door: tuple[httpx.AsyncClient, int]) -> None:
    client, port = door

    async def reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.read(1 << 20):
                pass
        writer.close()

    async with listening(port, reads):
        answer = await client.post("/v1/reports", content=b"x" * 65_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")


async def test_an_address_of_nobody_is_a_problem_document(door: tuple[httpx.AsyncClient, int]) -> None:
    client, _ = door
    answer = await client.get("/v2/anything")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
