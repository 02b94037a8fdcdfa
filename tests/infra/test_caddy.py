"""The front door's server."""

import httpx
import pytest

from shared.devtools.infra.caddy import start_caddy
from shared.devtools.infra.process import InfraError, free_port
from shared.devtools.infra.watchdog import Guard

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
