"""Payloads of many empty pieces, of much work, in parts: bounded in room and time, or read whole."""

import random
import tracemalloc

import pytest
from aiokafka.codec import gzip_encode

from shared.kit import clock
from shared.kit.consuming import unpacking
from shared.kit.consuming.unpacking import NotUnpacked, unpack
from tests.kit.messaging.strangers import EIGHT_EMPTY_BLOCKS, HOLLOW


@pytest.mark.parametrize(("codec", "packed"), HOLLOW)
def test_what_unpacks_to_nothing_takes_no_time_and_no_room(codec: int, packed: bytes) -> None:
    """Five megabytes of blocks, frames or members with nothing in them."""
    tracemalloc.start()
    began = clock.monotonic_s()
    try:
        with pytest.raises(NotUnpacked):
            unpack(codec, memoryview(packed))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert clock.monotonic_s() - began < 1.0
    assert peak < 2 * len(packed)


def test_gzip_that_takes_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pieces can't be counted from outside."""
    monkeypatch.setattr(unpacking, "GZIP_CPU_S", 0.05)
    slow = gzip_encode(b"")[:10] + EIGHT_EMPTY_BLOCKS * 50_000
    with pytest.raises(NotUnpacked, match="takes more than"):
        unpack(1, memoryview(slow))


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 1024 * 1024, 3 * 1024 * 1024 + 1])
def test_gzip_is_read_whole_in_any_number_of_members_or_not_at_all(size: int) -> None:
    plain = random.Random(size).randbytes(size // 7 + 1) * 7
    packed = bytes(gzip_encode(plain[:size]))
    assert unpack(1, memoryview(packed), b"head") == b"head" + plain[:size]
    assert unpack(1, memoryview(packed * 3)) == plain[:size] * 3
    for wrong in (packed[:-1], packed + packed[:-9], packed + b"no gzip", b""):
        with pytest.raises(NotUnpacked, match="broken"):
            unpack(1, memoryview(wrong))
