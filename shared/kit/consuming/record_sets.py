"""The record batches of a fetch, read so that a broken one is one dead letter and never an exception.

aiokafka's own reader raises out of the fetch for an unknown codec, a payload that can't be unpacked, a header name that
is not UTF-8. By then it has taken the records of other partitions and dropped them. This reader hands such a record, or
the whole batch where no record can be recognised, to the consumer as `Broken`, in its place among the readable ones.

It takes the place of two names in aiokafka's fetcher (`install`): the fetcher walks batches through it, and everything
that depends on a batch's content happens below it. Whatever that raises nevertheless stays with its batch: the batch
comes again, and when it has raised FAILURES_MAX times it is one dead letter, as one that can't be unpacked.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.util import decode_varint

from shared.kit import clock
from shared.kit.consuming.record_reading import HEAD, PADDING, Broken, Plain, modest, with_care
from shared.kit.consuming.shares import ROOM, Answer
from shared.kit.consuming.unpacking import NotUnpacked, bound, unpack
from shared.kit.letters.codes import UNREADABLE_BATCH

log = structlog.get_logger(__name__)

_LENGTH_AT, _MAGIC_AT, _CODEC_AT = 8, 16, 22
_BEFORE_LENGTH_COUNTS = 12
_HEADER_BYTES, _LEGACY_BYTES_MIN = 61, 26
_CODEC_BITS = 0x07
# Of packed batches in one partition's answer: more is asked for again in the next turn, when others had theirs. Else
# a thousand small bombs would hold up the process, and their records its memory, for as long as they liked.
UNPACKED_PER_ANSWER = 16 * 1024 * 1024
RECORDS_MAX = 100_000
"""Of one batch: as many reports of 150 bytes are 14 MiB. Three million of ten bytes each would be thousands of turns
with nothing but dead letters."""
# What a record counts for at least: two hundred thousand of two bytes are few bytes and much work.
RECORD_BYTES_MIN = 1024
# A checksum may be wrong on the way and right the next time; the same wrong bytes again and again are on the disk.
CORRUPT_SEEN_MAX = 3
FAILURES_MAX = 3
"""Times that reading a batch may raise anything else before it is given up."""
MEMORY_PAUSE_S = 0.2
"""Between two times that count, where memory was short: somebody else's batch may have had it."""
_SUSPECTS_MAX = 10_000


class _Native(Protocol):
    """What is asked of aiokafka's own batches."""

    def __iter__(self) -> Iterator[Any]: ...


class RecordSets:
    """Walks through the batches of one partition's answer; a batch that was cut off at the end comes with the next.

    So does what is left when UNPACKED_PER_ANSWER are unpacked, or when there is no room for the next batch: the
    consumer's position is where this has ended.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0
        self._raw: memoryview | None = None
        self._last: Batch | Buried | None = None
        self._unpacked = 0
        self.asked_from = 0
        """The offset from which on records are taken: the first batch may begin before it."""

    def size_in_bytes(self) -> int:
        """Of the whole answer."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another whole batch is there, and may be unpacked in this turn."""
        if (last := self._last) is not None:
            self._unpacked += max(last.unpacked_bytes, RECORD_BYTES_MIN * (last.next_offset - last.base_offset))
            self._last = None
        if self._unpacked >= UNPACKED_PER_ANSWER or self._end() is None:
            return False
        return self._at == 0 or self.fits()  # the first one waits for room where it is taken, see Answer

    def fits(self) -> bool:
        """Whether there is room for what the next batch may unpack to."""
        end = self._end()
        if end is None or end - self._at <= _HEADER_BYTES or not self._data[self._at + _CODEC_AT] & _CODEC_BITS:
            return True
        return ROOM.fits(bound(end - self._at - _HEADER_BYTES))

    def next_batch(self) -> "Batch | Buried":
        """The next whole batch.

        Raises:
            CorruptRecordException: it is shorter than its own head.
        """
        end = self._end()
        assert end is not None, "asked has_next before"
        raw = self._raw = self._data[self._at : end]
        self._at = end
        if _given_up and (why := _given_up.get(_name(raw))) is not None:
            self._last = Buried(raw, self.asked_from, why)
            return self._last
        if _is_short(raw):
            raise CorruptRecordException("a record batch is shorter than its head")
        self._last = Batch(raw, self.asked_from)
        return self._last

    def failed(self, error: Exception, place: TopicPartition) -> None:
        """Reading the batch in hand has raised: it is read again, and given up when it raises again and again.

        Raises:
            Exception: `error`, where no batch is in hand.
        """
        if self._raw is None:
            raise error
        name, now_s = _name(self._raw), clock.monotonic_s()
        if len(_failures) >= _SUSPECTS_MAX:
            _failures.clear()
            _given_up.clear()
        times, last_s = _failures.get(name, (0, -MEMORY_PAUSE_S))
        if isinstance(error, MemoryError) and now_s - last_s < MEMORY_PAUSE_S:
            return
        _failures[name] = times + 1, now_s
        kind = type(error).__name__
        facts = {"topic": place.topic, "partition": place.partition, "offset": name[0], "bytes": len(self._raw)}
        log.error("batch_raises", **facts, error=kind, times=times + 1)
        if times + 1 >= FAILURES_MAX:
            _given_up[name] = f"reading it raised {kind}"

    def _end(self) -> int | None:
        if len(self._data) - self._at < _BEFORE_LENGTH_COUNTS:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        end: int = self._at + _BEFORE_LENGTH_COUNTS + max(0, length)
        return end if end <= len(self._data) else None


