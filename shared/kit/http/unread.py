"""A bound on answers that wait in this process to be read: who asks for photos and never reads them holds memory.

Uvicorn hands an answer to its connection whole, and is done with it; what the other side doesn't read stays there, for
as long as it keeps the connection open. Counted is what a connection is behind by more than the 64 KiB that a transport
takes without a word; less than that is bounded by the number of connections.
"""

import asyncio
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.kit import clock

log = structlog.get_logger(__name__)

UNREAD_BYTES_MAX = 32 * 1024 * 1024
"""Of all connections together; above it the one with the most unread is ended."""
STALLED_S = 30.0
"""A connection of which nothing is read for so long is ended. Through a tunnel a phone loses less."""


class Unread:
    """The connections of this process that are behind with reading, and how much waits for each."""

    def __init__(self, bytes_max: int = UNREAD_BYTES_MAX, stalled_s: float = STALLED_S) -> None:
        self._bytes_max = bytes_max
        self._stalled_s = stalled_s
        self._behind: dict[asyncio.WriteTransport, tuple[int, float]] = {}
        self._watch: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.WriteTransport) -> None:
        """More waits for this connection than it takes at once."""
        self._behind[transport] = transport.get_write_buffer_size(), clock.monotonic_s()
        sizes = {one: one.get_write_buffer_size() for one in self._behind}
        while sizes and sum(sizes.values()) > self._bytes_max:
            most = max(sizes, key=lambda one: sizes[one])
            self._end(most, sizes.pop(most), "too_much")
        if self._watch is None and self._behind:
            self._look_later()

    def end(self, transport: asyncio.WriteTransport) -> None:
        """The connection has read what was waiting, or is gone."""
        self._behind.pop(transport, None)

    def _look(self) -> None:
        self._watch = None
        now_s = clock.monotonic_s()
        for transport, (size, since_s) in list(self._behind.items()):
            left = transport.get_write_buffer_size()
            if left < size:
                self._behind[transport] = left, now_s
            elif now_s - since_s >= self._stalled_s:
                self._end(transport, left, "stalled")
        if self._behind:
            self._look_later()

    def _look_later(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(self._stalled_s / 4, self._look)

    def _end(self, transport: asyncio.WriteTransport, size: int, why: str) -> None:
        self._behind.pop(transport, None)
        log.warning("answer_not_read", bytes=size, why=why)
        transport.abort()


UNREAD = Unread()


class ReadAnswers(HttpToolsProtocol):
    """Uvicorn's protocol, whose connections are ended where answers stay unread."""

    transport: Any

    def pause_writing(self) -> None:
        """Called by the connection when more than a little waits to be read."""
        super().pause_writing()
        UNREAD.begin(self.transport)

    def resume_writing(self) -> None:
        """Called by the connection when little is left."""
        super().resume_writing()
        UNREAD.end(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the connection, once."""
        UNREAD.end(self.transport)
        super().connection_lost(exc)
