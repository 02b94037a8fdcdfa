"""A service's tasks: each has a name of its own, and ends when the process does."""

import asyncio
from datetime import timedelta

import pytest

from services.notifications.app import build
from services.notifications.settings import Settings
from shared.kit.service import Service, tasks
from shared.kit.service.tasks import OWN_TASKS, Tasks
from shared.kit.settings import KitSettings

SETTINGS = {
    "postgres_dsn": "postgresql://nobody@127.0.0.1/none",
    "kafka_bootstrap": "127.0.0.1:1",
    "kafka_username": "x",
    "kafka_password": "x",
    "redis_url": "redis://127.0.0.1/0",
    "jwks_url": "file:///dev/null",
    "sealing_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


async def task() -> None:
    """Nothing."""


@pytest.mark.parametrize("name", ["sweep", *sorted(OWN_TASKS)])
async def test_a_name_is_taken_once(name: str) -> None:
    service = Service("points", KitSettings.model_validate(SETTINGS), title="test")
    if name not in OWN_TASKS:
        service.background(name, task)
    with pytest.raises(ValueError, match="already"):
        service.background(name, task)


async def test_a_task_that_swallows_a_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.05)
    some, swallowed = Tasks("points"), []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) == 3:
                    raise

    some.spawn("deaf", deaf)
    await asyncio.sleep(0)
    await asyncio.wait_for(some.cancel(), 5)
    assert len(swallowed) == 3


async def test_a_setting_says_how_long_messages_stay() -> None:
    service = build(Settings.model_validate(SETTINGS | {"message_kept_days": 7}))
    assert service.ages["messages"] == timedelta(days=7)
    assert "sweep" in service.tasks.kept
