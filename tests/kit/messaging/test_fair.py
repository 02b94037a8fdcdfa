"""A company with much in many partitions takes its share of each turn and of the memory, never another's."""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import asyncpg
import pytest

from shared.devtools.infra.suite import Infra
from shared.devtools.installation import ROOT, Installation
from shared.kit.consuming import unpacking
from shared.provision.postgres import app_role
from shared.provision.topology import provision_company
from tests.full import full_only
from tests.kit.messaging import test_strangers
from tests.kit.messaging.strangers import PAYLOAD_AT, inbound, packed, producer, send_batch, submission
from tests.kit.messaging.test_strangers import GOOD, OTHER, STRANGER, Door, smallest_pod_bytes
from tests.support import until

door = test_strangers.door
PARTITIONS = 6
THIRD = "yunda"
OTHERS = f"SELECT count(*) FROM effects WHERE key LIKE '{OTHER}%'"
LETTERS = "SELECT count(*) FROM dead_letters"


@pytest.fixture
def own_installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for each test: what a test leaves unread would be the next one's backlog."""
    with Installation.fresh(infra, tmp_path_factory.mktemp("fair"), "f") as made:
        yield made


async def strangers_fill(door: Door, batch: bytearray, strangers: Sequence[str] = (STRANGER,)) -> None:
    """The same batch in each of the strangers' partitions."""
    async with producer(door.installation, door.settings, request_timeout_ms=120_000) as by:
        for stranger, partition in product(strangers, range(PARTITIONS)):
            await send_batch(by, inbound(door.installation, stranger), partition, bytearray(batch))


async def counted(conn: Any, query: str, count: int, within_s: float) -> None:
    """Wait until the query counts so many."""
    await until(lambda: conn.fetchval(query), f"{count}: {query}", within_s, good=lambda found: found >= count)


async def test_poison_in_every_partition_of_one_company_holds_up_no_other(door: Door) -> None:
    await strangers_fill(door, packed([b"{}"] * 200_000))
    await door.other_sends()
    async with door.open() as service:
        await counted(service.pool, OTHERS, GOOD, 15)
        # ten times the burials would be most of each turn
        assert await service.pool.fetchval(LETTERS) < GOOD


async def test_a_backlog_in_every_partition_of_one_company_holds_up_no_other(door: Door) -> None:
    every = "SELECT count(*) FROM effects"
    await strangers_fill(door, packed(submission(n, secrets.token_hex(12) + "x" * 1_760) for n in range(17_000)))
    async with door.open() as service:
        await counted(service.pool, every, 500, 20)
        begun = await service.pool.fetchval(every)
        await door.other_sends()
        await counted(service.pool, OTHERS, GOOD, 20)
        # a few turns pass until their first fetch is answered; taken in its turn, each partition would be 17 of these
        assert await service.pool.fetchval(every) - begun < 12 * GOOD


@pytest.mark.parametrize(
    ("size", "strangers"),
    [
        pytest.param(130_000, (STRANGER, THIRD), marks=full_only),
        pytest.param(1_000_000, (STRANGER, THIRD), marks=full_only),
        pytest.param(5_000_000, (STRANGER, THIRD), marks=full_only),
        (8_000_000, (STRANGER, THIRD)),
        (30_000_000, (THIRD,)),
    ],
)
async def test_batches_below_the_bound_fit_into_the_pod_and_the_others_go_on(
    door: Door, size: int, strangers: tuple[str, ...]
) -> None:
    """In all partitions at once, also of two companies; their records are dead letters, which cost the most memory."""
    count = unpacking.UNPACKED_BYTES_MAX // (size + 100)
    some = size // 80  # what zstd can't shrink: a hundredth is the least
    batch = packed(b"{" + secrets.token_hex(some).encode() + b"x" * (size - 2 * some) for _ in range(count))
    assert unpacking.bound(len(batch) - PAYLOAD_AT) == unpacking.UNPACKED_BYTES_MAX
    for stranger in strangers:
        await asyncio.to_thread(provision_company, door.installation.cluster, stranger, "not used here")
    await strangers_fill(door, batch, strangers)
    await door.other_sends()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.messaging.bombed", str(limit := smallest_pod_bytes()),
        cwd=ROOT, env={**os.environ, **door.installation.environment("intake")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    conn = await asyncpg.connect(door.installation.dsn("intake", app_role))
    try:
        await counted(conn, OTHERS, GOOD, 40)
        await counted(conn, LETTERS, len(strangers) * PARTITIONS * count, 60)
    finally:
        await conn.close()
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        said = await child.stdout.read()
    assert await child.wait() == 0
    # the whole service has some 20 MB more than this door of its
    assert int(said.split()[-1]) * 1024 < 0.9 * limit
