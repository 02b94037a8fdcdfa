"""Decoding processes: a photo can take neither the service's memory nor its time, and costs nobody else's."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from services.intake import domain
from services.intake.settings import Settings
from services.intake.usecases.imaging import PhotoQueueFull, PhotoWorkers
from services.intake.usecases.turns import CHARGED_MAX_S, ORDINARY_S, PhotosTooSlow, Turns
from shared.kit.refusals import Refusal
from shared.provision.services import about
from tests.services.intake.test_imaging import blank_png, encoded, many_scans, picture

MEMORY_MB = 384
ME = "person:me"
MIB = 1024 * 1024
SERVICE_MB = 250
"""What the service itself takes: half as much again as is measured under load."""


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[PhotoWorkers]:
    made = PhotoWorkers(workers=2, queue_max=4, memory_mb=MEMORY_MB, seconds=5)
    await made.start()
    yield made
    await made.stop()


async def refusal(workers: PhotoWorkers, content: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        await workers.process(ME, content)
    return caught.value.code


async def peak_mb(workers: PhotoWorkers, until: asyncio.Future[object]) -> float:
    """The most that all decoding processes together held in memory, in MiB, sampled until something is done."""
    most = 0
    while not until.done():
        held = 0
        for pid in workers.pids:
            with contextlib.suppress(psutil.Error):
                held += psutil.Process(pid).memory_info().rss
        most = max(most, held)
        await asyncio.sleep(0.005)
    return most / MIB


async def test_bombs_cost_only_themselves() -> None:
    """Two at once, each of which takes more than a process may have, while others' photos are waiting."""
    good, bombs = encoded(picture(), "JPEG"), [blank_png(8_000, 8_000, colour=6)] * 2
    workers = PhotoWorkers(workers=2, queue_max=4, memory_mb=256, seconds=10)
    await workers.start()
    before = psutil.Process().memory_info().rss
    work = asyncio.gather(
        *(workers.process(f"person:{n}", one) for n, one in enumerate((*bombs, good, good))), return_exceptions=True
    )
    most = await peak_mb(workers, work)
    answers = await work
    assert [getattr(one, "code", "") for one in answers] == ["photo_too_heavy", "photo_too_heavy", "", ""], answers
    assert most < 2 * 256
    assert psutil.Process().memory_info().rss - before < 50 * MIB
    assert (await workers.process(ME, good)).width == 640
    await workers.stop()


async def test_what_a_phone_or_a_screenshot_makes_fits(workers: PhotoWorkers) -> None:
    """20 megapixels with transparency, whose copies once took 292 MB."""
    photo = await workers.process(ME, blank_png(5_000, 4_000, colour=6))
    assert (photo.width, photo.height) == (2_048, 1_638)
    assert len(workers.pids) == 2


async def test_a_photo_that_never_ends_is_ended(workers: PhotoWorkers) -> None:
    first = set(workers.pids)
    slow = PhotoWorkers(workers=1, queue_max=4, memory_mb=MEMORY_MB, seconds=1)
    await slow.start()
    [stuck] = slow.pids
    os.kill(stuck, signal.SIGSTOP)
    refused = asyncio.create_task(refusal(slow, encoded(picture(), "JPEG")))
    other = asyncio.create_task(slow.process("person:other", encoded(picture(), "PNG")))
    assert await refused == "photo_too_heavy"
    assert (await other).width == 640
    assert not psutil.pid_exists(stuck)
    await slow.stop()
    assert set(workers.pids) == first


async def test_scans_cost_no_process(workers: PhotoWorkers) -> None:
    first = set(workers.pids)
    assert await refusal(workers, many_scans()) == "photo_too_heavy"
    assert set(workers.pids) == first


async def test_a_killed_process_costs_its_own_photo_only(workers: PhotoWorkers) -> None:
    content = blank_png(6_000, 6_000)
    before = {pid: psutil.Process(pid).cpu_times().user for pid in workers.pids}
    killed = asyncio.create_task(refusal(workers, content))
    while not (busy := [pid for pid in before if psutil.Process(pid).cpu_times().user > before[pid] + 0.03]):
        assert not killed.done(), "it was over before anybody was seen at it"
        await asyncio.sleep(0.005)
    good = asyncio.create_task(workers.process("person:other", encoded(picture(), "JPEG")))
    os.kill(busy[0], signal.SIGKILL)
    assert await killed == "photo_too_heavy"
    assert (await good).width == 640


async def test_a_sender_who_goes_leaves_nothing_running(workers: PhotoWorkers) -> None:
    first = set(workers.pids)
    gone = asyncio.create_task(workers.process(ME, blank_png(6_000, 6_000)))
    await asyncio.sleep(0.1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await workers.process(ME, encoded(picture(), "JPEG"))).width == 640
    assert len(first & set(workers.pids)) == 1


async def test_more_than_the_queue_holds_is_refused_at_once(workers: PhotoWorkers) -> None:
    content = blank_png(3_000, 2_000)
    results = await asyncio.gather(*(workers.process(f"person:{n}", content) for n in range(7)), return_exceptions=True)
    assert sum(isinstance(one, PhotoQueueFull) for one in results) == 3
    await workers.process(ME, content)


