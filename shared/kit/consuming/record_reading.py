"""One batch's records read with care: what breaks the fast reader, or would make it take too much memory.

A record's bytes are bounded by what its batch may unpack to, but not the objects that are made of them: a header of two
bytes is some hundred bytes of Python, and a record of four million headers travels in 831 bytes. So headers are counted
before the fast reader sees a record (`modest`); a record with more of them than HEADERS_MAX comes without them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiokafka.record.util import decode_varint

from shared.kit.letters.codes import UNREADABLE_BATCH, UNREADABLE_RECORD
from shared.kit.problems import CONTENT_TOO_LARGE, MALFORMED_EVENT

HEAD = struct.Struct(">qiibIhiqqqhii")
"""Of a batch: first offset, length, epoch, magic, checksum, attributes, last offset's delta, first and latest time in
ms, producer's id, epoch and sequence, number of records."""
HEADERS_MAX = 256
"""Of one record. CloudEvents and traces take a dozen. A turn of 500 records makes some 25 MB of so many at most."""
HEADER_BYTES_MAX = 16 * 1024
"""Of one record's headers together: a name that is not UTF-8 becomes four times as long."""
RECORD_BYTES_MAX = 5 * 1024 * 1024
"""Of one record: as much as a batch may travel in, so that what comes unpacked is whole. Packed, thirty megabytes
travel in a few kilobytes, and each copy of them would be a tenth of a small pod: of such a value so many are kept."""
KEY_BYTES_MAX = 64 * 1024
"""Of a larger record's key; a larger key is left out."""
KEPT_BYTES_MAX = RECORD_BYTES_MAX
"""Of the bytes that can't be read as a record."""
LATEST_MS = 253_370_764_800_000
"""Of a record's time: the year 9999, which is what clocks here can say."""
PADDING = bytes(64)
"""Behind a batch: aiokafka looks for the end of a number up to nine bytes behind it, and `modest` reads
four numbers in a row."""


class Broken(bytes):
    """The bytes of a record or of a whole batch that can't be read, and why: `detail` names no content."""

    code: str
    detail: str

    @classmethod
    def of(cls, content: bytes | memoryview, code: str, detail: str) -> "Broken":
        """The bytes with their reason."""
        made = cls(content)
        made.code, made.detail = code, detail
        return made


