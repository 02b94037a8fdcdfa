"""How synthetic people speak to a suite: through the front door, with tokens and signatures like anybody else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.provision.topology import Cluster

TIMEOUT_S = 60.0
PATIENCE_S = 90.0
BUSY = frozenset({429, 502, 503, 504})
OPERATOR_TOKEN_S = 24 * 3600


class Issuer(Protocol):
    """Whoever makes the tokens that the suite trusts: on one's own machine shared/devtools/identity.py."""

    @property
    def token(self) -> Callable[..., str]:
        """Makes a bearer token: of whom, their name, their roles, more claims."""


@dataclass(frozen=True)
class Target:
    """Where a suite is, who issues its tokens, and its Kafka as an administrator sees it."""

    url: str
    identity: Issuer
    cluster: Cluster
    services: tuple[str, ...]


class DoorError(RuntimeError):
    """The suite refused what was needed; the text is its own problem's."""


class Door:
    """One connection pool for everybody."""

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
            # signed again for each attempt: the id of a request is used up by the first
            headers = signed_headers(company=company, secret=secret, method="POST", target=path, body=raw)
            return self._client.post(path, content=raw, headers={**headers, "content-type": "application/json"})

        return _read(await self._patiently(send))

    async def _send(self, method: str, path: str, token: str | None, **arguments: Any) -> Any:
        headers = {"authorization": f"Bearer {token or self._operator}", **arguments.pop("headers", {})}
        return _read(await self._patiently(lambda: self._client.request(method, path, headers=headers, **arguments)))

    async def _patiently(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send, and again while the suite is busy or a connection breaks; all that is sent here bears repeating."""
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


async def until_key_known(
    client: httpx.AsyncClient, company: str, secret: bytes, wait_s: float, check: Callable[[], None] = lambda: None
) -> None:
    """Until intake takes the key: an empty batch is then refused for being empty, and before for its signature.

    Raises:
        TimeoutError: it doesn't within `wait_s`; and what `check` raises, which is asked meanwhile.
    """
    deadline_s, path, raw = clock.monotonic_s() + wait_s, "/v1/reports:batch", b'{"items":[]}'
    while True:
        headers = signed_headers(company=company, secret=secret, method="POST", target=path, body=raw)
        answer = await client.post(path, content=raw, headers={**headers, "content-type": "application/json"})
        if answer.status_code not in {401, 403, *BUSY}:
            return
        check()
        if clock.monotonic_s() > deadline_s:
            raise TimeoutError(f"intake doesn't know the company after {wait_s:.0f} s: {answer.text[:300]}")
        await asyncio.sleep(0.2)


def _read(answer: httpx.Response) -> Any:
    _raise_problem(answer)
    return answer.json() if answer.content else None


def _raise_problem(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise DoorError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
