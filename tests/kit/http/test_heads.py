"""What a service's port takes before a body. A real socket, with the server's own configuration."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.kit.http.heads import HEAD_BYTES_MAX
from tests.kit.serving import served

PIECE = b"x" * 65_536


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the number of bytes in the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": b"%8d" % size})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with served(echo) as made:
        yield made


async def answer(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server ends the connection; the request itself is never ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass  # it has said enough
    try:
        async with asyncio.timeout(3):
            return await reader.read(200)
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nhost: kit\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param([HEAD, *[b"n: " + b"v" * 995 + b"\r\n"] * 70], b"431", id="many headers"),
        pytest.param([HEAD + b"n: ", *[PIECE] * 16], b"431", id="a header without an end"),
        pytest.param([HEAD, *[PIECE] * 16], b"431", id="a name without an end"),
        pytest.param([HEAD + b"n: " + b"v" * HEAD_BYTES_MAX + b"\r\n\r\n"], b"431", id="in one piece"),
        pytest.param([b"GET /", *[PIECE] * 16], b"414", id="an address without an end"),
        pytest.param([CHUNKED + b"0\r\n", *[b"n: " + b"v" * 995 + b"\r\n"] * 70], b"431", id="many trailers"),
        pytest.param([CHUNKED + b"0\r\nn: ", *[PIECE] * 16], b"431", id="a trailer without an end"),
        pytest.param([CHUNKED + b"1;", *[PIECE] * 16], b"431", id="a chunk's extension without an end"),
    ],
)
async def test_a_head_has_a_bound(port: int, pieces: list[bytes], status: bytes) -> None:
    assert (await answer(port, *pieces)).startswith(b"HTTP/1.1 " + status)


async def test_what_is_below_the_bound_is_served_with_any_body(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for size in (0, 3_000_000, 5):
        head = HEAD + b"n: " + b"v" * (HEAD_BYTES_MAX - 200) + b"\r\ncontent-length: %d\r\n\r\n" % size
        writer.write(head + b"b" * size)
        got = await asyncio.wait_for(reader.readuntil(b"%8d" % size), 5)
        assert got.startswith(b"HTTP/1.1 200")
    writer.write(CHUNKED + b"2;note=short\r\nde\r\n0\r\nn: trailer\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"%8d" % 5), 5)).startswith(b"HTTP/1.1 200")
    writer.close()