@dataclass(slots=True)
class Plain:
    """A record as the fetcher takes it from a batch."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    checksum: None = None


def modest(content: bytearray, at: int, end: int) -> bool:
    """Whether the fast reader may have the record that begins behind its length at `at`: it is small, its headers few.

    It says nothing about whether the record is whole. `content`: PADDING stands behind it.
    """
    if end - at > RECORD_BYTES_MAX:
        return False
    _, at = decode_varint(content, at)  # attributes; the fast reader takes them for a number too
    _, at = decode_varint(content, at)
    _, at = decode_varint(content, at)
    length, at = decode_varint(content, at)
    if length > 0:
        at += length
    if at >= end:
        return False
    length, at = decode_varint(content, at)
    if length > 0:
        at += length
    if at >= end:
        return False
    count, _ = decode_varint(content, at)
    return count <= HEADERS_MAX and end - at <= HEADER_BYTES_MAX


def with_care(content: bytearray, size: int, at: int, number: int, delta: int) -> Iterator[Plain]:
    """The records of an unpacked batch in turn; each that can't be read as `Broken`, and so the rest behind a break.

    `size`: of the batch in bytes, behind which PADDING stands. The first is the record `number`, from 0, that begins at
    `at`; `delta`: the lowest place in the batch that it may have.
    """
    base, _, _, _, _, attributes, last_delta, first_ms, latest_ms, _, _, _, count = HEAD.unpack_from(content)
    stamped = int(bool(attributes & 0x08))
    view = memoryview(content)[:size]
    for place in range(number, count):
        try:
            length, start = decode_varint(content, at) if at < size else (-1, at)
        except ValueError:
            length, start = -1, at
        if length < 0 or start + length > size:
            rest = f"offsets up to {base + last_delta}: records end in the middle"
            value = Broken.of(view[at : at + KEPT_BYTES_MAX], UNREADABLE_BATCH.code, rest)
            yield Plain(base + delta, latest_ms, stamped, None, value)
            return
        at = start + length
        stamp_ms = latest_ms if stamped else None
        expected = base + max(delta, place)
        record = _record(view[start:at], base, expected, first_ms, stamp_ms)
        yield record
        delta = record.offset - base + 1


def _record(content: memoryview, base: int, expected: int, first_ms: int, stamp_ms: int | None) -> Plain:
    """One record; broken where its fields don't fit into it, are too large, or its headers too many or not in UTF-8."""
    stamped = int(stamp_ms is not None)
    headers: tuple[tuple[str, bytes | None], ...] = ()
    code, why = MALFORMED_EVENT.code, None
    try:
        at = 1  # attributes: unused
        since_ms, at = _number(content, at)
        delta, at = _number(content, at)
        key_size, key_at = _number(content, at)
        value_size, value_at = _number(content, key_at + max(0, key_size))
        at = value_at + max(0, value_size)
        count, first = _number(content, at)
        if len(content) > RECORD_BYTES_MAX and (key_size > KEY_BYTES_MAX or value_size > RECORD_BYTES_MAX):
            code = CONTENT_TOO_LARGE.code
            why = (
                f"a key of {key_size} and a value of {value_size} bytes, of which the first are here; the topic has all"
            )
            key_size = -1 if key_size > KEY_BYTES_MAX else key_size
            value_size = min(value_size, RECORD_BYTES_MAX)
        elif count > HEADERS_MAX or len(content) - at > HEADER_BYTES_MAX:
            why = f"{count} headers of {len(content) - at} bytes, without which it stands here: too many"
        else:
            headers, why, at = _headers(content, first, count)
            if at != len(content):
                raise ValueError("bytes are left over")
    except (ValueError, IndexError) as error:
        detail = f"the record's fields don't fit: {type(error).__name__}"
        broken = Broken.of(content[:KEPT_BYTES_MAX], UNREADABLE_RECORD.code, detail)
        return Plain(expected, stamp_ms if stamp_ms is not None else first_ms, stamped, None, broken)
    key = None if key_size < 0 else bytes(content[key_at : key_at + key_size])
    value = None if value_size < 0 else bytes(content[value_at : value_at + value_size])
    if why is not None:
        value = Broken.of(value or b"", code, why)
    # both are the sender's where the broker doesn't stamp; a sum that no column holds would stop whoever buries it
    at_ms = stamp_ms if stamp_ms is not None else min(max(first_ms + since_ms, -1), LATEST_MS)
    return Plain(base + delta, at_ms, stamped, key, value, headers)


def _headers(content: memoryview, at: int, count: int) -> tuple[tuple[tuple[str, bytes | None], ...], str | None, int]:
    """Headers, what is wrong with one whose name had to be escaped, and where they end."""
    if count < 0:
        raise ValueError("nonsensical number of headers")
    found: list[tuple[str, bytes | None]] = []
    foreign = False
    for _ in range(count):
        name, at = _bytes(content, at)
        value, at = _bytes(content, at)
        text = (name or b"").decode("utf-8", "backslashreplace")
        foreign = foreign or text.encode() != name
        found.append((text, value))
    return tuple(found), "the name of a header is not UTF-8" if foreign else None, at


def _bytes(content: memoryview, at: int) -> tuple[bytes | None, int]:
    length, at = _number(content, at)
    if length < 0:
        return None, at
    if at + length > len(content):
        raise ValueError("longer than its record")
    return bytes(content[at : at + length]), at + length


def _number(content: memoryview, at: int) -> tuple[int, int]:
    """A number and where it ends; aiokafka's function knows no end."""
    if at >= len(content):
        raise ValueError("the record ends before its fields")
    found: tuple[int, int] = decode_varint(content, at)
    return found
