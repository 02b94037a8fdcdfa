"""Batches that no broker would take and some that it does: read as far as they can be, never raised out of a fetch."""

import random
import struct
import tracemalloc
from unittest import mock

import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.kit.consuming import record_reading, record_sets, unpacking
from shared.kit.consuming.record_reading import HEADER_BYTES_MAX, HEADERS_MAX, LATEST_MS, RECORD_BYTES_MAX, Broken
from shared.kit.consuming.record_sets import (
    CORRUPT_SEEN_MAX,
    FAILURES_MAX,
    MEMORY_PAUSE_S,
    RECORD_BYTES_MIN,
    RECORDS_MAX,
    UNPACKED_PER_ANSWER,
    Records,
    RecordSets,
)
from shared.kit.consuming.shares import ALLOWANCE, Allowance, Answer, Room
from shared.kit.consuming.unpacking import NotUnpacked, unpack
from tests.kit.messaging.strangers import LAST_DELTA_AT, headed, numbered, packed, submission

PACKERS = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}
RECORDS = 5
FIRST_MS_AT = 27


def batch(codec: int = 0, name: str = "name") -> bytearray:
    made = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 1 << 20)
    for number in range(RECORDS):
        made.append(
            number, 1_000 + number, b"k%d" % number, b'{"number": %d}' % number * 9, [(name, b"x"), ("n", None)]
        )
    return bytearray(made.build())


def signed(content: bytearray, base_offset: int = 0) -> bytes:
    struct.pack_into(">q", content, 0, base_offset)
    struct.pack_into(">I", content, 17, calc_crc32c(bytes(content[21:])))
    return bytes(content)


def codes(content: bytes) -> list[str]:
    """What each record is: `ok` or why it is broken."""
    sets = RecordSets(content)
    found = []
    while sets.has_next():
        one = sets.next_batch()
        assert one.validate_crc()
        found += [r.value.code if isinstance(r.value, Broken) else "ok" for r in one]
    return found


@pytest.mark.parametrize("codec", range(5))
def test_every_codec_is_read_record_by_record(codec: int) -> None:
    sets = RecordSets(signed(batch(codec), 40) + signed(batch(codec), 45) + signed(batch(codec), 50)[:70])
    records = [record for _ in range(2) for record in sets.next_batch()]
    assert not sets.has_next()
    assert [record.offset for record in records] == list(range(40, 50))
    assert [record.timestamp for record in records[:2]] == [1_000, 1_001]
    assert (records[1].key, records[1].value, list(records[1].headers)) == (
        b"k1", b'{"number": 1}' * 9, [("name", b"x"), ("n", None)],
    )  # fmt: skip


def test_a_header_name_that_is_not_utf8_breaks_its_record_alone() -> None:
    content = batch()
    at = content.index(b"name", content.index(b"k2"))
    content[at : at + 4] = b"n\xffme"
    assert codes(signed(content)) == ["ok", "ok", "malformed_event", "ok", "ok"]
    broken = list(RecordSets(bytes(content)).next_batch())[2]
    assert (bytes(broken.value), broken.key, broken.offset) == (b'{"number": 2}' * 9, b"k2", 2)
    assert broken.headers == (("n\\xffme", b"x"), ("n", None))


def test_a_record_whose_fields_do_not_fit_breaks_alone() -> None:
    content = batch()
    content[content.index(b"k2") - 1] = 0x40  # the key's length
    assert codes(signed(content)) == ["ok", "ok", "unreadable_record", "ok", "ok"]


@pytest.mark.parametrize("codec", [0, 4])
@pytest.mark.parametrize(
    ("headers", "length", "why"),
    [
        (4_000_000, None, "4000000 headers"),  # of two bytes each, within their record
        (HEADERS_MAX + 1, None, f"{HEADERS_MAX + 1} headers"),
        (4_000_000, 40, None),  # the record ends before its headers, which the fast reader finds only behind them
        (HEADERS_MAX, None, "ok"),
    ],
)
def test_headers_are_counted_before_they_are_made(codec: int, headers: int, length: int | None, why: str) -> None:
    content = headed(codec, submission(1), headers, length)
    assert not codec or len(content) < 3_000
    tracemalloc.start()
    try:
        records = list(RecordSets(bytes(content)).next_batch())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 9 * (8 << 20)  # bytes of payload, copied; a list of four million headers is thirty times as much
    if why == "ok":
        assert (len(records[0].headers), records[0].value) == (HEADERS_MAX, submission(1))
        return
    broken = records[0]
    assert isinstance(broken.value, Broken)
    assert not broken.headers
    if why:
        assert (broken.value.code, bytes(broken.value)) == ("malformed_event", submission(1))
        assert broken.value.detail.startswith(why)


