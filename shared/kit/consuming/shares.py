"""What one fetch may take of the answers that wait, and how much of packed batches a process has unpacked at once.

A company decides how large its batches and records become, and in how many partitions. Values are copied into each
record, then into a dead letter and the event that announces it: so a turn is bounded in bytes as in records,
and a partition's next batch is unpacked only where there is room for it beside those that are open.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.consumer.fetcher import FetchResult

from shared.kit.consuming.unpacking import SMALL_BYTES, UNPACKED_BYTES_MAX

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

TURN_BYTES_MAX = 8 * 1024 * 1024
"""Of the records of one turn: keys, values and headers. A turn ends before a record like the last would exceed it."""
OPEN_BYTES_MAX = UNPACKED_BYTES_MAX + SMALL_BYTES
"""Of unpacked batches that are being read in one process: one of the largest, and one such as companies really send."""


@dataclass(slots=True)
class Allowance:
    """What the consumer in this task may still take in this turn."""

    bytes_left: int
    last_bytes: int = 0
    """Of the record taken last."""


ALLOWANCE: ContextVar[Allowance | None] = ContextVar("allowance", default=None)
"""Of the fetch that is going on in this task; without one nothing is bounded."""


class Room:
    """The unpacked bytes of packed batches that are open in this process, over all its consumers.

    The suite's own batches are not packed: they always have room.
    """

    def __init__(self) -> None:
        self.open_bytes = 0

    def fits(self, more_bytes: int) -> bool:
        """Whether a batch that may become this large can be opened; alone any can."""
        return not self.open_bytes or self.open_bytes + more_bytes <= OPEN_BYTES_MAX

    @contextlib.contextmanager
    def holding(self, taken_bytes: int) -> Iterator[None]:
        """Count a batch for as long as it is open."""
        self.open_bytes += taken_bytes
        try:
            yield
        finally:
            self.open_bytes -= taken_bytes


ROOM = Room()


class Answer(FetchResult):  # type: ignore[misc]  # aiokafka has no types here
    """One partition's answer in aiokafka's fetcher; it gives no more than the task's allowance and waits for room."""

    _partition_records: Any
    begun = False
    """Whether records were taken of it: a batch of it may be open."""

    def getall(self, max_records: int | None = None) -> "list[ConsumerRecord[bytes, bytes]]":
        """As aiokafka's own, up to where the allowance ends; none, and it stays, while its first batch has no room."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        if not self.begun and not self._partition_records._records.fits():
            return []
        self.begun = True
        allowance = ALLOWANCE.get() or Allowance(1 << 62)
        taken: list[ConsumerRecord[bytes, bytes]] = []
        for record in self._partition_records:
            taken.append(record)
            allowance.last_bytes = size = _size(record)
            allowance.bytes_left -= size
            if allowance.bytes_left < size or (max_records is not None and len(taken) >= max_records):
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken

    def check_assignment(self, tp: Any) -> bool:
        """As aiokafka's own; what it drops is closed."""
        records = self._partition_records
        kept: bool = super().check_assignment(tp)
        if not kept:
            _close(records)
        return kept

    def __del__(self) -> None:
        _close(getattr(self, "_partition_records", None))


def _close(records: Any) -> None:
    """Let the open batch of a dropped answer go at once: the answer is in a circle with its own iterator."""
    if records is not None:
        records._records_iterator = None


def _size(record: "ConsumerRecord[bytes, bytes]") -> int:
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size
