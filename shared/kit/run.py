"""Run one service: the whole of a service's __main__."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import start_http_server
from pydantic import ValidationError

from shared.kit import metrics
from shared.kit.http.heads import BoundedHeads
from shared.kit.postgres.schema import versions_of
from shared.kit.service import Service
from shared.kit.service.reaching import Refused, reach
from shared.kit.settings import KitSettings
from shared.kit.telemetry.log import configure_logging
from shared.kit.telemetry.tracing import configure_tracing

EXIT_MISCONFIGURED = 78
TICK_S = 1.0


class _Server(uvicorn.Server):
    """Uvicorn that turns readiness off as soon as it is asked to stop, so that no new work is sent here."""

    service: Service
    _leaving: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Until it is to end. Uvicorn's own looks for that ten times a second; the rest that it does needs one."""
        self._leaving = asyncio.Event()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._leaving.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by SIGTERM and SIGINT."""
        self.service.draining = True
        drain_s = self.service.settings.drain_s
        if drain_s and not self.should_exit:
            asyncio.get_event_loop().call_later(drain_s, self._leave, sig, frame)
        else:
            self._leave(sig, frame)

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._leaving is not None:  # by the loop: a signal comes between any two of its steps
            asyncio.get_event_loop().call_soon_threadsafe(self._leaving.set)


def run(build: Callable[[], Service]) -> None:
    """Serve until SIGTERM.

    Raises:
        SystemExit: with 3 when start-up fails, with 78 when a setting is missing or wrong, or Postgres or Kafka
            refuses the service's user; while one of them is away, or the schema lacks migrations, it is waited for.
    """
    try:
        service = build()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "BEEGRID_" + "_".join(map(str, problem["loc"])).upper()
            print(f"{name}: {problem['msg']} (docs/settings.md lists every variable)", file=sys.stderr)
        raise SystemExit(EXIT_MISCONFIGURED) from None
    settings = service.settings
    configure_logging(service.name, settings.log_level)
    configure_tracing(service.name, settings.otlp_endpoint, settings.trace_ratio)
    server = _Server(config_of(service.app(), settings))
    server.service = service
    structlog.get_logger(__name__).info("service_starts", service=service.name, port=settings.http_port)
    if settings.metrics_port:
        serve_metrics(settings.http_host, settings.metrics_port)
    try:
        asyncio.run(reach(settings, service.name, versions_of(service.migrations)))
    except Refused as refused:
        structlog.get_logger(__name__).error("service_refused", reason=str(refused))
        raise SystemExit(EXIT_MISCONFIGURED) from None
    server.run()
    if not server.started:
        raise SystemExit(3)


def serve_metrics(host: str, port: int) -> int:
    """Serves the metrics alone, from a thread that ends with the process; the port (another one for 0).

    A network policy knows ports and no paths: whoever may read metrics needs no way to the port of the requests, where
    pods of the front door's network are believed about whom they speak for.

    Raises:
        OSError: the port is taken.
    """
    server, _ = start_http_server(port, host, metrics.REGISTRY)
    return int(server.server_port)


def config_of(app: FastAPI, settings: KitSettings) -> uvicorn.Config:
    """How a service's port is served."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        http=BoundedHeads,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # read by the kit, which trusts the proxies of the settings alone
        timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        timeout_keep_alive=30,
        backlog=2048,
    )
