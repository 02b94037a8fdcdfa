"""The command talks to a suite that is played."""

import httpx
import pytest

from shared.cli import reports
from shared.cli.client import Client
from tests.tools.cli.played import Suite


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The command talks to it."""
    played = Suite()
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", httpx.MockTransport(played)))
    monkeypatch.setattr(reports.time, "sleep", lambda _s: None)
    return played