class Batch:
    """One batch: iterating over it gives every record that can be read, and what can't as `Broken`; it never raises."""

    __slots__ = ("_asked_from", "_fault", "_native", "_raw", "base_offset", "is_control_batch", "is_transactional",
                 "next_offset", "producer_id", "unpacked_bytes")  # fmt: skip

    def __init__(self, raw: memoryview, asked_from: int = 0) -> None:
        self._raw = raw
        self._asked_from = asked_from
        self._fault: str | None = None
        self.unpacked_bytes = 0
        """What iterating has cost so far: what a packed payload became, or how far it was tried."""
        magic = raw[_MAGIC_AT]
        native = DefaultRecordBatch(raw) if magic >= 2 else LegacyRecordBatch(raw, magic)
        self._native: Any = native
        self.base_offset: int = native.base_offset
        self.next_offset: int = native.next_offset
        self.producer_id: int | None = native.producer_id
        self.is_control_batch: bool = native.is_control_batch
        self.is_transactional: bool = native.is_transactional

    def validate_crc(self) -> bool:
        """False where the checksum is wrong and may be right when the batch is fetched again."""
        if self._native.validate_crc():
            return True
        suspect = _name(self._raw)
        if len(_suspects) >= _SUSPECTS_MAX:
            _suspects.clear()
        _suspects[suspect] += 1
        if _suspects[suspect] < CORRUPT_SEEN_MAX:
            return False
        self._fault = "the checksum is wrong"
        return True

    def __iter__(self) -> Iterator[Any]:
        try:
            native, content = self._unpacked()
        except NotUnpacked as error:
            yield self._whole(str(error))
            return
        if self._raw[_MAGIC_AT] < 2:
            yield from self._legacy(native)
            return
        count = HEAD.unpack_from(content)[-1]
        if not 0 <= count <= min(RECORDS_MAX, self.next_offset - self.base_offset):
            yield self._whole(f"it says that it has {count} records")
            return
        with ROOM.holding(self.unpacked_bytes):
            yield from _in_place(self._records(native, content, count), self.base_offset, self.next_offset - count)

    def _records(self, native: _Native, content: bytearray, count: int) -> Iterator[Any]:
        """Each record as it says itself; with care from where one has too many headers or the fast reader raises."""
        size, at, number, delta = len(content) - len(PADDING), _HEADER_BYTES, 0, 0
        why = "large, or many headers"
        try:
            fast = iter(native)
            while number < count and at < size:
                length, start = decode_varint(content, at)
                end = start + length
                if length < 0 or end > size or not modest(content, start, end):
                    break
                record = next(fast)
                at, number, delta = end, number + 1, record.offset - self.base_offset + 1
                yield record
        except Exception as error:  # noqa: BLE001 whatever reading a stranger's batch raises must stay with that batch
            why = type(error).__name__
        if number < count:
            log.warning("batch_read_with_care", offset=self.base_offset, record=number, why=why)
            yield from with_care(content, size, at, number, delta)

    def _legacy(self, native: _Native) -> Iterator[Any]:
        try:
            yield from native
        except Exception as error:  # noqa: BLE001 as above: it must stay with that batch
            log.warning("batch_read_with_care", offset=self.base_offset, error=type(error).__name__)
            yield self._whole("broken message")

    def __next__(self) -> Any:
        """The first record: the fetcher asks a control batch for its only one."""
        return next(iter(self))

    def _unpacked(self) -> tuple[_Native, bytearray]:
        """The native reader over a batch that is not packed (any more), and that batch with PADDING behind it.

        Raises:
            NotUnpacked: there is none to be had.
        """
        if self._fault is not None:
            raise NotUnpacked(self._fault)
        if self._raw[_MAGIC_AT] < 2:
            if self._native.compression_type:
                raise NotUnpacked("a packed message set of a Kafka before 0.11")
            return self._native, bytearray()
        head, payload = self._raw[:_HEADER_BYTES], self._raw[_HEADER_BYTES:]
        codec = self._raw[_CODEC_AT] & _CODEC_BITS
        if codec:
            plain_head = bytearray(head)
            plain_head[_CODEC_AT] &= ~_CODEC_BITS
            self.unpacked_bytes = bound(len(payload))
            whole = unpack(codec, payload, bytes(plain_head))
            self.unpacked_bytes = len(whole)
        else:
            whole = bytearray(self._raw)
        whole += PADDING
        return DefaultRecordBatch(memoryview(whole)[: -len(PADDING)]), whole

    def _whole(self, why: str) -> Plain:
        return _as_one(self._raw, self.base_offset, self.next_offset, self._asked_from, why)