@pytest.mark.parametrize("codec", PACKERS)
def test_a_record_far_beyond_what_a_topic_takes_is_cut(codec: int) -> None:
    """Thirty megabytes of it travel in a few kilobytes; its neighbours stay as they are."""
    size, key = 20_000_000, b"k" * 100
    made = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 1 << 27)
    made.append(0, 1_000, b"first", submission(1), [])
    made.append(1, 1_001, key, b"{" + b"x" * size, [("name", b"x")])
    made.append(2, 1_002, b"k" * size, b"v" * RECORD_BYTES_MAX, [])
    made.append(3, 1_003, b"last", submission(2), [])
    content = bytes(made.build())
    with (
        mock.patch.object(unpacking, "UNPACKED_BYTES_MAX", 3 * size),
        mock.patch.object(unpacking, "SMALL_BYTES", 3 * size),
    ):
        one = RecordSets(content).next_batch()
        records = []
        tracemalloc.start()
        for record in one:
            records.append(record)
            if record.offset == 0:
                tracemalloc.reset_peak()
                open_bytes = tracemalloc.get_traced_memory()[0]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak - open_bytes < 4 * RECORD_BYTES_MAX
    assert [(r.offset, r.timestamp) for r in records] == [(n, 1_000 + n) for n in range(4)]
    assert (records[0].value, records[3].value, records[3].key) == (submission(1), submission(2), b"last")
    assert (records[1].key, bytes(records[1].value)) == (key, b"{" + b"x" * (RECORD_BYTES_MAX - 1))
    assert records[2].key is None
    assert {r.value.code for r in records[1:3]} == {"content_too_large"}
    assert f"a value of {size + 1} bytes" in records[1].value.detail


def test_a_time_that_no_clock_has_is_brought_to_one_that_it_has() -> None:
    """A sum of two numbers of the sender's: no column of a dead letter holds it."""
    content = batch()
    at = content.index(b"name", content.index(b"k2"))
    content[at : at + 4] = b"n\xffme"  # is read with care
    struct.pack_into(">q", content, FIRST_MS_AT, 2**63 - 1)
    record = list(RecordSets(signed(content)).next_batch())[2]
    assert isinstance(record.value, Broken)
    assert record.timestamp == LATEST_MS


def test_headers_are_bounded_in_bytes_too() -> None:
    content = batch(name="n" * HEADER_BYTES_MAX)
    assert codes(signed(content)) == ["malformed_event"] * RECORDS
    assert codes(signed(batch(name="n" * (HEADER_BYTES_MAX - 50)))) == ["ok"] * RECORDS


def test_a_batch_of_more_records_than_anybody_sends_is_one_broken_record() -> None:
    count = RECORDS_MAX + 1
    content = numbered([b""] * count, range(count))
    assert codes(signed(content)) == ["unreadable_batch"]
    assert len(codes(signed(numbered([b""] * RECORDS_MAX, range(RECORDS_MAX))))) == RECORDS_MAX


@pytest.mark.parametrize(
    ("change", "why"),
    [((22, 7), "codec 7 is unknown"), ((64, 255), "broken zstd data")],
)
def test_a_batch_that_can_not_be_unpacked_is_one_record_at_its_first_offset(change: tuple[int, int], why: str) -> None:
    content = batch(4)
    content[change[0]] = change[1]
    whole = signed(content, 40)
    one = RecordSets(whole).next_batch()
    [record] = one
    assert (record.offset, one.next_offset, bytes(record.value)) == (40, 45, whole)
    assert "offsets 40 to 44" in record.value.detail
    assert why in record.value.detail


