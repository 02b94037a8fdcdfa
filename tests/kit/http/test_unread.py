"""Answers that nobody reads. Real sockets, with the server's own configuration."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.kit.http import unread
from shared.kit.http.unread import Unread
from tests.kit.serving import served

ANSWER = bytes(8 << 20)
ASK = b"GET / HTTP/1.1\r\nhost: kit\r\n\r\n"


async def large(scope: Any, receive: Any, send: Any) -> None:
    """Answers with more than the sockets of both sides hold."""
    length = str(len(ANSWER)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": ANSWER})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with served(large) as made:
        yield made


async def asked(port: int) -> socket.socket:
    """A connection that has asked, and reads nothing by itself."""
    one = socket.create_connection(("127.0.0.1", port))
    one.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(one, ASK)
    return one


async def rest(one: socket.socket, pause_s: float = 0.0) -> int:
    """How many bytes can be read of it until it ends or is broken off, a piece after each pause."""
    loop, size = asyncio.get_running_loop(), 0
    with one:
        while size < len(ANSWER):
            await asyncio.sleep(pause_s)
            try:
                piece = await loop.sock_recv(one, 1 << 20)
            except ConnectionResetError:
                return size
            if not piece:
                return size
            size += len(piece)
    return size


async def test_answers_that_nobody_reads_are_bounded_in_sum(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 3 * len(ANSWER)
    monkeypatch.setattr(unread, "UNREAD", watched := Unread(bound))
    begun = [await asked(port) for _ in range(12)]
    await asyncio.sleep(0.5)
    held = sum(one.get_write_buffer_size() for one in watched._behind)
    assert 0 < held <= bound
    read = [await rest(one) for one in begun]
    assert 1 <= sum(size >= len(ANSWER) for size in read) <= 5  # the others were broken off
    assert await rest(await asked(port)) >= len(ANSWER)
    assert not watched._behind


async def test_who_reads_nothing_is_sent_away_and_who_reads_slowly_is_not(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "UNREAD", watched := Unread(stalled_s=0.4))
    silent, slow = await asked(port), await asked(port)
    assert await rest(slow, 0.15) >= len(ANSWER)  # takes three times as long as one may be silent
    await asyncio.sleep(0.2)
    assert not watched._behind
    assert await rest(silent) < len(ANSWER)
