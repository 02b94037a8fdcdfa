"""What the launchers of fault tests change in a service: a witness of its effects, and planted defects."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from asyncpg.transaction import Transaction
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from shared.devtools.installation import Installation
from shared.events.topic import Topic
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.http.middleware import RequestMiddleware
from shared.kit.messaging.tombstones import GoneHandler, Handler
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres import db
from shared.kit.run import _Server
from shared.kit.service import Service
from shared.provision.postgres import app_role, owner_role
from tests.promises.support.database import ask

SQL_WITNESS = "INSERT INTO witness (event_id) SELECT unnest($1::uuid[])"
SQL_TOO_OFTEN = "SELECT event_id::text, count(*) FROM witness GROUP BY event_id HAVING count(*) > 1"


def make_witness(installation: Installation, service: str) -> None:
    """The table that `watch_effects` writes to."""
    role = app_role(service, installation.role_prefix)
    ask(
        installation.dsn(service, owner_role),
        f"CREATE TABLE witness (event_id uuid NOT NULL); GRANT SELECT, INSERT ON witness TO {role};",
    )


def watch_effects(slow_s: float = 0.0) -> None:
    """Each event handed to a handler leaves a row in the effect's own transaction: how often it took effect.

    `slow_s`: every batch takes so much longer, inside its transaction.
    """
    consumes = Service.consumes

    def patched(
        self: Service, topic: Topic[Any], handler: Handler, gone: GoneHandler | None = None, **options: Any
    ) -> None:
        async def witnessed(work: Work, events: Sequence[Event[Any]]) -> None:
            await asyncio.sleep(slow_s)
            await handler(work, events)
            await work.conn.execute(SQL_WITNESS, [event.id for event in events])

        consumes(self, topic, witnessed, gone, **options)

    Service.consumes = patched


# --- planted defects ------------------------------------------------------------------------------------------------


def inbox_off() -> None:
    """Every delivery counts as new."""

    async def everything(self: TopicConsumer, conn: Any, items: Sequence[Any]) -> tuple[list[Any], int]:
        return list(items), 0

    TopicConsumer._fresh = everything


def never_commits() -> None:
    """No offset is kept, and no inbox: the next life takes everything as new."""

    async def nothing(self: AIOKafkaConsumer, offsets: Any = None) -> None:
        return None

    AIOKafkaConsumer.commit = nothing
    inbox_off()


def acknowledges_first() -> None:
    """The framework's default: a batch is acknowledged while it is worked on; and SIGTERM waits for nothing."""
    subscriber = KafkaBroker.subscriber
    hasty = {"ack_policy": AckPolicy.ACK_FIRST, "auto_commit_interval_ms": 50}

    def patched(self: KafkaBroker, *topics: str, **options: Any) -> Any:
        return subscriber(self, *topics, **{**options, **hasty})

    KafkaBroker.subscriber = patched

    def at_once(self: _Server, sig: int, frame: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _Server.handle_exit = at_once


def waits_for_rollback() -> None:
    """asyncpg as it is: a request that ran out of time waits until the server has rolled back.

    Transactions take long, so that an outage begins in the middle of one.
    """

    class Long(Transaction):
        async def __aenter__(self) -> None:
            await super().__aenter__()
            await asyncio.sleep(0.2)

    def transaction(
        self: Any, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        return Long(self, isolation, readonly, deferrable)

    db._LendingPool.acquire = asyncpg.Pool.acquire
    db._PatientConnection.transaction = transaction


def hoards() -> None:
    """Every request leaves a mebibyte behind."""
    answer = RequestMiddleware._answer
    hoard: list[bytes] = []

    async def patched(self: RequestMiddleware, *arguments: Any) -> None:
        hoard.append(b"x" * 1024 * 1024)
        await answer(self, *arguments)

    RequestMiddleware._answer = patched


def loses_returns() -> None:
    """Stock that comes back is booked as sold."""
    from services.rewards.store import offers
    from shared.kit.postgres.rows import Query

    text = offers.SQL_MOVE_STOCK.text.replace("free = o.free + wanted.freed * o.counted::int, ", "")
    text = text.replace("sold = o.sold + wanted.sold,", "sold = o.sold + wanted.sold + wanted.freed,")
    offers.SQL_MOVE_STOCK = Query(offers.Stock, text)


def stations_count_nothing() -> None:
    """A station that takes a voucher has as many pieces as before; what comes from a list is too late, and a list lets
    nothing go.
    """
    from services.rewards import domain
    from services.rewards.store import offline as lists
    from services.rewards.store import stations
    from services.rewards.usecases import offline
    from shared.kit.postgres.rows import Query

    text = stations.SQL_USE_AT.text.replace("there = s.there - 1, sold = s.sold + 1", "there = s.there")
    stations.SQL_USE_AT = Query(domain.Redemption, text)
    offline.judge = lambda *_: domain.Judged("late", "merchant")
    lists.SQL_LET_GO += " AND false"


def pays_nothing() -> None:
    """A used voucher's points stay reserved."""
    from services.points.domain import Book

    post = Book.post

    def patched(self: Book, hold_id: Any, cause: int) -> None:
        if self.holds[hold_id].source != "redemption":
            post(self, hold_id, cause)

    Book.post = patched


PLANTS: dict[str, Callable[[], None]] = {
    "inbox-off": inbox_off,
    "never-commits": never_commits,
    "acknowledges-first": acknowledges_first,
    "waits-for-rollback": waits_for_rollback,
    "hoards": hoards,
    "loses-returns": loses_returns,
    "stations-count-nothing": stations_count_nothing,
    "pays-nothing": pays_nothing,
}
