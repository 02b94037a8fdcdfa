"""Quiet logs: structlog's own default draws tracebacks in colours, which takes seconds each."""

import io

import pytest

from shared.kit.log import configure_logging


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logging("test", "WARNING", io.StringIO())
