"""Empty tables, the service's own role, and settings that let webhooks reach this machine."""

from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller

from services.notifications.settings import Settings
from shared.devtools.infra.ports import free_port
from shared.devtools.installation import Installation
from tests.services.notifications.mail import Mailbox
from tests.services.notifications.stage import Stage
from tests.support import emptied, settings_of

TABLES = (
    "messages", "known_riders", "known_companies", "preferences", "channels", "webhooks", "deliveries",
    "delivery_attempts", "channel_codes", "code_limits", "inbox", "case_reporters", "crowds",
)  # fmt: skip


@pytest.fixture
def settings(installation: Installation) -> Settings:
    """As the environment gives them to the process, with what only a test allows."""
    found: Settings = settings_of(
        installation,
        "notifications",
        webhook_http_allowed=True,
        webhook_networks_allowed=("127.0.0.0/8",),
        webhook_timeout_s=1.0,
        sender_poll_s=0.05,
    )
    return found


@pytest.fixture
async def stage(installation: Installation, pool_for, settings: Settings) -> Stage:
    await emptied(installation, "notifications", *TABLES)
    return Stage(await pool_for("notifications"), settings)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()
