"""An operator, riders and the clock of activities, on one pool."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.activities.domain import Activity, Signup, rider_code
from services.activities.store import activities as store
from services.activities.store import signups
from services.activities.store.activities import NewActivity
from services.activities.usecases import attending, publishing, saying, signing_up
from services.activities.usecases.attending import Door
from services.activities.usecases.publishing import TeamWanted
from services.activities.usecases.signing_up import Wish
from shared.events.deed_done import DEED_DONE
from shared.events.signup_changed import SIGNUP_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from shared.kit.refusals import Refusal
from tests.support import published, work_on

KEY = b"a key of the test"
HOUR = timedelta(hours=1)
DOOR = Door((KEY,), HOUR, HOUR)
AREA = "330114001"
SQL_RIDERS = """
INSERT INTO known_riders (rider_id, company, locale, consent, active, version)
SELECT unnest($1::uuid[]), $2, 'zh', true, true, 1
"""


class Club:
    """The service's use cases."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def riders(self, count: int, company: str = "suda") -> list[UUID]:
        """Riders who may act."""
        made = [new_id() for _ in range(count)]
        await self.pool.execute(SQL_RIDERS, made, company)
        return made

    async def publish(self, places: int = 3, *, teams: Sequence[TeamWanted] = (), **stated: Any) -> Activity:
        """An activity in a week, with sign-up until six hours before it."""
        start = clock.now() + timedelta(days=7)
        usual: dict[str, Any] = {
            "id": new_id(), "series_id": None, "template": None, "title_zh": "集体生日会", "title_en": "Birthday",
            "words_zh": "蛋糕", "words_en": "cake", "area_code": AREA, "address": "驿站二楼", "station_id": None,
            "organiser": "街道", "published_by": "op", "starts_at": start, "ends_at": start + 2 * HOUR,
            "signup_until": start - 6 * HOUR, "places": places, "way": "queue", "companies": (), "areas": (),
            "seed_hash": None,
        }  # fmt: skip
        async with work_on(self.pool) as work:
            return await publishing.create(work, NewActivity(**{**usual, **stated}), teams)

    async def wish(self, *wishes: Wish, signups_max: int = 20_000) -> list[Signup | Refusal]:
        """One batch."""
        async with work_on(self.pool) as work:
            return await signing_up.sign_up(signups_max, work, wishes)

    async def join(self, activity: Activity, *riders: UUID, **said: Any) -> list[Signup]:
        """Riders of whom none is refused."""
        outcomes = await self.wish(*(Wish(rider, activity.id, **said) for rider in riders))
        refused = [one for one in outcomes if isinstance(one, Refusal)]
        assert not refused, refused
        return [one for one in outcomes if isinstance(one, Signup)]

    async def cancel(self, activity: Activity, rider: UUID) -> Signup:
        async with work_on(self.pool) as work:
            return await signing_up.cancel(work, activity.id, rider)

    async def begins(self, activity: Activity, *, ago: timedelta) -> None:
        """Let it have begun so long ago."""
        await self.pool.execute(
            "UPDATE activities SET signup_until = now() - $2::interval - interval '6 hours',"
            " starts_at = now() - $2::interval, ends_at = now() - $2::interval + interval '2 hours' WHERE id = $1",
            activity.id, ago,
        )  # fmt: skip

    async def signup_is_over(self, activity: Activity) -> None:
        await self.pool.execute("UPDATE activities SET signup_until = now() WHERE id = $1", activity.id)

    async def draw(self) -> int:
        async with work_on(self.pool) as work:
            return await signing_up.draw(work)

    async def move_up(self) -> int:
        async with work_on(self.pool) as work:
            return await signing_up.move_up(work, 100)

    async def say(self) -> int:
        async with work_on(self.pool) as work:
            return await saying.say_changes(work, 100)

    async def remind(self) -> int:
        async with work_on(self.pool) as work:
            return await attending.remind(work, timedelta(hours=24), 100)

    async def close(self) -> int:
        async with work_on(self.pool) as work:
            return await attending.close(work, HOUR)

    async def show(self, activity: Activity, signup: Signup, code: str | None = None) -> Any:
        """A rider's code at the door."""
        async with work_on(self.pool) as work:
            found = await publishing.locked(work, activity.id, lambda _: True)
            return await attending.check_in_by_staff(DOOR, work, found, code or rider_code(KEY, signup), "staff-1")

    async def seen(self, activity: Activity) -> Activity:
        """As it is now, once all kept numbers were compared with what they count."""
        async with self.pool.acquire() as conn, conn.transaction():
            assert await counters.differences(conn) == []
            found = await store.activity(conn, activity.id)
            kept = await signups.tallies(conn)
        assert found is not None
        assert kept["signups"] == sum(kept[name] for name in ("confirmed", "waiting", "wished", "cancelled"))
        return found

    async def states(self, activity: Activity) -> list[str]:
        """States by number."""
        rows = await self.pool.fetch("SELECT state FROM signups WHERE activity_id = $1 ORDER BY number", activity.id)
        return [row["state"] for row in rows]

    async def heard(self, rider: UUID | None = None) -> Counter[str]:
        """What riders hear, or one of them."""
        said = await published(self.pool, SIGNUP_CHANGED)
        return Counter(one["what"] for one in said if rider is None or one["rider_id"] == str(rider))

    async def deeds(self) -> list[dict[str, Any]]:
        """What was reported for points."""
        rows = await self.pool.fetch("SELECT topic FROM outbox WHERE topic LIKE '%deed-done%'")
        assert {row["topic"] for row in rows} <= {DEED_DONE.member("activities")}
        return [one for one in await published(self.pool) if "deed_id" in one]
