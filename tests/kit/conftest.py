"""Quiet logs: structlog's own default draws tracebacks in colours, which takes seconds each."""

import io

import pytest

from shared.kit.telemetry.log import configure_logging
from tests.kit.database import dsn, dsns, guards, pool

__all__ = ["dsn", "dsns", "guards", "pool"]  # fixtures for every folder


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logging("test", "WARNING", io.StringIO())
