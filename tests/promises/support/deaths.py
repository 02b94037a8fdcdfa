"""Exact points at which a service's process kills itself."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

from shared.kit import service
from shared.kit.consuming import consumer
from shared.kit.consuming.consumer import TopicConsumer

DYING = "faults: dies"


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
    """`insert_outbox` is the last that a transaction does, a consumer's as well as a request's."""
    insert = consumer.insert_outbox

    async def patched(*arguments: Any) -> None:
        await insert(*arguments)
        death.passed()

    consumer.insert_outbox = patched
    service.insert_outbox = patched


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


def arm(wanted: str) -> None:
    """`<point>:<n>`: die when the n-th batch or request is at the point."""
    point, passes = wanted.split(":")
    POINTS[point](Death(point, int(passes)))