def test_a_wrong_checksum_is_asked_for_again_before_it_is_believed() -> None:
    content = bytearray(signed(batch(), 977))
    content[-1] ^= 1
    seen = [RecordSets(bytes(content)).next_batch() for _ in range(CORRUPT_SEEN_MAX)]
    assert [one.validate_crc() for one in seen] == [False] * (CORRUPT_SEEN_MAX - 1) + [True]
    [record] = seen[-1]
    assert "checksum" in record.value.detail


def test_random_damage_under_a_right_checksum_never_raises_and_never_loses_a_place() -> None:
    dice = random.Random(7)
    for _ in range(2_000):
        content = batch(dice.choice((0, 0, 1, 4)))
        for _ in range(dice.choice((1, 1, 4))):
            content[dice.randrange(61, len(content))] = dice.randrange(256)
        assert codes(signed(content))


@pytest.mark.parametrize(
    ("offsets", "broken"),
    [
        ([0, 0, 0, 0, 0], [1, 2, 3, 4]),
        ([0, 1, -50, 3, 4], [2]),
        ([0, 1, 1 << 30, 3, 4], [2]),
        ([4, 3, 2, 1, 0], [0, 1, 3, 4]),
    ],
)
def test_every_record_has_an_offset_of_its_own_within_its_batch(offsets: list[int], broken: list[int]) -> None:
    content = signed(numbered([b"{}"] * RECORDS, offsets), 40)
    records = list(RecordSets(content).next_batch())
    assert [record.offset for record in records] == list(range(40, 45))
    assert [record.offset - 40 for record in records if isinstance(record.value, Broken)] == broken
    assert all(bytes(record.value) == b"{}" for record in records)


def test_what_compaction_left_of_a_batch_keeps_its_offsets() -> None:
    content = numbered([b"{}"] * 3, [1, 4, 7])
    struct.pack_into(">i", content, LAST_DELTA_AT, 9)
    records = list(RecordSets(signed(content, 40)).next_batch())
    assert [record.offset for record in records] == [41, 44, 47]
    assert not any(isinstance(record.value, Broken) for record in records)


