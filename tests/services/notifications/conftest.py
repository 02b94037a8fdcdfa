"""Empty tables, the service's own role, and settings that let webhooks reach this machine."""

from collections.abc import Iterator

import asyncpg
import pytest
from aiosmtpd.controller import Controller

from services.notifications.settings import Settings
from shared.devtools.infra.ports import free_port
from shared.devtools.installation import Installation
from shared.provision.postgres import owner_role
from tests.services.notifications.mail import Mailbox
from tests.services.notifications.stage import Stage

TABLES = (
    "messages, known_riders, known_companies, preferences, channels, webhooks, deliveries, delivery_attempts, "
    "channel_codes, code_limits, inbox, outbox, dead_letters, case_reporters, crowds"
)


@pytest.fixture
def settings(installation: Installation) -> Settings:
    """As the environment gives them to the process, with what only a test allows."""
    names = installation.environment("notifications")
    values = {
        name.removeprefix("BEEGRID_").lower(): value for name, value in names.items() if name.startswith("BEEGRID_")
    }
    return Settings(
        **values,
        webhook_http_allowed=True,
        webhook_networks_allowed=("127.0.0.0/8",),
        webhook_timeout_s=1.0,
        sender_poll_s=0.05,
    )


@pytest.fixture
async def stage(installation: Installation, pool_for, settings: Settings) -> Stage:
    """Emptied before the test by the owner, since the service's own role can't truncate."""
    owner = await asyncpg.connect(installation.dsn("notifications", owner_role))
    try:
        await owner.execute(f"TRUNCATE counters, dead_letters, erased_riders, {TABLES}")
    finally:
        await owner.close()
    return Stage(await pool_for("notifications"), settings)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()
