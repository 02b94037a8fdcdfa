"""What the notifications service hears on Kafka."""

from collections.abc import Sequence

from services.notifications.settings import Settings
from services.notifications.usecases import cases, telling
from shared.events.account_changed import AccountChanged
from shared.events.case_changed import CaseChanged
from shared.events.redemption_changed import RedemptionChanged
from shared.kit.areas.following import KnownAreas
from shared.kit.work import Event, Work


async def on_account_changed(settings: Settings, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Points moved, or a wish was refused."""
    await telling.tell_movements(settings, work, events)


async def on_case_changed(
    settings: Settings, known: KnownAreas, work: Work, events: Sequence[Event[CaseChanged]]
) -> None:
    """Cases took a step."""
    await cases.tell_cases(settings, work, events, known.tree)


async def on_redemption_changed(settings: Settings, work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Redemptions took a step."""
    await telling.tell_redemptions(settings, work, events)
