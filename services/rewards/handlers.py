"""Kafka in."""

from collections.abc import Sequence

from services.rewards.usecases import redemptions
from services.rewards.usecases.redemptions import Desk
from shared.events.account_changed import AccountChanged
from shared.kit.work import Event, Work


async def on_account_changed(desk: Desk, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Points answer a redemption."""
    await redemptions.follow_accounts(desk, work, events)
