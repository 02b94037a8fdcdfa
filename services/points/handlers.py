"""Kafka in."""

from collections.abc import Sequence

from services.points import usecases
from services.points.usecases import cases
from services.points.usecases.cases import Terms
from shared.events.case_changed import CaseChanged
from shared.events.redemption_changed import RedemptionChanged
from shared.kit.work import Event, Work


async def on_case_changed(terms: Terms, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Riders earn with the case's steps."""
    await cases.follow_cases(terms, work, events)


async def on_redemption_changed(work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Riders pay with the redemption's steps."""
    await usecases.follow_redemptions(work, events)
