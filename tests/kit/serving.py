"""A port of the kit's own configuration for an app without anything behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import uvicorn

from shared.kit.run import config_of
from shared.kit.settings import KitSettings

SETTINGS = SimpleNamespace(http_host="127.0.0.1", http_port=0, shutdown_grace_s=1.0)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """The port at which an ASGI app is served, in this loop, until the end."""
    config = config_of(cast(Any, app), cast(KitSettings, SETTINGS))
    config.lifespan = "off"
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving
