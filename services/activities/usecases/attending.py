"""Before, at and after an activity: reminders, check-in once, the books closed, what riders say of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from services.activities import metrics, problems
from services.activities.domain import (
    DEED,
    Activity,
    Signup,
    bare,
    is_rider_code,
    is_site_code,
    number_of,
)
from services.activities.store import activities as store
from services.activities.store import after, signups
from services.activities.store.after import CheckIn, Opinion
from services.activities.usecases import saying
from shared.events.deed_done import DEED_DONE, DeedDone
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found


@dataclass(frozen=True, slots=True)
class Door:
    """What checking in needs besides the database."""

    keys: tuple[bytes, ...]
    early: timedelta
    late: timedelta


async def check_in_by_staff(door: Door, work: Work, activity: Activity, code: str, by: str) -> CheckIn:
    """Take a rider's own code; the activity is locked. Shown again: the same answer, and nothing twice.

    Raises:
        Refusal: `doors_closed`, `code_wrong`, `no_place`.
    """
    _open(door, work, activity)
    signup = await signups.by_number(work.conn, activity.id, number_of(code))
    if signup is None or signup.rider_id is None or not is_rider_code(door.keys, signup, bare(code)):
        raise problems.CODE_WRONG()
    return await _enter(work, activity, signup, signup.rider_id, by)


async def check_in_at_site(door: Door, work: Work, activity_id: UUID, code: str, rider_id: UUID) -> CheckIn:
    """Take the code that is shown at the place, from a rider who has signed up.

    Raises:
        Refusal: no such activity or sign-up; `doors_closed`, `code_wrong`, `no_place`.
    """
    activity = (await store.lock(work.conn, [activity_id])).get(activity_id)
    if activity is None:
        raise not_found("activity")
    _open(door, work, activity)
    if not is_site_code(door.keys, activity_id, work.now, bare(code)):
        raise problems.CODE_WRONG()
    signup = await signups.last_of(work.conn, activity_id, rider_id)
    if signup is None:
        raise not_found("signup")
    return await _enter(work, activity, signup, rider_id, None)


def _open(door: Door, work: Work, activity: Activity) -> None:
    if not activity.doors_open(work.now, door.early, door.late):
        raise problems.DOORS_CLOSED()


async def _enter(work: Work, activity: Activity, signup: Signup, rider_id: UUID, by: str | None) -> CheckIn:
    if signup.state != "confirmed":
        raise problems.NO_PLACE(state=signup.state)
    way: Literal["site", "staff"] = "site" if by is None else "staff"
    new = CheckIn(activity.id, rider_id, signup.id, new_id(), way, by, work.now)
    if not await after.check_in(work.conn, new):
        known = await after.one_check_in(work.conn, activity.id, rider_id)
        assert known is not None, "it was in the way"
        return known
    await signups.attended(work.conn, signup.id)
    report_deed(work, activity, new)
    metrics.CHECK_INS.labels(way).inc()
    return new


async def undo(work: Work, activity: Activity, number: int, reason: str) -> Signup:
    """Take back a check-in that was a mistake, while the books are open: what it earned goes, the rider may come again.

    Raises:
        Refusal: no such check-in; `doors_closed` once the books are closed.
    """
    signup = await signups.by_number(work.conn, activity.id, number)
    if signup is None:
        raise not_found("check-in")
    if activity.state != "open":
        raise problems.DOORS_CLOSED()
    undone = await after.undo(work.conn, activity.id, signup.id)
    if undone is None:
        raise not_found("check-in")
    await signups.not_attended(work.conn, signup.id)
    report_deed(work, activity, undone, reason)
    metrics.CHECK_INS.labels("undone").inc()
    found = await signups.by_number(work.conn, activity.id, number)
    assert found is not None, "it was there"
    return found


def report_deed(work: Work, activity: Activity, done: CheckIn, wrong: str = "") -> None:
    """Let the check-in earn what the rules say (ADR 87); `wrong`: why it is withdrawn."""
    deed = DeedDone(
        deed_id=done.deed_id, action=DEED, rider_id=done.rider_id, area_code=activity.area_code,
        done_at=done.checked_in_at, confirmed_by=activity.area_code, state="withdrawn" if wrong else "done",
        reason=wrong, changed_at=work.now,
    )  # fmt: skip
    work.publish(DEED_DONE, deed, version=2 if wrong else 1, service="activities")


async def remind(work: Work, before: timedelta, most: int) -> int:
    """Remind some riders who have a place, each once."""
    reminded = await signups.remind(work.conn, before, most)
    for id_ in {one.activity_id for one in reminded}:
        activity = await store.activity(work.conn, id_)
        assert activity is not None, "its sign-ups refer to it"
        saying.notify(work, activity, [one for one in reminded if one.activity_id == id_], "reminded")
    return len(reminded)


async def close(work: Work, late: timedelta) -> int:
    """Close the books of one activity that is over: who had a place and did not check in is a no-show."""
    id_ = await store.lock_ended(work.conn, late)
    if id_ is None:
        return 0
    await signups.no_shows(work.conn, id_)
    await store.over(work.conn, id_)
    return 1


async def say_opinion(work: Work, activity_id: UUID, rider_id: UUID, stars: int, words: str) -> Opinion:
    """Keep what a rider who was there says of it, masked already; again: instead of what they said.

    Raises:
        Refusal: `not_attended`.
    """
    said = await after.say_opinion(work.conn, activity_id, rider_id, new_id(), stars, words, work.now)
    if said is None:
        raise problems.NOT_ATTENDED()
    return said
