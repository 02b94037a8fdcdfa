"""The front door's server."""

import asyncio

import httpx
import pytest

from shared.devtools.infra.caddy import start_caddy
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT
from shared.kit.proxies import Proxies

CADDYFILE = ":{$PORT} {\n\tbind 127.0.0.1\n\trespond /hello {$GREETING}\n}\n"


def test_caddy_serves_restarts_and_leaves_nothing() -> None:
    guard = Guard()
    try:
        port = free_port()
        door = start_caddy(guard, CADDYFILE, port, {"PORT": str(port), "GREETING": "hi"})
        assert httpx.get(f"{door.url}/hello").text == "hi"
        door.restart()
        assert httpx.get(f"{door.url}/hello").text == "hi"
        with pytest.raises(InfraError, match="nonsense"):
            start_caddy(guard, ":1 {\n\tnonsense\n}\n", port, name="other")
    finally:
        guard.close()
    assert not guard.folder.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(door.url)


async def test_the_front_door_says_who_calls_and_drops_what_callers_say() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server, guard = await asyncio.start_server(answer, "127.0.0.1", 0), Guard()
    try:
        upstream, port = str(server.sockets[0].getsockname()[1]), free_port()
        variables = {"BEEGRID_PORT": str(port), "TRACKING_HOST": "127.0.0.1", "TRACKING_PORT": upstream}
        caddyfile = (ROOT / "Caddyfile").read_text()
        door = await asyncio.to_thread(start_caddy, guard, caddyfile, port, variables)
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.3")) as client:
            answered = await client.get(f"{door.url}/city", headers={"x-forwarded-for": "198.51.100.1"})
            assert answered.status_code == 204
    finally:
        server.close()
        await asyncio.to_thread(guard.close)
    lines = [line for line in seen[0].decode().splitlines() if line.lower().startswith("x-forwarded-for:")]
    caller = Proxies.parse("127.0.0.1").caller("127.0.0.1", [line.partition(":")[2] for line in lines])
    assert caller == "127.0.0.3"