async def test_the_loop_goes_on_while_a_photo_is_decoded(workers: PhotoWorkers) -> None:
    task = asyncio.create_task(workers.process(ME, blank_png(4_000, 3_000)))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 5


async def test_a_decoding_process_knows_no_secret(workers: PhotoWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEGRID_CANARY", "canary")
    other = PhotoWorkers(workers=1, queue_max=1, memory_mb=MEMORY_MB, seconds=5)
    await other.start()
    assert "canary" not in str(psutil.Process(other.pids[0]).environ())
    await other.stop()


async def test_stopping_leaves_no_process() -> None:
    workers = PhotoWorkers(workers=2, queue_max=4, memory_mb=MEMORY_MB, seconds=5)
    await workers.start()
    pids = workers.pids
    busy = asyncio.create_task(workers.process(ME, blank_png(6_000, 6_000)))
    await asyncio.sleep(0.05)
    await workers.stop()
    with pytest.raises(Refusal):
        await busy
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_parent_that_is_killed_takes_its_processes_along() -> None:
    """In the middle of a photo, when nobody reads the pipe."""
    lines = f"""
import asyncio
from shared.kit.refusals import Refusal
from services.intake.usecases.imaging import PhotoWorkers
from shared.kit.refusals import Refusal
from tests.services.intake.test_imaging import blank_png
async def main():
    workers = PhotoWorkers(1, 2, memory_mb={MEMORY_MB}, seconds=60)
    await workers.start()
    print(workers.pids[0], flush=True)
    while True:
        await workers.process('person:me', blank_png(4_000, 4_000))
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", lines], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(timeout=5)


async def test_one_caller_has_a_quarter_of_the_queue_and_a_company_half() -> None:
    workers = PhotoWorkers(workers=2, queue_max=8, memory_mb=MEMORY_MB, seconds=5)
    content = blank_png(2_000, 2_000)
    asked = [ME] * 4 + ["company:sf-express"] * 6 + ["person:a", "person:b", "person:c"]
    answers = await asyncio.gather(*(workers.process(one, content) for one in asked), return_exceptions=True)
    refused = [one for one, answer in zip(asked, answers, strict=True) if isinstance(answer, PhotoQueueFull)]
    assert refused == [ME] * 2 + ["company:sf-express"] * 2 + ["person:c"], answers
    await workers.stop()


async def test_whose_photos_are_slow_leaves_a_process_to_others_and_then_waits() -> None:
    turns = Turns(workers=2, present_max=8)
    turns.charge(ME, ORDINARY_S)
    assert turns.owed_s(ME) == 0
    turns.charge(ME, ORDINARY_S + 3)
    order: list[str] = []
    free = asyncio.Event()

    async def one(caller: str) -> None:
        async with turns.turn(caller):
            order.append(caller)
            await free.wait()

    work = [asyncio.create_task(one(caller)) for caller in (ME, ME, "person:other")]
    await asyncio.sleep(0.01)
    assert order == [ME, "person:other"]
    free.set()
    await asyncio.gather(*work)
    assert order == [ME, "person:other", ME] and turns.present == 0
    turns.charge(ME, CHARGED_MAX_S)
    with pytest.raises(PhotosTooSlow) as caught:
        await one(ME)
    assert 10 < caught.value.retry_after_s < 40
    await one("person:other")


async def test_a_caller_who_goes_gives_their_turn_back() -> None:
    turns = Turns(workers=1, present_max=8)
    free = asyncio.Event()

    async def one(caller: str) -> None:
        async with turns.turn(caller):
            await free.wait()

    first, second, third = (asyncio.create_task(one(f"person:{n}")) for n in range(3))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0.01)
    free.set()
    await asyncio.wait_for(third, 1)
    # gone at the moment of its turn
    free.clear()
    first, second, third = (asyncio.create_task(one(f"person:{n}")) for n in range(3))
    await asyncio.sleep(0)
    free.set()
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait_for(third, 1)
    assert turns.present == 0


async def test_a_slow_photo_is_charged_to_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = PhotoWorkers(workers=1, queue_max=4, memory_mb=MEMORY_MB, seconds=1)
    monkeypatch.setattr("services.intake.usecases.turns.ORDINARY_S", 0.1)
    monkeypatch.setattr("services.intake.usecases.turns.CHARGED_MAX_S", 0.5)
    await slow.start()
    os.kill(slow.pids[0], signal.SIGSTOP)
    assert await refusal(slow, encoded(picture(), "JPEG")) == "photo_too_heavy"
    with pytest.raises(PhotosTooSlow):
        await slow.process(ME, encoded(picture(), "JPEG"))
    assert (await slow.process("person:other", encoded(picture(), "JPEG"))).width == 640
    await slow.stop()


def test_a_pod_has_room_for_all_that_photos_may_take() -> None:
    fields = Settings.model_fields
    workers, memory_mb, queue = (
        fields[name].default for name in ("photo_workers", "photo_memory_mb", "photo_queue_max")
    )
    # a body and its part of a form are two copies for a moment
    waiting_mb = (queue + 1) * domain.PHOTO_BYTES_MAX // MIB
    assert workers * memory_mb + waiting_mb + SERVICE_MB <= about("intake").size.memory_mi
