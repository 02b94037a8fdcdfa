"""A community's board of tasks: use cases on one pool, riders who are known, and time that can be moved."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from services.tasks.domain import Claim, Task
from services.tasks.settings import Settings
from services.tasks.store import claims, figures, tasks
from services.tasks.store.figures import Figures
from services.tasks.store.tasks import NewTask
from services.tasks.usecases import claiming, publishing, reviewing, weather, working
from services.tasks.usecases.claiming import Counter, Wish
from shared.events.deed_done import DEED_DONE
from shared.events.public_task_changed import PUBLIC_TASK_CHANGED
from shared.events.task_claim_changed import TASK_CLAIM_CHANGED
from shared.kit import clock
from shared.kit.areas import NO_MAP
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from tests.support import published, work_on

STREET, ELSEWHERE = "330114001", "330114002"
COMMUNITY = "330114001002"
SQL_KNOWN = """
INSERT INTO known_riders (rider_id, company, locale, consent, active, version)
SELECT id, $2, 'zh', true, true, 1 FROM unnest($1::uuid[]) AS n (id)
"""


def everywhere(_: str) -> bool:
    """Of an operator of the whole city."""
    return True


def next_day(hour: int, zone: Any) -> datetime:
    """Three days on, at an hour of the city."""
    day = clock.now().astimezone(zone).replace(hour=hour, minute=0, second=0, microsecond=0)
    return day + timedelta(days=3)


class Board:
    """What communities and riders do. Each call is a transaction of its own."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self.pool, self.settings = pool, settings
        self.sealer = Sealer(settings.sealing_key.get_secret_value())
        self.counter = Counter(settings, self.sealer)

    async def riders(self, number: int = 1, company: str = "suda") -> list[UUID]:
        """Riders who may claim."""
        made = [new_id() for _ in range(number)]
        await self.pool.execute(SQL_KNOWN, made, company)
        return made

    async def publish(self, **changed: Any) -> Task:
        """A night patrol for two in three days, unless something else is said."""
        starts_at = changed.pop("starts_at", None) or next_day(20, self.settings.city_zone)
        usual: dict[str, Any] = {
            "id": new_id(), "series_id": None, "team_id": None, "kind": "volunteer-task", "area_code": COMMUNITY,
            "title": "夜巡", "needs": "手电", "address": "东门", "lng": None, "lat": None, "skills": (), "capacity": 2,
            "points": 20, "points_given": 1_000, "starts_at": starts_at, "ends_at": starts_at + timedelta(hours=2),
            "hand_back_until": starts_at - timedelta(hours=2), "published_by": "op",
        }  # fmt: skip
        async with work_on(self.pool) as work:
            return await publishing.publish(self.settings, NO_MAP, work, NewTask(**usual | changed))

    async def claim(self, task: Task, rider: UUID, **wish: Any) -> Claim:
        async with work_on(self.pool) as work:
            asked = Wish(task.id, rider, **{"of_age": True} | wish)
            return await claiming.claim(self.counter, NO_MAP, work, asked)

    async def hand_back(self, claim: Claim) -> Claim:
        async with work_on(self.pool) as work:
            return await claiming.hand_back(work, claim.id, claim.rider_id)

    async def start(self, claim: Claim, place: working.Place | None = None) -> Claim:
        async with work_on(self.pool) as work:
            return await working.start(self.settings, NO_MAP, work, claim.id, claim.rider_id, place)

    async def finish(self, claim: Claim, note: str = "好了") -> Claim:
        async with work_on(self.pool) as work:
            return await working.finish(self.settings, work, claim.id, claim.rider_id, None, note)

    async def review(self, claim: Claim, by: str = "op", *, approved: bool = True, reason: str = "很好") -> Claim:
        async with work_on(self.pool) as work:
            return await reviewing.review(work, claim.id, by, everywhere, approved=approved, reason=reason)

    async def overturn(self, claim: Claim, by: str, reason: str = "照片是旧的") -> Claim:
        async with work_on(self.pool) as work:
            return await reviewing.overturn(work, claim.id, by, everywhere, reason)

    async def appeal(self, claim: Claim, words: str = "我确实到了") -> Claim:
        async with work_on(self.pool) as work:
            return await reviewing.appeal(self.settings, work, claim.id, claim.rider_id, words)

    async def decide(self, claim: Claim, by: str, *, granted: bool, reason: str = "再看过了") -> Claim:
        async with work_on(self.pool) as work:
            return await reviewing.decide(work, claim.id, by, everywhere, granted=granted, reason=reason)

    async def done(self, task: Task | None = None, rider: UUID | None = None) -> Claim:
        """A claim whose work waits for its review. The task runs from now on."""
        task = task or await self.publish()
        claim = await self.claim(task, rider or (await self.riders())[0])
        await self.runs(task)
        await self.start(claim)
        return await self.finish(claim)

    async def alarm(self, since: datetime, until: datetime, area: str = STREET) -> UUID:
        async with work_on(self.pool) as work:
            values = (area, since, until, "台风，请勿外出", "A typhoon: stay inside", "op")
            return (await weather.set_alarm(work, NO_MAP, 100, new_id(), values)).id

    async def end_alarm(self, id_: UUID) -> None:
        async with work_on(self.pool) as work:
            await weather.end_alarm(work, NO_MAP, 100, id_, "op")

    async def runs(self, task: Task, ago: timedelta = timedelta(minutes=1)) -> None:
        """Let the task have begun so long ago."""
        await self.pool.execute(
            "UPDATE tasks SET hand_back_until = $2, starts_at = $2, ends_at = $2::timestamptz + (ends_at - starts_at)"
            " WHERE id = $1", task.id, clock.now() - ago,
        )  # fmt: skip

    async def clock(self) -> None:
        """All that is done by the clock, once."""
        settings = self.settings
        turns: tuple[Callable[[Work], Awaitable[int]], ...] = (
            partial(weather.follow, NO_MAP, 100),
            partial(claiming.fill, 100),
            partial(publishing.close_lines, 100),
            partial(publishing.end_due, settings),
            partial(publishing.make_due, settings),
            partial(publishing.leave_topic, settings),
        )
        for turn in turns:
            async with work_on(self.pool) as work:
                await turn(work)

    async def task(self, task: Task) -> Task:
        async with self.pool.acquire() as conn:
            found = await tasks.task(conn, task.id)
        assert found is not None
        return found

    async def seen(self, claim: Claim) -> Claim:
        async with self.pool.acquire() as conn:
            found = await claims.claim(conn, claim.id)
        assert found is not None
        return found

    async def states(self, task: Task) -> list[str]:
        """Of all claims of a task, in its line's order."""
        rows = await self.pool.fetch("SELECT state FROM claims WHERE task_id = $1 ORDER BY no", task.id)
        return [row["state"] for row in rows]

    async def news(self) -> list[tuple[str, str]]:
        """What riders hear: who and what."""
        return [(one["rider_id"], one["news"]) for one in await published(self.pool, TASK_CLAIM_CHANGED)]

    async def deeds(self) -> list[tuple[str, str, int, int]]:
        """(action, state, units, version) of what points are asked, in order."""
        said = await self.pool.fetch("SELECT topic FROM outbox WHERE topic LIKE '%deed-done%' LIMIT 1")
        assert all(row["topic"] == DEED_DONE.member("tasks") for row in said)
        rows = [one for one in await published(self.pool) if "deed_id" in one]
        return [(one["action"], one["state"], one["quantity"], one["version"]) for one in rows]

    async def said(self, task: Task) -> list[dict[str, Any]]:
        """The task's public states."""
        return await published(self.pool, PUBLIC_TASK_CHANGED, task.id)

    async def figures(self) -> Figures:
        """All figures, which have to balance; kept numbers have to be what history says."""
        async with self.pool.acquire() as conn:
            found = await figures.figures(conn)
            assert not await counters.differences(conn)
        assert found.balanced, found
        return found
