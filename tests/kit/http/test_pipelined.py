"""Requests that wait on one connection behind the one that is being answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.kit.http.heads import QUEUED_MAX
from tests.kit.serving import served

GET = b"GET / HTTP/1.1\r\nhost: kit\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: kit\r\ncontent-length: 3\r\n\r\nabc"


class Held:
    """Answers once it may."""

    def __init__(self) -> None:
        self.may, self.begun = asyncio.Event(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.begun += 1
        await self.may.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
async def port(held: Held) -> AsyncIterator[int]:
    async with served(held) as made:
        yield made
        held.may.set()


@pytest.mark.parametrize("request_", [GET, POST], ids=["get", "post"])
@pytest.mark.parametrize("number", [QUEUED_MAX + 2, 5_000])
async def test_a_connection_too_far_ahead_is_ended(port: int, held: Held, request_: bytes, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_ * number)
    try:
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    except ConnectionResetError:
        pass  # more was on its way
    assert held.begun == 1
    writer.close()


@pytest.mark.parametrize("request_", [GET, POST], ids=["get", "post"])
async def test_a_few_requests_are_answered_one_after_the_other(port: int, held: Held, request_: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(request_ * (QUEUED_MAX + 1))
        held.may.set()
        async with asyncio.timeout(10):
            for _ in range(QUEUED_MAX + 1):
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    assert held.begun == 3 * (QUEUED_MAX + 1)
    writer.close()
