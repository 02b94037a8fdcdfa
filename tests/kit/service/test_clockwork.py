"""Work by the clock: again at once while it does something, seldom while nothing happens, soon when something does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from shared.events.report_received import REPORT_RECEIVED
from shared.kit.messaging.work import Event, Record, Work
from shared.kit.privacy import letters_of_erased
from shared.kit.service import Service, clockwork
from shared.kit.service.clockwork import Pulse, Recurring, name_of
from shared.kit.settings import KitSettings
from tests.kit.test_background import SETTINGS
from tests.support import until

LONG_S = 60.0


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


@contextlib.asynccontextmanager
async def at_work(recurring: Recurring) -> AsyncIterator[None]:
    task = asyncio.create_task(recurring.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Turns:
    """Does as much as there is."""

    def __init__(self, *left: int) -> None:
        self.left = list(left)
        self.taken = 0

    async def __call__(self) -> int:
        self.taken += 1
        return self.left.pop(0) if self.left else 0


async def test_it_goes_on_at_once_while_there_is_more(pulse: Pulse) -> None:
    turns = Turns(5, 5, 1)
    async with at_work(Recurring(turns, pulse, LONG_S, LONG_S)):
        await until(lambda: turns.taken == 4)
        await asyncio.sleep(0.05)
    assert turns.taken == 4, "the one that did nothing is followed by the pause"


async def test_while_nothing_happens_it_rests_long_and_a_beat_wakes_it(pulse: Pulse) -> None:
    turns = Turns()
    async with at_work(Recurring(turns, pulse, 0.01, LONG_S)):
        await until(lambda: turns.taken == 1)
        await asyncio.sleep(0.1)
        assert turns.taken == 1
        pulse.beat()
        # the beat may have come before its commit: it is looked for again and again
        await until(lambda: turns.taken > 3)


async def test_no_beat_cuts_the_pause_of_who_is_awake(pulse: Pulse) -> None:
    """Under load there are many in a second."""
    turns = Turns()
    pulse.beat()
    async with at_work(Recurring(turns, pulse, LONG_S, 10 * LONG_S)):
        await until(lambda: turns.taken == 1)
        for _ in range(5):
            pulse.beat()
            await asyncio.sleep(0.01)
    assert turns.taken == 1


async def test_it_falls_asleep_again(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "AWAKE_S", 0.1)
    turns = Turns()
    pulse.beat()
    async with at_work(Recurring(turns, pulse, 0.01, LONG_S)):
        await until(lambda: not pulse.awake)
        await asyncio.sleep(0.05)
        before = turns.taken
        await asyncio.sleep(0.1)
        assert turns.taken == before
    assert not pulse._sleepers, "who is cancelled is waited for by nobody"


async def test_only_the_leader_works(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "LEADER_POLL_S", 0.01)
    leads, turns = [False], Turns()
    async with at_work(Recurring(turns, pulse, 0.01, 0.01, lambda: leads[0])):
        await asyncio.sleep(0.05)
        assert turns.taken == 0
        leads[0] = True
        await until(lambda: turns.taken > 0)


def test_a_task_has_the_name_of_its_use_case() -> None:
    async def end_due_keys(work: Work, most: int = 1) -> None: ...

    assert name_of(end_due_keys) == name_of(partial(end_due_keys, most=2)) == "end-due-keys"


@pytest.fixture
def service() -> Service:
    return Service("routing", KitSettings.model_validate(SETTINGS), title="test")


async def test_a_batch_that_was_handled_is_a_beat(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that publishes nothing, whose commit nobody else hears of."""
    heard: list[Any] = []

    async def nobody(_: Any, events: Any) -> Any:
        return events

    async def take(_: Work, events: Any) -> None:
        heard.extend(events)

    service.consumes(REPORT_RECEIVED, take)
    assert not service.pulse.awake
    record = Record(REPORT_RECEIVED.name, 0, 0, b"k", b"", ())
    event: Event[Any] = Event(*([None] * 5), record)  # type: ignore[arg-type]  # nobody looks into it
    monkeypatch.setattr(letters_of_erased, "without_erased", nobody)
    await service.consumers[REPORT_RECEIVED.name].handler(Unit(), [event])  # type: ignore[arg-type]  # as above
    assert heard == [event]
    assert service.pulse.awake


class Unit:
    """A transaction without a database."""

    rows: tuple[Any, ...] = ()
    conn = None

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        yield self


@pytest.mark.parametrize(("done", "rows", "awake"), [(0, (), False), (None, (), False), (1, (), True), (0, (1,), True)])
async def test_a_piece_that_did_nothing_is_no_beat(
    service: Service, monkeypatch: pytest.MonkeyPatch, done: int | None, rows: tuple[int, ...], awake: bool
) -> None:
    """Or a service that looks every second would never sleep."""
    unit, seen = Unit(), []
    unit.rows = rows
    monkeypatch.setattr(service, "_unit", unit.begin)

    async def settle(work: Work) -> int | None:
        seen.append(work)
        return done if len(seen) == 1 else 0

    service.every(LONG_S, settle)
    task = asyncio.ensure_future(service.tasks.kept["settle"]())
    await until(lambda: bool(seen))
    await asyncio.sleep(0.02)
    task.cancel()
    assert service.pulse.awake == awake


async def test_nothing_is_done_while_events_pile_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    unit, seen = Unit(), []
    monkeypatch.setattr(service, "_unit", unit.begin)

    async def settle(work: Work) -> None:
        seen.append(work)

    service.every(0.01, settle)
    service.relay.depth = service.settings.outbox_rows_max + 1
    task = asyncio.ensure_future(service.tasks.kept["settle"]())
    await asyncio.sleep(0.1)
    assert not seen
    service.relay.depth = 0
    await until(lambda: bool(seen))
    task.cancel()
