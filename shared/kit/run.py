"""Run one service: the whole of a service's __main__."""

import asyncio
import sys
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from pydantic import ValidationError

from shared.kit.log import configure_logging
from shared.kit.service import Service
from shared.kit.tracing import configure_tracing

EXIT_MISCONFIGURED = 78


class _Server(uvicorn.Server):
    """Uvicorn that turns readiness off as soon as it is told to stop, so that no new work is sent here."""

    service: Service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by SIGTERM and SIGINT."""
        self.service.draining = True
        drain_s = self.service.settings.drain_s
        if drain_s and not self.should_exit:
            asyncio.get_event_loop().call_later(drain_s, super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)


def run(build: Callable[[], Service]) -> None:
    """Serve until SIGTERM; exits 3 when start-up fails and 78 when a setting is missing or wrong."""
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
    config = uvicorn.Config(
        service.app(),
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        timeout_keep_alive=30,
        backlog=2048,
    )
    server = _Server(config)
    server.service = service
    structlog.get_logger(__name__).info("service_starts", service=service.name, port=settings.http_port)
    server.run()
    if not server.started:
        raise SystemExit(3)
