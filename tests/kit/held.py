"""A request whose answer its caller doesn't read yet: ASGI straight, since clients in this process read at once."""

import asyncio
from typing import Any

from starlette.datastructures import Headers


class Held:
    """A request under way; its answer waits behind the first piece until `read`."""

    def __init__(self, app: Any, path: str, headers: dict[str, str]) -> None:
        self._may_go = asyncio.Event()
        self._gone = asyncio.Event()
        self._begun = asyncio.Event()
        self._asked = False
        self.pieces: list[bytes] = []
        self.status = 0
        self.headers = Headers()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("kit", 80),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))
        self.task.add_done_callback(lambda _: self._begun.set())

    async def begun(self) -> int:
        """The answer's status, when its first piece was sent or it has ended."""
        await self._begun.wait()
        return self.status

    def read(self) -> None:
        """The caller reads from now on."""
        self._may_go.set()

    def leave(self) -> None:
        """The caller closes the connection."""
        self._gone.set()

    def cancel(self) -> None:
        """The server ends the request."""
        self.task.cancel()

    async def whole(self) -> bytes:
        """The body, when all of it was read."""
        await self.task
        return b"".join(self.pieces)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], Headers(raw=message["headers"])
            return
        self.pieces.append(message.get("body", b""))
        self._begun.set()
        if message.get("more_body", False):
            await self._may_go.wait()
