"""A TCP proxy that can lose, delay and cut what passes through it, for a dependency that is ill rather than dead."""

import asyncio
import contextlib
import socket
import struct
import threading
from concurrent.futures import Future
from enum import StrEnum

from shared.devtools.infra.ports import free_port

CHUNK_BYTES = 64 * 1024
CHUNKS_WAITING_MAX = 256
# Close with a reset: unsent data are dropped and the peer gets RST instead of FIN.
LINGER_NOT = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What becomes of the bytes."""

    PASS = "pass"
    HOLE = "black hole"
    """Connections are accepted and stay open, nothing is forwarded until it is over: then what waited goes on."""
    SLOW = "slow"
    """Every answer comes `delay_s` later."""
    RESET = "reset"
    """Every connection is reset, a new one as soon as it is accepted."""


class Proxy:
    """Listens on `port` of 127.0.0.1 in a thread of its own and forwards to `target_port`. Close it at the end.

    `target_port` may be set later; until then whoever connects is sent away.
    """

    def __init__(self, target_port: int | None = None, delay_s: float = 2.0) -> None:
        self.port = free_port()
        self.target_port = target_port
        self.delay_s = delay_s
        self.connections = 0
        """Accepted so far."""
        self._mode = Mode.PASS
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._done: asyncio.Event = asyncio.Event()
        listening: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(listening)))
        self._thread.start()
        listening.result(10)

    def set(self, mode: Mode) -> None:
        """Change what happens, to open connections too; returns when it is in force."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self._loop).result(10)

    def close(self) -> None:
        """Cut everything and end the thread."""
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)
        self._loop.close()

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.HOLE:
            self._flows.clear()
        else:
            self._flows.set()
        if mode is Mode.RESET:
            for writer in list(self._open):
                _reset(writer)

    async def _serve(self, listening: "Future[None]") -> None:
        try:
            server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(None)
        await self._done.wait()
        server.close()
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None, "a connection is handled in a task"
        self._open[writer] = task
        try:
            # A peer that vanishes is no error of the proxy's.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            del self._open[writer]
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        if self._mode is Mode.RESET or self.target_port is None:
            _reset(writer)
            return
        behind, ahead = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, ahead, late=False))
                pumps.create_task(self._pump(behind, writer, late=True))
        except* OSError as lost:
            _reset(writer)
            raise ConnectionError("one side is gone") from lost
        finally:
            ahead.close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, late: bool) -> None:
        """One direction. Reading and writing are apart, so that a delay is no limit to how much is on its way."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_WAITING_MAX)

        async def read() -> None:
            while True:
                data = await source.read(CHUNK_BYTES)
                delay_s = self.delay_s if late and self._mode is Mode.SLOW else 0.0
                await waiting.put((self._loop.time() + delay_s, data))
                if not data:
                    return

        async def write() -> None:
            while True:
                due_s, data = await waiting.get()
                if (left_s := due_s - self._loop.time()) > 0:
                    await asyncio.sleep(left_s)
                await self._flows.wait()
                if not data:
                    # The peer has ended; so does the whole connection, for none of these protocols half-closes.
                    raise ConnectionResetError("ended")
                target.write(data)
                await target.drain()

        async with asyncio.TaskGroup() as both:
            both.create_task(read())
            both.create_task(write())


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()
