"""A company's batch that nobody can read keeps no city from being saved, and a bomb doesn't end the command."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.progress import Progress

from shared.cli.backup.manifest import read_manifest
from shared.cli.backup.returning import check_files, check_target, put_back
from shared.cli.backup.tail import PATH
from shared.cli.backup.taking import take
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.service import Service
from shared.provision.topology import provision_company
from tests.kit.messaging.conftest import running
from tests.kit.messaging.strangers import bomb, broken_batches, inbound, producer, send_batch, submission
from tests.support import settings_of
from tests.tools.backup.conftest import Home

COMPANY = "suda"
BOMB_BYTES = 2 << 30


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / PATH).read_bytes().splitlines():
        yield orjson.loads(line)


async def sent(home: Home) -> dict[tuple[int, int], str]:
    """Broken batches and a bomb, each before a good record; where they are."""
    made = home.installation
    settings, topic = settings_of(made, "intake"), inbound(made, COMPANY)
    await asyncio.to_thread(provision_company, made.cluster, COMPANY, "not used here")
    culprits = await broken_batches(made, settings, topic, count(1))
    async with producer(made, settings) as by:
        culprits[5, await send_batch(by, topic, 5, bomb(4, BOMB_BYTES))] = "unreadable_batch"
        await by.send_and_wait(topic, submission(99), partition=5)
    return culprits


async def test_what_cannot_be_read_is_saved_as_it_is_and_everything_behind_it_too(
    new_home: Callable[[], Home], tmp_path: Path, quiet: Progress
) -> None:
    source, target, folder = new_home(), new_home(), tmp_path / "backup"
    culprits = await sent(source)
    before = psutil.Process().memory_info().rss
    await take(source.places, folder, quiet)
    assert psutil.Process().memory_info().rss - before < BOMB_BYTES / 8
    found = list(lines(folder))
    parts = [one["partition"] for one in found]
    assert [parts.count(number) for number in range(6)] == [4, 2, 2, 2, 0, 2]
    assert all(base64.b64decode(one["value"]) for one in found)

    manifest = read_manifest(folder)
    await asyncio.to_thread(check_files, folder, manifest, quiet)
    await asyncio.to_thread(provision_company, target.installation.cluster, COMPANY, "not used here")
    await check_target(target.places, manifest)
    await put_back(target.places, folder, manifest, quiet)
    good, buried = await heard(target, len(found))
    unreadable = [
        code for code in culprits.values() if code != "malformed_event"
    ]  # a value comes back without its headers
    assert (good, buried) == (len(found) - len(unreadable), len(unreadable))


async def heard(home: Home, count_: int) -> tuple[int, int]:
    """What intake makes of the restored records: good ones, dead letters."""
    service = Service("intake", settings_of(home.installation, "intake"), title="hearer")
    good = 0

    async def hear(_: Any, events: Any) -> None:
        nonlocal good
        good += len(events)

    service.consumes(INBOUND_REPORTS, hear)
    async with running(service), asyncio.timeout(20):
        buried = 0
        while good + buried < count_:
            await asyncio.sleep(0.1)
            buried = await service.pool.fetchval("SELECT count(*) FROM dead_letters")
        return good, buried
