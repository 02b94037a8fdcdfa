"""How the demo's people speak to the suite: through the front door, with tokens and signatures like anybody else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import orjson

from shared.devtools.demo.target import Target
from shared.kit import clock
from shared.kit.auth import signed_headers

TIMEOUT_S = 60.0
PATIENCE_S = 90.0
BUSY = frozenset({429, 502, 503, 504})
OPERATOR_TOKEN_S = 24 * 3600


class DoorError(RuntimeError):
    """The suite refused what the demo needs; the text is its own problem's."""


class Door:
    """One connection pool for everybody in the demo."""

    def __init__(self, target: Target) -> None:
        self.target = target
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        self._client = httpx.AsyncClient(base_url=target.url, timeout=TIMEOUT_S, limits=limits, trust_env=False)
        self._operator = target.identity.token("operator", "运维 Operator", ["operator"], ttl_s=OPERATOR_TOKEN_S)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    def token(self, sub: str, name: str, roles: Sequence[str], **claims: Any) -> str:
        """A token as the city's identity provider would issue it."""
        return self.target.identity.token(sub, name, list(roles), **claims)

    async def get(self, path: str, token: str | None = None, **query: Any) -> Any:
        """GET as the bearer, or as the operator."""
        return await self._send("GET", path, token, params=query)

    async def post(self, path: str, body: Any = None, token: str | None = None, **headers: str) -> Any:
        """POST as the bearer, or as the operator."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._send("POST", path, token, json=body if body is not None else {}, headers=named)

    async def put(self, path: str, body: Any, token: str | None = None) -> Any:
        """PUT as the bearer, or as the operator."""
        return await self._send("PUT", path, token, json=body)

    async def delete(self, path: str, token: str | None = None) -> None:
        """DELETE as the bearer, or as the operator."""
        await self._send("DELETE", path, token)

    async def send_bytes(self, path: str, content: bytes, media_type: str, token: str) -> Any:
        """POST something that is not JSON."""
        return await self._send("POST", path, token, content=content, headers={"content-type": media_type})

    async def get_bytes(self, path: str, token: str | None = None, **query: Any) -> bytes:
        """GET something that is not JSON."""
        headers = {"authorization": f"Bearer {token or self._operator}"}
        answer = await self._patiently(lambda: self._client.get(path, params=query, headers=headers))
        _raise_problem(answer)
        return answer.content

    async def signed(self, company: str, secret: bytes, path: str, body: Any) -> Any:
        """A company's signed POST."""
        raw = orjson.dumps(body)

        def send() -> Awaitable[httpx.Response]:
            # signed anew for each attempt: the id of a request is used up by the first
            headers = signed_headers(company=company, secret=secret, method="POST", target=path, body=raw)
            return self._client.post(path, content=raw, headers={**headers, "content-type": "application/json"})

        return _read(await self._patiently(send))

    async def _send(self, method: str, path: str, token: str | None, **arguments: Any) -> Any:
        headers = {"authorization": f"Bearer {token or self._operator}", **arguments.pop("headers", {})}
        return _read(await self._patiently(lambda: self._client.request(method, path, headers=headers, **arguments)))

    async def _patiently(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send, and again while the suite is busy or a connection breaks; all that the demo sends bears repeating."""
        deadline_s = clock.monotonic_s() + PATIENCE_S
        pause_s = 0.2
        while True:
            try:
                answer = await send()
                if answer.status_code not in BUSY or clock.monotonic_s() > deadline_s:
                    return answer
            except httpx.TransportError:
                if clock.monotonic_s() > deadline_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(3.0, pause_s * 2)


def _read(answer: httpx.Response) -> Any:
    _raise_problem(answer)
    return answer.json() if answer.content else None


def _raise_problem(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise DoorError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
