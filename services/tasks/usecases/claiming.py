"""Riders claim places, wait for them, and hand them back. The task's row is the lock: first come, first served."""

from dataclasses import dataclass
from uuid import UUID

from services.tasks import metrics, problems
from services.tasks.domain import Claim, Moves, Task, pauses_until
from services.tasks.settings import Settings
from services.tasks.store import claims, tasks, teams
from services.tasks.store.claims import NewClaim
from services.tasks.usecases import weather
from services.tasks.usecases.saying import notify, say
from shared.kit.areas import AreaTree
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found
from shared.kit.refusals import Refusal
from shared.known import riders as known_riders
from shared.known.domain import rider_refusal

SEALED_FOR = "tasks"


@dataclass(frozen=True, slots=True)
class Wish:
    """A rider wants a place. `contact`: whom to call if something happens; `wait`: in a line if there is none."""

    task_id: UUID
    rider_id: UUID
    of_age: bool
    wait: bool = True
    contact: str | None = None
    team_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """What claiming needs beside the database."""

    settings: Settings
    sealer: Sealer


async def claim(counter: Counter, tree: AreaTree, work: Work, wish: Wish) -> Claim:
    """Give a rider a place, or the next number of the waiting list.

    Raises:
        Refusal: why they get neither.
    """
    try:
        made = await _claim(counter, tree, work, wish)
    except Refusal as refusal:
        metrics.REFUSALS.labels(refusal.code).inc()
        raise
    metrics.CLAIMS.labels(made.state).inc()
    return made


async def _claim(counter: Counter, tree: AreaTree, work: Work, wish: Wish) -> Claim:
    rider = (await known_riders.by_id(work.conn, [wish.rider_id])).get(wish.rider_id)
    if (refusal := rider_refusal(rider)) is not None:
        raise refusal
    assert rider is not None, "who is not known was refused"
    if not wish.of_age:
        raise problems.NOT_OF_AGE()
    await _check_no_shows(counter.settings, work, wish.rider_id)
    task = await tasks.lock(work.conn, wish.task_id)
    if task is None:
        raise not_found("task")
    await _check(work, tree, task, wish)
    placed = task.taken < task.capacity and not (task.waiting and task.line_open_at(work.now))
    if not placed and not (wish.wait and task.line_open_at(work.now)):
        raise problems.TASK_FULL()
    id_ = new_id()
    sealed = None if wish.contact is None else counter.sealer.seal(wish.contact.encode(), SEALED_FOR, str(id_))
    new = NewClaim(
        id_, task.id, wish.rider_id, rider.company, wish.team_id or task.team_id, task.claims + 1,
        "claimed" if placed else "waiting", wish.of_age, sealed,
    )  # fmt: skip
    made = await claims.add(work.conn, new)
    if made is None:
        raise problems.ALREADY_CLAIMED()
    say(work, await tasks.move(work.conn, task.id, Moves(claims=1, taken=int(placed), waiting=int(not placed))))
    return made


async def _check(work: Work, tree: AreaTree, task: Task, wish: Wish) -> None:
    if task.state != "open":
        raise problems.TASK_NOT_OPEN(state=task.state)
    if work.now >= task.starts_at:
        raise problems.TASK_BEGUN()
    await weather.refuse(work, tree, task)
    for team_id in {task.team_id, wish.team_id} - {None}:
        assert team_id is not None, "taken out"
        if not await teams.is_member(work.conn, team_id, wish.rider_id):
            raise problems.NOT_IN_TEAM()


async def _check_no_shows(settings: Settings, work: Work, rider_id: UUID) -> None:
    missed = await claims.missed(work.conn, rider_id, settings.no_shows_max)
    until = pauses_until(missed, settings.no_shows_max, settings.no_shows_within, settings.no_show_pause)
    if until is not None and work.now < until:
        raise problems.CLAIMS_PAUSE(until=until.isoformat())


async def hand_back(work: Work, claim_id: UUID, rider_id: UUID) -> Claim:
    """Give up a place, or leave the line; the first who waits gets the place. Again: the same answer.

    Raises:
        Refusal: no such claim of the rider; `hand_back_over`; `claim_moved_on` with its state.
    """
    task, found = await locked(work, claim_id, rider_id)
    if found.state == "handed_back":
        return found
    if found.state not in ("waiting", "claimed"):
        raise problems.CLAIM_MOVED_ON(state=found.state)
    if found.state == "claimed" and not task.paused and not task.line_open_at(work.now):
        raise problems.HAND_BACK_OVER(until=task.hand_back_until.isoformat())
    return await give_back(work, task, found)


async def locked(work: Work, claim_id: UUID, rider_id: UUID | None = None) -> tuple[Task, Claim]:
    """A claim behind its task's lock. `rider_id`: whose it has to be. Raises the 404 problem."""
    seen = await claims.claim(work.conn, claim_id)
    if seen is None or rider_id not in (None, seen.rider_id):
        raise not_found("claim")
    task = await tasks.lock(work.conn, seen.task_id)
    found = await claims.lock(work.conn, claim_id)
    assert task is not None, "tasks stay"
    assert found is not None, "claims stay"
    return task, found


async def give_back(work: Work, task: Task, found: Claim) -> Claim:
    """Free what a claim has, and let the next ones have it."""
    made = await claims.end(work.conn, found.id, "handed_back", ("waiting", "claimed"))
    assert made is not None, "it is locked, and was looked at"
    placed = int(found.state == "claimed")
    task = await tasks.move(work.conn, task.id, Moves(taken=-placed, waiting=placed - 1, handed_back=1))
    say(work, await promote(work, task))
    return made


async def promote(work: Work, task: Task) -> Task:
    """Give free places to those who wait, in the line's order, while they can still hand them back."""
    while task.state == "open" and not task.paused and task.taken < task.capacity and task.line_open_at(work.now):
        got = await claims.promote(work.conn, task.id)
        if got is None:
            break
        task = await tasks.move(work.conn, task.id, Moves(taken=1, waiting=-1))
        metrics.PROMOTED.inc()
        notify(work, task, got, "promoted")
    return task


async def fill(rows_max: int, work: Work) -> int:
    """By the clock: free places that somebody waits for, and places of riders who left; how many tasks were filled."""
    gone = await claims.of_gone(work.conn, rows_max)
    for claim_id in gone:
        task, found = await locked(work, claim_id)
        if found.state in ("waiting", "claimed"):
            await give_back(work, task, found)
    ids = await tasks.to_fill(work.conn, rows_max) if not gone else []
    for task_id in ids:
        before = await tasks.lock(work.conn, task_id)
        assert before is not None, "tasks stay"
        if (after := await promote(work, before)).version > before.version:
            say(work, after)
    return len(gone) + len(ids)
