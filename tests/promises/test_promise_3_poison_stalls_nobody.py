"""Promise 3: a poison message stalls nobody else, and a passing outage never fills the dead-letter topic."""

import asyncio
import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.consuming.consumer import Pending, TopicConsumer
from tests.full import FULL
from tests.promises.support.hearer import Hearer, hearing
from tests.promises.support.kafka import read_topic
from tests.promises.support.nemesis import Nemesis, schedule
from tests.promises.support.poison import (
    UNREADABLE,
    Place,
    Planned,
    expected_letters,
    fault_free,
    letter_problems,
    order_problems,
    partner_problems,
    stream,
)
from tests.promises.support.servers import installed, seed

EVENTS, KEYS, BAD, PER_SECOND = (2_000, 100, 20, 150.0) if FULL else (300, 30, 10, 100.0)
LATE_S = 5.0
LIMIT_S = 120.0 if FULL else 60.0
FROZEN_S = {"postgres": 35.0, "broker": 20.0}
"""Longer than the statement timeout of 30 s and the send timeout of 10 s."""
OUTAGES = {"postgres crashes": 3, "postgres freezes": 1, "broker restarts": 2, "broker freezes": 1} if FULL else {
    "postgres crashes": 1, "broker restarts": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def home(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with the routing service only."""
    with installed(mortal, Path(tmp_path_factory.mktemp("promise3")), ["routing"]) as made:
        yield made


def only_good(planned: list[Planned]) -> list[Planned]:
    """The same stream without a bad record."""
    return [dataclasses.replace(one, kind="good") for one in planned]


async def lateness(hearer: Hearer, keys: set[str]) -> float:
    """How late the latest effect of these keys was, in seconds."""
    return max(one.late_s for one in await hearer.effects() if one.key in keys)


async def poisoned(hearer: Hearer, planned: list[Planned]) -> list[str]:
    """Send and settle; what is wrong with the dead letters, in the table and on the partner topic."""
    places, values = await hearer.send(planned, PER_SECOND)
    await hearer.settle(LIMIT_S)
    wanted = expected_letters(planned, places)
    contents: dict[Place, bytes] = {
        (REPORT_RECEIVED.name, *place): value for place, value in zip(places, values, strict=True)
    }
    published = await asyncio.to_thread(read_topic, hearer.installation, REPORT_RECEIVED.dlq)
    prefix = hearer.installation.topic_prefix
    return letter_problems(wanted, await hearer.letters()) + partner_problems(wanted, published, contents, prefix)


async def repaired(hearer: Hearer, planned: list[Planned]) -> list[str]:
    """Repair the handler, give up what nobody can read, replay; what differs from the fault-free state."""
    hearer.broken = False
    replayer = hearer.service.replayer
    await replayer.replay(None, None, by="test", reason="the handler is repaired")
    rows = await hearer.service.pool.fetch(
        "SELECT id FROM dead_letters WHERE code = ANY($1::text[]) AND status = 'dead'", list(UNREADABLE)
    )
    await replayer.discard([row["id"] for row in rows], by="test", reason="never was an event")
    outcomes = await replayer.replay(None, None, by="test", reason="what waited behind them")
    assert all(outcome.done for outcome in outcomes), outcomes
    assert await hearer.service.pool.fetchval("SELECT count(*) FROM parked_keys") == 0
    return order_problems(await hearer.effects(), fault_free(planned))


@pytest.mark.timeout(600)
async def test_other_keys_go_on_and_the_bad_ones_wait_in_order_until_they_are_repaired(home: Installation) -> None:
    chosen = seed()
    calm = only_good(stream(chosen + 1, 200, KEYS, BAD))
    async with hearing(home) as hearer:
        await hearer.send(calm, PER_SECOND)
        await hearer.settle(LIMIT_S)
        usual_s = await lateness(hearer, {str(one.key) for one in calm})
    planned = stream(chosen, EVENTS, KEYS, BAD)
    spoilt = {one.key for one in planned if one.kind != "good"}
    async with hearing(home) as hearer:
        assert await poisoned(hearer, planned) == []
        late_s = await lateness(hearer, {str(one.key) for one in planned if one.key not in spoilt})
        print(f"other keys' latest effect: {late_s:.1f} s, without poison {usual_s:.1f} s")
        assert late_s <= usual_s + LATE_S
        assert await repaired(hearer, planned) == []
        later = [Planned(one.key, one.version + EVENTS, "good") for one in planned[:50]]
        await hearer.send(later, 1_000)
        await hearer.settle(LIMIT_S)
        assert len(await hearer.effects()) == sum(map(len, fault_free(planned).values())) + len(later)


@pytest.mark.timeout(600)
async def test_a_passing_outage_puts_nothing_into_the_dead_letters(home: Installation) -> None:
    infra, chosen = home.infra, seed()
    assert infra.postgres is not None
    assert infra.kafka is not None

    def crash() -> None:
        infra.postgres.kill()
        infra.postgres.start()

    def freeze(name: str) -> None:
        server = {"postgres": infra.postgres, "broker": infra.kafka}[name]
        server.pause()
        try:
            asyncio.run(asyncio.sleep(FROZEN_S[name]))
        finally:
            server.resume()

    actions = {
        "postgres crashes": crash,
        "postgres freezes": lambda: freeze("postgres"),
        "broker restarts": infra.kafka.restart,
        "broker freezes": lambda: freeze("broker"),
    }
    nemesis = Nemesis(schedule(random.Random(chosen), OUTAGES, (0.5, 1.5)), actions)
    planned = only_good(stream(chosen, EVENTS, KEYS, BAD))
    per_second = EVENTS / (120.0 if FULL else 6.0)
    async with hearing(home) as hearer:
        await asyncio.gather(hearer.send(planned, per_second), asyncio.to_thread(nemesis.run))
        print("\n".join(nemesis.done))
        await hearer.settle(LIMIT_S)
        assert await hearer.letters() == {}
        assert order_problems(await hearer.effects(), fault_free(planned)) == []


# --- the checkers fail where they must ------------------------------------------------------------------------------


async def test_the_checker_finds_what_a_consumer_buries_that_does_not_split_a_batch(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole(self: TopicConsumer, pending: list[Pending]) -> list[Pending]:
        try:
            await self._transaction([one.item for one in pending])
        except ValueError as error:
            for one in pending:
                one.error = error
            return pending
        return []

    monkeypatch.setattr(TopicConsumer, "_pass", whole)
    async with hearing(home, handler_attempts_max=2) as hearer:
        problems = await poisoned(hearer, stream(seed(), 100, 20, 5))
    assert [problem for problem in problems if problem.startswith("dead letters too many")], problems


async def test_the_checkers_find_that_successors_overtake_where_no_key_is_parked(home: Installation) -> None:
    planned = stream(seed(), 100, 20, 5)
    async with hearing(home, handler_attempts_max=2) as hearer:
        consumer = hearer.service.consumers[REPORT_RECEIVED.name]
        consumer.topic = dataclasses.replace(REPORT_RECEIVED, ordered=False)
        problems = await poisoned(hearer, planned)
        disorder = await repaired(hearer, planned)
    assert [problem for problem in problems if problem.startswith("dead letters missing")], problems
    assert disorder, "the culprit took effect after its successors, and nobody noticed"
