"""What the riders service hears on Kafka."""

from collections.abc import Sequence

from services.riders import usecases
from shared.events.inbound_riders import RiderSubmission
from shared.kit.work import Event, Work


async def on_rider_submission(work: Work, events: Sequence[Event[RiderSubmission]]) -> None:
    """A company registered or changed riders."""
    await usecases.take_submissions(work, events)
