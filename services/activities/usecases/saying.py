"""What is published of activities and sign-ups."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from services.activities import metrics
from services.activities.domain import Activity, Signup, What
from services.activities.store import activities as store
from shared.events.public_activity_changed import PUBLIC_ACTIVITY_CHANGED, PublicActivityChanged
from shared.events.signup_changed import SIGNUP_CHANGED, SignupChanged
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

_FIELDS = [name for name in PublicActivityChanged.model_fields if name not in ("activity_id", "seed")]


def notify(work: Work, activity: Activity, signups: Iterable[Signup], what: What) -> None:
    """Let riders hear of their sign-ups; an erased rider hears nothing."""
    for one in signups:
        if one.rider_id is None:
            continue
        body = SignupChanged(
            signup_id=one.id, activity_id=activity.id, rider_id=one.rider_id, what=what, number=one.number,
            turn=one.turn, title_zh=activity.title_zh, title_en=activity.title_en, address=activity.address,
            starts_at=activity.starts_at, signup_until=activity.signup_until, reason=activity.reason or "",
            changed_at=work.now,
        )  # fmt: skip
        work.publish(SIGNUP_CHANGED, body, version=one.version)


async def say_changes(work: Work, most: int) -> int:
    """Publish the states of activities whose numbers or words have changed: many changes of a moment are one event."""
    found = await store.say(work.conn, most)
    seeds = await store.seeds_drawn(work.conn, [one.id for one in found])
    publish(work, found, seeds)
    return len(found)


def publish(work: Work, found: Iterable[Activity], seeds: Mapping[UUID, str]) -> None:
    """Publish states with the versions that the rows have."""
    for one in found:
        values = {name: getattr(one, name) for name in _FIELDS}
        body = PublicActivityChanged(activity_id=one.id, seed=seeds.get(one.id), **values)
        work.publish(PUBLIC_ACTIVITY_CHANGED, body, version=one.said)


async def measure(conn: Connection) -> None:
    """Set the gauge of draws that are overdue."""
    metrics.OVERDUE.set(await store.overdue_s(conn))
