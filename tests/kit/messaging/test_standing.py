"""Too many that fail alike: the topic stands still and says so, instead of being buried as a whole."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock, metrics
from shared.kit.consuming import standing
from shared.kit.ids import new_id
from shared.kit.letters import letter_limit
from shared.kit.messaging.work import Event, Work
from shared.kit.service import Service
from shared.provision.postgres import owner_role
from tests.kit.messaging import test_strangers
from tests.kit.messaging.conftest import NOT_OURS, report, running
from tests.kit.messaging.strangers import inbound, producer, submission
from tests.kit.messaging.test_strangers import GOOD, STRANGER, Door, until_settled
from tests.support import settings_of, until

door = test_strangers.door
LIMIT, WAIT_S = 50, 60.0
TRY_S = 0.4
"""Between two tries of what stands still, instead of a second and more."""
STILL_S = 4 * TRY_S
TOPIC = REPORT_RECEIVED.name
QUICK = {"handler_attempts_max": 2, "letters_alike_max": LIMIT, "batch_records_max": 100}


@dataclass
class Hearing:
    """Routing with a release of the test's own: `fails` says what it can't handle."""

    installation: Installation
    publisher: Service
    pool: asyncpg.Pool
    fails: Callable[[Event[Any]], bool] = lambda event: True
    refuses: bool = False
    keys: list[UUID] = field(default_factory=list)

    async def handle(self, work: Work, events: Sequence[Event[Any]]) -> None:
        """A release."""
        for event in events:
            if self.fails(event):
                if not self.refuses:
                    raise TypeError("a bad release")
                work.reject(event, NOT_OURS("a bad release"))
        gone = {rejection.event_id for rejection in work.rejections}
        rows = [(event.key, event.version, event.data.text) for event in events if event.id not in gone]
        await work.conn.copy_records_to_table("effects", records=rows, columns=("key", "version", "text"))

    async def publish(self, count: int, text: str = "", keys: Sequence[UUID] = ()) -> None:
        """So many reports; each of a key of its own, or of these in turn."""
        made = [keys[n % len(keys)] if keys else new_id() for n in range(count)]
        self.keys += made
        versions: Counter[UUID] = Counter()
        async with self.publisher.work() as work:
            for key in made:
                versions[key] += 1
                work.publish(REPORT_RECEIVED, report(text, key), version=versions[key])

    @contextlib.asynccontextmanager
    async def release(self, **changes: Any) -> AsyncIterator[Service]:
        """One process of the service."""
        service = Service("routing", settings_of(self.installation, "routing", **{**QUICK, **changes}), title="hearer")
        service.consumes(REPORT_RECEIVED, self.handle)
        async with running(service):
            yield service

    async def effects(self) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM effects")
        return count

    async def letters(self) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM dead_letters")
        return count

    async def until(self, done: Callable[[], Awaitable[bool]], what: str) -> None:
        async def so_far() -> str:
            return f"{what}; {await self.effects()=} {await self.letters()=}"

        await until(done, so_far, WAIT_S)

    async def until_still(self, *services: Service, letters: int) -> None:
        """Wait until these processes stand still, with so many letters at least, and bury nothing for several tries."""
        buried, since_s = -1, clock.monotonic_s()

        async def still() -> bool:
            nonlocal buried, since_s
            now, stand = await self.letters(), all(one.consumers[TOPIC].stands() for one in services)
            if now != buried or now < letters or not stand:
                buried, since_s = now, clock.monotonic_s()
            return clock.monotonic_s() - since_s > STILL_S

        await self.until(still, f"stands still with {letters} letters")

    async def all_once(self) -> None:
        """Wait until everything that was published has taken effect; nothing twice, each key's in order."""

        async def done() -> bool:
            return await self.effects() >= len(self.keys)

        await self.until(done, f"{len(self.keys)} effects")
        rows = await self.pool.fetch("SELECT key, version FROM effects ORDER BY id")
        assert Counter(row["key"] for row in rows) == Counter(map(str, self.keys))
        last: Counter[str] = Counter()
        for row in rows:
            assert row["version"] == last[row["key"]] + 1
            last[row["key"]] += 1


