"""The points service as it is, in a process that kills itself at an exact point: `python -m …points_launcher`.

Read from the environment:
    FAULTS_DIE      `<point>:<n>`: SIGKILL when the n-th batch is at `before-commit` (every statement of the transaction
                    is done), `after-commit` (the transaction is durable, nobody knows) or `before-offset-commit`
                    (FastStream is about to commit the offsets)
    FAULTS_INBOX    `off`: the planted defect; every delivery counts as new
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaBroker

from services.points.app import build
from shared.kit import consumer
from shared.kit.consumer import TopicConsumer
from shared.kit.run import run
from tests.faults.support.witness import inbox_off, watch_effects

DYING = "faults: dies"
SESSION_MS = 6_000


class Death:
    """Counts how often a point is passed; the last time is the end."""

    def __init__(self, point: str, passes: int) -> None:
        self._point = point
        self._left = passes

    def passed(self) -> None:
        """At the point."""
        self._left -= 1
        if self._left == 0:
            print(f"{DYING} {self._point}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def before_commit(death: Death) -> None:
    """`insert_outbox` is the last that a consumer's transaction does."""
    insert = consumer.insert_outbox

    async def patched(*arguments: Any) -> None:
        await insert(*arguments)
        death.passed()

    consumer.insert_outbox = patched


def after_commit(death: Death) -> None:
    """`_transaction` returns when the server has said COMMIT."""
    transact = TopicConsumer._transaction

    async def patched(self: TopicConsumer, items: Any) -> None:
        await transact(self, items)
        death.passed()

    TopicConsumer._transaction = patched


def before_offset_commit(death: Death) -> None:
    """FastStream acknowledges a batch with a commit of the consumer's positions."""
    commit = AIOKafkaConsumer.commit

    async def patched(self: AIOKafkaConsumer, offsets: Any = None) -> None:
        death.passed()
        await commit(self, offsets)

    AIOKafkaConsumer.commit = patched


POINTS: dict[str, Callable[[Death], None]] = {
    "before-commit": before_commit,
    "after-commit": after_commit,
    "before-offset-commit": before_offset_commit,
}


def forget_sooner() -> None:
    """The broker forgets a stopped static member after 6 s instead of 15: the test waits for it."""
    subscriber = KafkaBroker.subscriber

    def patched(self: KafkaBroker, *topics: str, **options: Any) -> Any:
        return subscriber(self, *topics, **{**options, "session_timeout_ms": SESSION_MS})

    KafkaBroker.subscriber = patched


def main() -> None:
    """Arm what is asked for, then be the service."""
    watch_effects()
    forget_sooner()
    if os.environ.get("FAULTS_INBOX") == "off":
        inbox_off()
    if wanted := os.environ.get("FAULTS_DIE"):
        point, passes = wanted.split(":")
        POINTS[point](Death(point, int(passes)))
    run(build)


if __name__ == "__main__":
    main()