@pytest.mark.parametrize("size", [1 << 20, unpacking.UNPACKED_BYTES_MAX + 1])
def test_an_answer_ends_where_enough_was_unpacked_of_it(size: int) -> None:
    """Whether it was kept or refused; the consumer asks for the rest in its next turn."""
    made = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, 0, 1 << 20)
    made.append(0, 0, None, bytes(size), [])
    sets, read = RecordSets(signed(bytearray(made.build())) * 100), 0
    while sets.has_next():
        read += len(list(sets.next_batch()))
    assert read == -(-UNPACKED_PER_ANSWER // min(size, unpacking.SMALL_BYTES))


def test_an_answer_ends_after_many_records_however_small() -> None:
    sets, read = RecordSets(bytes(packed([b"{}"] * 1_000)) * 100), 0
    while sets.has_next():
        read += len(list(sets.next_batch()))
    assert read == -(-UNPACKED_PER_ANSWER // (1_000 * RECORD_BYTES_MIN)) * 1_000


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """One of its own: stopped consumers of other tests have batches half read."""
    own = Room()
    monkeypatch.setattr(record_sets, "ROOM", own)
    return own


def large() -> bytes:
    """A batch that may unpack to the most that one may, and nearly does."""
    dice = random.Random(3)
    content = bytes(packed([dice.randbytes(100_000) + bytes(7_800_000)] * 4))
    assert unpacking.bound(len(content) - 61) == unpacking.UNPACKED_BYTES_MAX
    return content


def test_a_batch_is_opened_only_where_there_is_room_beside_those_that_are(room: Room) -> None:
    begun = iter(RecordSets(large()).next_batch())
    assert next(begun).value
    assert 0.9 * unpacking.UNPACKED_BYTES_MAX < room.open_bytes <= unpacking.UNPACKED_BYTES_MAX
    assert RecordSets(bytes(packed([b"{}"] * 1_000))).fits()  # as companies send them
    second = RecordSets(large())
    assert second.has_next()  # it has come, and waits
    assert not second.fits()
    assert RecordSets(signed(batch())).fits()  # nothing to unpack
    follows = RecordSets(signed(batch()) + large())
    list(follows.next_batch())
    assert not follows.has_next()  # it is fetched again
    del begun
    assert second.fits()
    assert room.open_bytes == 0


def whole_answer(content: bytes) -> Answer:
    """What the fetcher makes of one partition's answer."""
    place, assignment = TopicPartition("t", 0), mock.Mock(active=True)
    state = assignment.state_value.return_value
    state.paused, state.position = False, 0
    state.consumed_to.side_effect = lambda offset: setattr(state, "position", offset)
    records = PartitionRecords(place, RecordSets(content), [], 0, None, None, True, 0)
    return Answer(place, assignment=assignment, partition_records=records, backoff=0.1)


def test_an_answer_gives_no_more_bytes_than_are_allowed_and_goes_on_where_it_stopped(room: Room) -> None:
    one = whole_answer(bytes(packed([bytes(1_000_000)] * 7 + [b"small"] * 600)))
    taken = []
    for expected in (2, 2, 2, 501):
        token = ALLOWANCE.set(Allowance(2_500_000))
        taken.append(one.getall(501))
        ALLOWANCE.reset(token)
        assert len(taken[-1]) == expected
    assert [record.offset for part in taken for record in part] == list(range(507))
    assert room.open_bytes > 0
    del one
    assert room.open_bytes == 0  # whatever dropped it


@pytest.mark.parametrize("codec", PACKERS)
def test_what_would_grow_beyond_its_bound_is_refused(codec: int) -> None:
    small = memoryview(bytes(PACKERS[codec](bytes(unpacking.SMALL_BYTES))))
    assert len(unpack(codec, small, b"head")) == unpacking.SMALL_BYTES + 4
    large = memoryview(bytes(PACKERS[codec](bytes(unpacking.UNPACKED_BYTES_MAX + 1))))
    with pytest.raises(NotUnpacked, match="more than"):
        unpack(codec, large)


def answer(content: bytes, asked_from: int) -> Records:
    """As the fetcher makes it, of a partition that stands at `asked_from`."""
    return Records(TopicPartition("inbound", 0), RecordSets(content), [], asked_from, None, None, True, 0)


def test_a_batch_shorter_than_its_head_is_given_up_and_passed() -> None:
    short = struct.pack(">qiib", 140, 20, 0, 2).ljust(32, b"x")
    content = short + signed(batch(), 141)
    for _ in range(FAILURES_MAX):
        tried = answer(content, 140)
        assert not list(tried)
        assert tried.next_fetch_offset == 140
    records = list(answer(content, 140))
    assert [record.offset for record in records] == list(range(140, 146))
    assert (records[0].value.code, bytes(records[0].value)) == ("unreadable_batch", short)
    assert not isinstance(records[1].value, Broken)


@pytest.mark.parametrize("asked_from", [240, 242, 244])
def test_a_broken_batch_that_is_fetched_from_its_middle_is_not_passed_without_a_word(asked_from: int) -> None:
    content = batch(4)
    content[64] = 255
    read = answer(signed(content, 240), asked_from)
    [record] = read
    assert (record.offset, read.next_fetch_offset) == (asked_from, 245)
    assert "offsets 240 to 244" in record.value.detail


def test_where_memory_is_short_a_batch_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0

    def full(*_: object) -> bytearray:
        raise MemoryError

    monkeypatch.setattr(record_sets, "unpack", full)
    monkeypatch.setattr(record_sets.clock, "monotonic_s", lambda: now_s)
    content = signed(batch(4), 340)
    for _ in range(FAILURES_MAX - 1):
        for _ in range(10):
            assert not list(answer(content, 340))
        now_s += 2 * MEMORY_PAUSE_S
    assert not list(answer(content, 340))
    [record] = answer(content, 340)
    assert "MemoryError" in record.value.detail


def test_a_broken_record_at_the_end_of_many_is_not_looked_for_from_the_first() -> None:
    """The care begins where the fast reader stopped."""
    count = RECORDS_MAX
    content = numbered([b"v"] * count, range(count))
    at = content.rindex(b"v") - 1  # the last record's value's length
    content[at] = 0x40
    reads = []
    with pytest.MonkeyPatch.context() as patch:
        careful = record_reading._record
        patch.setattr(record_reading, "_record", lambda *given: reads.append(1) or careful(*given))
        found = codes(signed(content))
    assert (len(found), found[-1], set(found[:-1])) == (count, "unreadable_record", {"ok"})
    assert len(reads) == 1
