"""From wish to place: first come first served or by lot, waiting, moving up. The activity's row is the lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.activities import metrics, problems
from services.activities.domain import Activity, Signup, drawn_order
from services.activities.store import activities as store
from services.activities.store import signups
from services.activities.store.signups import NewSignup
from services.activities.usecases import saying
from shared.kit.areas import AreaTree
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found
from shared.kit.refusals import Refusal
from shared.known import riders as known_riders
from shared.known.domain import Rider, rider_refusal


@dataclass(frozen=True, slots=True)
class Wish:
    """One rider wants to come. `area_code`: where they work, for activities of certain areas; it is not kept."""

    rider_id: UUID
    activity_id: UUID
    photo_consent: bool = False
    team: str | None = None
    area_code: str | None = None
    tree: AreaTree | None = None


async def sign_up(signups_max: int, work: Work, wishes: Sequence[Wish]) -> list[Signup | Refusal]:
    """Many riders' wishes in one transaction, in the order in which they came; one outcome each.

    Who has a sign-up already gets it again. Refusals: no such activity, `signup_closed`, `not_for_you_here`,
    `unknown_team`, `list_full`, and why a rider may not act.
    """
    locked = await store.lock(work.conn, {wish.activity_id for wish in wishes})
    riders = await known_riders.by_id(work.conn, {wish.rider_id for wish in wishes})
    there = await signups.of(work.conn, {(wish.activity_id, wish.rider_id) for wish in wishes})
    teams = {id_: await _teams(work, id_) for id_ in {wish.activity_id for wish in wishes if wish.team is not None}}
    new: dict[tuple[UUID, UUID], NewSignup] = {}
    refused: dict[int, Refusal] = {}
    numbers = {id_: found.signups for id_, found in locked.items()}
    for at, wish in enumerate(wishes):
        key = (wish.activity_id, wish.rider_id)
        if key in there or key in new:
            continue
        activity = locked.get(wish.activity_id)
        why = _refusal(work, wish, activity, riders.get(wish.rider_id), teams.get(wish.activity_id, frozenset()))
        if why is None and numbers[wish.activity_id] >= signups_max:
            why = problems.LIST_FULL()
        if why is not None:
            refused[at] = why
            metrics.REFUSALS.labels(why.code).inc()
            continue
        numbers[wish.activity_id] += 1
        company = riders[wish.rider_id].company
        new[key] = NewSignup(
            new_id(), wish.activity_id, wish.rider_id, company, wish.team, wish.photo_consent, at
        )  # fmt: skip
    for made in await signups.add(work.conn, list(new.values()), work.now) if new else []:
        assert made.rider_id is not None, "it was written just now"
        assert made.state != "cancelled", "the same"
        there[(made.activity_id, made.rider_id)] = made
        saying.notify(work, locked[made.activity_id], [made], made.state)
        metrics.SIGNUPS.labels(made.state).inc()
    return [refused[at] if at in refused else there[(one.activity_id, one.rider_id)] for at, one in enumerate(wishes)]


async def _teams(work: Work, id_: UUID) -> frozenset[str]:
    return frozenset(one.code for one in await store.teams(work.conn, id_))


def _refusal(
    work: Work, wish: Wish, activity: Activity | None, rider: Rider | None, teams: frozenset[str]
) -> Refusal | None:
    if activity is None:
        return not_found("activity")
    if (why := rider_refusal(rider)) is not None:
        return why
    assert rider is not None, "who is unknown is refused"
    if activity.state != "open" or work.now >= activity.signup_until or activity.drawn_at is not None:
        return problems.SIGNUP_CLOSED()
    if activity.companies and rider.company not in activity.companies:
        return problems.NOT_FOR_YOU_HERE()
    if activity.areas and not _works_in(activity.areas, wish):
        return problems.NOT_FOR_YOU_HERE()
    return problems.UNKNOWN_TEAM() if wish.team is not None and wish.team not in teams else None


def _works_in(areas: Sequence[str], wish: Wish) -> bool:
    if wish.area_code is None:
        return False
    if wish.tree is None:
        return wish.area_code in areas
    return any(wish.tree.covers(area, wish.area_code) for area in areas)


async def cancel(work: Work, activity_id: UUID, rider_id: UUID) -> Signup:
    """Give a place or a wish back; the next who waits moves up in the same transaction. Again: the same answer.

    Raises:
        Refusal: no such sign-up; `signup_over` once the activity has begun.
    """
    activity = (await store.lock(work.conn, [activity_id])).get(activity_id)
    last = await signups.last_of(work.conn, activity_id, rider_id)
    if activity is None or last is None:
        raise not_found("signup")
    if last.state == "cancelled":
        return last
    gone = None
    if activity.state == "open" and work.now < activity.starts_at:
        gone = await signups.cancel(work.conn, activity_id, rider_id)
    if gone is None:
        raise problems.SIGNUP_OVER()
    saying.notify(work, activity, [gone], "cancelled")
    metrics.SIGNUPS.labels("cancelled").inc()
    if last.state == "confirmed":
        await _move_up(work, {activity_id: activity})
    return gone


async def move_up(work: Work, most: int) -> int:
    """Give places on that have become free otherwise: a rider has left for good, or there are more places."""
    ids = await store.lock_to_move_up(work.conn, most)
    if not ids:
        return 0
    return await _move_up(work, await store.lock(work.conn, ids))


async def _move_up(work: Work, locked: dict[UUID, Activity]) -> int:
    moved = await signups.move_up(work.conn, locked, work.now)
    for one in moved:
        saying.notify(work, locked[one.activity_id], [one], "moved_up")
    metrics.SIGNUPS.labels("moved_up").inc(len(moved))
    return len(moved)


async def draw(work: Work) -> int:
    """Hold one draw that is due: the order of the numbers follows from the seed, whose hash was published before."""
    activity = await store.lock_to_draw(work.conn)
    if activity is None:
        return 0
    seed = await store.seed(work.conn, activity.id)
    gone = await signups.withdrawn(work.conn, activity.id)
    order = drawn_order(seed, activity.id, activity.signups, gone)
    drawn = await signups.draw(work.conn, activity.id, order, activity.places, work.now)
    await store.drawn(work.conn, activity.id, work.now)
    for one in drawn:
        saying.notify(work, activity, [one], "drawn" if one.state == "confirmed" else "not_drawn")
    metrics.DRAWS.inc()
    return 1