class Buried:
    """A batch that is given up: one broken record in the first place that was asked for, whatever its bytes are."""

    producer_id = None
    is_control_batch = is_transactional = False
    unpacked_bytes = 0

    def __init__(self, raw: memoryview, asked_from: int, why: str) -> None:
        self.base_offset: int = struct.unpack_from(">q", raw)[0]
        last_delta = 0 if _is_short(raw) or raw[_MAGIC_AT] < 2 else HEAD.unpack_from(raw)[6]
        # Never before what was asked for: the same batch would come again.
        self.next_offset = max(self.base_offset + max(0, last_delta), asked_from) + 1
        self._record = _as_one(raw, self.base_offset, self.next_offset, asked_from, why)

    def validate_crc(self) -> bool:
        """True: it is not asked any more."""
        return True

    def __iter__(self) -> Iterator[Plain]:
        yield self._record


def _is_short(raw: memoryview) -> bool:
    return len(raw) < (_HEADER_BYTES if len(raw) > _MAGIC_AT and raw[_MAGIC_AT] >= 2 else _LEGACY_BYTES_MIN)


def _as_one(raw: memoryview, base: int, following: int, asked_from: int, why: str) -> Plain:
    """The whole batch as one broken record, in its first place that was asked for: the fetcher drops one before."""
    detail = f"batch of {following - base} records, offsets {base} to {following - 1}: {why}"
    value, place = Broken.of(raw, UNREADABLE_BATCH.code, detail), max(base, asked_from)
    if _is_short(raw) or raw[_MAGIC_AT] < 2:
        return Plain(place, -1, 0, None, value)
    _, _, _, _, _, attributes, _, _, latest_ms, *_ = HEAD.unpack_from(raw)
    return Plain(place, latest_ms, int(bool(attributes & 0x08)), None, value)


def _name(raw: memoryview) -> tuple[int, int]:
    """What tells a batch from others of its partition, and from those of others."""
    base: int = struct.unpack_from(">q", raw)[0]
    return base, zlib.crc32(raw)


_suspects: Counter[tuple[int, int]] = Counter()
"""How often the same bytes with a wrong checksum have been seen."""
_failures: dict[tuple[int, int], tuple[int, float]] = {}
"""How often reading the same bytes has raised, and when last."""
_given_up: dict[tuple[int, int], str] = {}
"""The batches that are not read any more, and why."""


class Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka tells no types
    """One partition's answer as the fetcher takes records from it: it ends before a batch whose reading raises.

    Else that would go through the fetch, and what it has taken from other partitions would be lost with their positions
    moved on. Here the partition's position stays before that batch, which comes again, and nobody else notices.
    """

    _records_iterator: Iterator[Any] | None

    def __init__(self, place: Any, records: RecordSets, aborted: Any, asked_from: int, *rest: Any) -> None:
        records.asked_from = asked_from
        super().__init__(place, records, aborted, asked_from, *rest)

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)  # type: ignore[arg-type]  # None only behind the end
        except StopIteration:
            self._records_iterator = None
            raise
        except Exception as error:
            self._records_iterator = None
            self._records.failed(error, self._tp)
            raise StopIteration from error


def _in_place(records: Iterator[Any], base: int, room: int) -> Iterator[Any]:
    """Each record at an offset of its own, in ascending order, within its batch.

    A sender writes offsets into an unpacked batch itself, and the broker looks only at how many there are. The fetcher
    drops a record whose offset doesn't ascend without a word, and all that follow one from far above. Here such a one
    is broken, at the first place that is free; `room` leaves one to each record behind it: in a batch that
    nothing was removed from, the place can be no other. `room`: the highest offset that the first may have.
    """
    expected = base
    for record in records:
        offset = record.offset
        if not expected <= offset <= room:
            record = _displaced(record, expected)
            offset = expected
        yield record
        expected, room = offset + 1, room + 1


def _displaced(record: Any, expected: int) -> Plain:
    value = record.value
    if not isinstance(value, Broken):
        value = Broken.of(value or b"", "offset", f"the record says offset {record.offset}, its place is {expected}")
    headers = tuple(record.headers)
    return Plain(expected, record.timestamp, record.timestamp_type, record.key, value, headers)


def install() -> None:
    """Let aiokafka's fetchers in this process read batches through `RecordSets` and `Records`.

    Raises:
        RuntimeError: this version of aiokafka has no such place.
    """
    for name in ("MemoryRecords", "PartitionRecords", "FetchResult"):
        if not hasattr(fetcher, name):
            raise RuntimeError(f"aiokafka's fetcher has no {name} any more: see shared/kit/consuming/record_sets.py")
    fetcher.MemoryRecords, fetcher.PartitionRecords, fetcher.FetchResult = RecordSets, Records, Answer