@pytest.fixture
async def hearing(own_installation: Installation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hearing]:
    """Intake publishes; nobody hears yet, and what others left is gone."""
    monkeypatch.setattr(standing, "PAUSE_FIRST_S", TRY_S)
    monkeypatch.setattr(standing, "PAUSE_MOST_S", TRY_S)
    owner = await asyncpg.connect(own_installation.dsn("routing", owner_role))
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS effects (id bigint GENERATED ALWAYS AS IDENTITY, key text, version int, text text);"
        "TRUNCATE effects, inbox, outbox, dead_letters, parked_keys, letter_allowances"
    )
    pool = await asyncpg.create_pool(own_installation.dsn("routing", owner_role), min_size=1, max_size=2)
    publisher = Service("intake", settings_of(own_installation, "intake"), title="publisher")
    async with running(publisher), pool:
        made = Hearing(own_installation, publisher, pool)
        try:
            yield made
        finally:
            made.fails = lambda event: False
            await owner.execute("TRUNCATE dead_letters, parked_keys, letter_allowances")
            async with made.release() as service:  # the next test begins with nothing on the topic

                async def empty() -> bool:
                    return await service.consumers[TOPIC].measure() == 0 and await made.effects() > 0

                await made.until(empty, "the topic is read to its end")
            await owner.close()


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_bad_release_buries_no_more_than_the_limit_and_a_good_one_goes_on(
    hearing: Hearing, refuses: bool
) -> None:
    """Whether its handler raises or refuses. What was buried is replayed; each record takes effect once."""
    hearing.refuses = refuses
    await hearing.publish(5_000)
    async with hearing.release() as bad:
        await hearing.until_still(bad, letters=LIMIT // 2)
        assert await hearing.letters() <= LIMIT
        assert await hearing.effects() == 0
        said = (await bad.probes.troubles())[TOPIC]
        assert ("NOT_OURS" if refuses else "handler_failed TypeError").lower() in said.lower()
        # neither a restart nor another process helps, and requests can be taken
        assert bad.probes.alive() == {}
        assert await bad.probes.ready() == {}
        assert metrics.STANDING.labels(topic=TOPIC)._value.get() == 1
        async with bad.pool.acquire() as conn:
            [one] = await letter_limit.standing(conn)
        assert (one.topic, one.granted) == (TOPIC, 0)
    async with hearing.release() as bad:  # nor does a restart of the same
        await hearing.until_still(bad, letters=LIMIT // 2)
        assert await hearing.letters() <= LIMIT
    hearing.fails = lambda event: False
    async with hearing.release() as good:
        await hearing.until(lambda: _is(hearing, good), "everything that isn't buried takes effect")
        assert good.consumers[TOPIC].stands() == {}
        outcomes = await good.replayer.replay(None, None, by="test", reason="a good release")
        assert all(outcome.done for outcome in outcomes)
        await hearing.all_once()


async def _is(hearing: Hearing, service: Service) -> bool:
    return await hearing.effects() + await hearing.letters() == len(hearing.keys)


async def test_a_release_that_is_corrected_in_its_life_goes_on_by_itself(hearing: Hearing) -> None:
    """Such as one that lacked data of another service."""
    await hearing.publish(1_000)
    async with hearing.release() as service:
        await hearing.until_still(service, letters=LIMIT // 2)
        hearing.fails = lambda event: False
        await hearing.until(lambda: _is(hearing, service), "everything that isn't buried takes effect")
        assert metrics.STANDING.labels(topic=TOPIC)._value.get() == 0
        assert await service.probes.troubles() == {}


async def test_several_processes_share_the_limit(hearing: Hearing) -> None:
    """One that is bad stops no good one."""
    await hearing.publish(3_000)
    async with hearing.release() as one, hearing.release() as two:
        await hearing.until_still(one, two, letters=LIMIT // 2)
        assert await hearing.letters() <= LIMIT
        assert await hearing.effects() == 0
    hearing.fails = lambda event: False
    async with hearing.release(), hearing.release() as good:
        await hearing.until(lambda: _is(hearing, good), "everything that isn't buried takes effect")
        await good.replayer.replay(None, None, by="test", reason="a good release")
        await hearing.all_once()


async def test_a_poison_record_now_and_then_stops_nothing(hearing: Hearing) -> None:
    """Six times the limit in all, one in fifteen: it is a share that is given back."""
    hearing.fails = lambda event: event.data.text == "poison"
    for _ in range(20):
        await hearing.publish(15, "poison")
        await hearing.publish(210)
    async with hearing.release() as service:
        await hearing.until(lambda: _is(hearing, service), "all settled")
        assert await hearing.letters() == 300
        assert service.consumers[TOPIC].stands() == {}


@pytest.mark.parametrize(("keys", "still"), [(1, False), (40, True)])
async def test_what_is_parked_counts_where_many_keys_are(hearing: Hearing, keys: int, still: bool) -> None:
    """A topic of few keys would be buried behind a few letters; one poison record may have many behind it."""
    await hearing.publish(1_200, keys=[new_id() for _ in range(keys)])
    async with hearing.release() as service:
        if still:
            await hearing.until_still(service, letters=keys)
            assert await hearing.letters() < 600  # a partition has the records of six or seven keys
        else:
            await hearing.until(lambda: _is(hearing, service), "all buried")
        hearing.fails = lambda event: False
        await service.replayer.replay(None, None, by="test", reason="a good release")
        await hearing.until(lambda: _is_empty(hearing, service), "the rest")
        await service.replayer.replay(None, None, by="test", reason="what came meanwhile")
        await hearing.all_once()


async def _is_empty(hearing: Hearing, service: Service) -> bool:
    open_ = await hearing.pool.fetchval("SELECT count(*) FROM dead_letters WHERE resolved_at IS NULL")
    return await hearing.effects() + open_ == len(hearing.keys)


async def test_an_operator_has_more_buried_or_the_letters_counted_from_nothing(hearing: Hearing) -> None:
    await hearing.publish(1_000)
    async with hearing.release() as service, service.pool.acquire() as conn:
        await hearing.until_still(service, letters=LIMIT // 2)
        before = await hearing.letters()
        assert await letter_limit.grant(conn, "nobody's", None, 200, by="op", reason="not the topic") == []
        [cause] = await letter_limit.grant(conn, TOPIC, None, 200, by="op", reason="they are what is wrong")
        assert cause == "handler_failed TypeError"
        await hearing.until_still(service, letters=before + 190)
        assert await hearing.letters() <= before + 200
        before = await hearing.letters()
        assert await letter_limit.begin_again(conn, TOPIC, by="op", reason="repaired") == [cause]
        await hearing.until_still(service, letters=before + LIMIT // 2)
        assert await hearing.letters() <= before + LIMIT


async def test_a_companys_garbage_is_its_own_matter(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be read or is refused is bounded elsewhere: nobody stands still for it, nor the company itself."""
    async with producer(door.installation, door.settings, linger_ms=5) as by:
        topic = inbound(door.installation, STRANGER)
        kinds = (b"{", submission(1, text="unknown"))
        sent = [await by.send(topic, kinds[n % 2], partition=n % 3) for n in range(4 * LIMIT)]
        await asyncio.gather(*sent)
    await door.other_sends()
    async with door.open(**QUICK) as service:
        await until_settled(service.pool, GOOD, 4 * LIMIT)
        assert service.consumers[INBOUND_REPORTS.name].stands() == {}


async def test_what_our_handler_raises_stops_the_company_concerned_and_no_other(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "PAUSE_FIRST_S", TRY_S)
    monkeypatch.setattr(standing, "PAUSE_MOST_S", TRY_S)
    broken, topic = True, f"inbound.{STRANGER}.reports.v1"
    handle = door.handle

    async def failing(work: Work, events: Sequence[Event[Any]]) -> None:
        if broken and any(event.company == STRANGER for event in events):
            raise TypeError("a bad release")
        await handle(work, events)

    monkeypatch.setattr(door, "handle", failing)
    async with producer(door.installation, door.settings, linger_ms=5) as by:
        sent = [
            await by.send(inbound(door.installation, STRANGER), submission(9_000 + n), partition=n % 3)
            for n in range(400)
        ]
        await asyncio.gather(*sent)
    await door.other_sends()
    async with door.open(**QUICK) as service:
        await until_settled(service.pool, GOOD, 0)
        consumer = service.consumers[INBOUND_REPORTS.name]
        for _ in range(200):
            if consumer.stands():
                break
            await asyncio.sleep(0.1)
        assert set(consumer.stands()) == {topic}
        await asyncio.sleep(2 * TRY_S)
        assert await service.pool.fetchval("SELECT count(*) FROM dead_letters") <= LIMIT
        await door.other_sends()  # while it stands still
        await until_settled(service.pool, 2 * GOOD, 0)
        broken = False
        letters = await service.pool.fetchval("SELECT count(*) FROM dead_letters")
        await until_settled(service.pool, 2 * GOOD + 400 - letters, letters)
        assert consumer.stands() == {}
