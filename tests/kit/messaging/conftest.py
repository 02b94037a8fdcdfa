"""Two services of the suite, in this process, with handlers of the test's own: intake publishes, routing hears."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.refusals import Problem
from shared.kit.service import Service
from shared.kit.service.running import running
from shared.provision.postgres import owner_role
from tests.support import settings_of, until

NOT_OURS = Problem("not_ours", 422, "不收", "Not taken", "改用其他内容。", "Send something else.")

SETTLE_S = 20.0


def report(text: str = "", report_id: UUID | None = None) -> ReportReceived:
    """A report; its words say what the test's handler does."""
    now = clock.now()
    return ReportReceived(
        report_id=report_id or new_id(),
        rider_id=new_id(),
        company="sf",
        external_id=secrets.token_hex(8),
        kind="part-01001",
        level="hazard",
        lng=120.3,
        lat=30.3,
        accuracy_m=10,
        text=text,
        occurred_at=now,
        received_at=now,
    )


@dataclass
class Pair:
    """A publishing and a hearing service. `handle` may be replaced; `seen` is what took effect, in order."""

    publisher: Service
    hearer: Service
    installation: Installation
    seen: list[tuple[str, int, str]] = field(default_factory=list)
    broken: bool = True
    failures_left: dict[str, int] = field(default_factory=dict)

    async def handle(self, work: Work, events: Sequence[Event[Any]]) -> None:
        """What the hearing service does: poison raises while `broken`, flaky raises some times."""
        for event in events:
            if event.data.text == "poison" and self.broken:
                raise ValueError("poison")
            if event.data.text == "reject" and self.broken:
                work.reject(event, NOT_OURS("the test refuses it"))
                continue
            if self.failures_left.get(event.key, 0) > 0:
                self.failures_left[event.key] -= 1
                raise ValueError("flaky")
        # Effects count only when the transaction commits: remembered in the database, read back by `effects`.
        rows = [(event.key, event.version, event.data.text) for event in events]
        await work.conn.executemany("INSERT INTO effects (key, version, text) VALUES ($1, $2, $3)", rows)

    async def publish(self, *events: tuple[ReportReceived, int]) -> None:
        """Through the publisher's outbox."""
        async with self.publisher.work() as work:
            for body, version in events:
                work.publish(REPORT_RECEIVED, body, version=version)

    async def effects(self) -> list[tuple[str, int, str]]:
        """What took effect, in order of commits."""
        rows = await self.hearer.pool.fetch("SELECT key, version, text FROM effects ORDER BY id")
        return [(row["key"], row["version"], row["text"]) for row in rows]

    async def until(self, done: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for a condition."""

        async def so_far() -> str:
            return f"{what}; effects {len(await self.effects())}"

        await until(done, so_far, SETTLE_S)

    async def until_effects(self, count: int) -> None:
        """Wait until that many events have taken effect."""

        async def done() -> bool:
            return await self.hearer.pool.fetchval("SELECT count(*) FROM effects") >= count

        await self.until(done, f"{count} effects")


@pytest.fixture(scope="module")
def own_installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh installation for one file of tests: its topics begin at offset 0."""
    with Installation.fresh(infra, tmp_path_factory.mktemp("messaging"), "m") as made:
        yield made


@pytest.fixture
async def pair(own_installation: Installation) -> AsyncIterator[Pair]:
    """Both services running; the hearing one has a table of effects and its previous contents removed."""
    owner = await asyncpg.connect(own_installation.dsn("routing", owner_role))
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS effects (id bigint GENERATED ALWAYS AS IDENTITY, key text, version int, text text);"
        "TRUNCATE effects, inbox, outbox, dead_letters, parked_keys, letter_allowances"
    )
    await owner.close()
    owner = await asyncpg.connect(own_installation.dsn("intake", owner_role))
    await owner.execute("TRUNCATE outbox, outbox_holds, outbox_held")
    await owner.close()
    publisher = Service("intake", settings_of(own_installation, "intake"), title="publisher")
    hearer = Service("routing", settings_of(own_installation, "routing"), title="hearer")
    made = Pair(publisher, hearer, own_installation)
    hearer.consumes(REPORT_RECEIVED, lambda work, events: made.handle(work, events))
    async with running(publisher), running(hearer):
        yield made
