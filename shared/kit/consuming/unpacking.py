"""A record batch's payload, unpacked with a bound: what would grow beyond it is refused before the memory is taken.

Kafka's clients unpack a batch whole, and a few kilobytes may stand for gigabytes. Here every codec writes into a buffer
of fixed size, or in small steps; what has no room is a refusal, never a larger buffer. Pieces that unpack to nothing
take no room but time and memory each, so they are counted.
"""

import struct
import zlib
from collections.abc import Iterator

import cramjam

from shared.kit import clock

UNPACKED_BYTES_MAX = 32 * 1024 * 1024
"""Of one batch. A batch travels in at most 5 MiB."""
SMALL_BYTES = 8 * 1024 * 1024
"""So much any batch may unpack to, whatever its size: a thousand reports from one template are a few kilobytes of zstd,
and no factor tells them from a bomb."""
GROWTH_MAX = 100
"""Times its size that a larger batch may unpack to: reports shrink to a twentieth as a rule."""
BLOCKS_MAX = 4_096
"""Of Xerial's, which clients fill with 32 KiB: a million that unpack to nothing would take seconds and no room."""
GZIP_MEMBERS_MAX = 1_024
"""Clients write one. Each costs some microseconds and buffers of its own, whatever it unpacks to; in lz4's and zstd's
frames and blocks 5 MiB of nothing take a quarter of a second at most."""
GZIP_CPU_S = 1.0
"""32 MiB take a quarter of it. Blocks of eleven bytes, each with tables of its own and nothing else, take seconds, and
nobody outside the decompressor can count them."""
_GZIP_SLICE_BYTES, _GZIP_STEP_BYTES = 64 * 1024, 1024 * 1024
_NO_ROOM = "whole buffer"
_FIRST_TRY_BYTES = 64 * 1024
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_STREAMS = {3: ("lz4", cramjam.lz4), 4: ("zstd", cramjam.zstd)}
GZIP, SNAPPY = 1, 2


class NotUnpacked(Exception):
    """The payload is of an unknown codec, broken, or larger than allowed; the text says which."""


def bound(packed_bytes: int) -> int:
    """The most that a payload of this size may unpack to."""
    return min(UNPACKED_BYTES_MAX, max(SMALL_BYTES, GROWTH_MAX * packed_bytes))


def unpack(codec: int, payload: memoryview, prefix: bytes = b"") -> bytearray:
    """The payload as it was before it was packed, after `prefix`. `codec`: Kafka's number.

    Raises:
        NotUnpacked: it can't be had within its bound.
    """
    most = bound(len(payload))
    if codec == SNAPPY:
        return _snappy(payload, prefix, most)
    if codec == GZIP:
        return _gzip(payload, prefix, most)
    if codec not in _STREAMS:
        raise NotUnpacked(f"codec {codec} is unknown")
    name, module = _STREAMS[codec]
    size = min(most, max(_FIRST_TRY_BYTES, 4 * len(payload)))
    while True:
        target = bytearray(len(prefix) + size)
        try:
            with memoryview(target) as whole, whole[len(prefix) :] as room:
                written: int = module.decompress_into(payload, room)
        except cramjam.DecompressionError as error:
            if size >= most or _NO_ROOM not in str(error):
                raise NotUnpacked(_why(name, error, most)) from error
            size = most if 16 * size > most else 8 * size
            continue
        target[: len(prefix)] = prefix
        del target[len(prefix) + written :]
        return target


def _why(name: str, error: Exception, most: int) -> str:
    if _NO_ROOM in str(error):
        return f"{name} data of more than {most} bytes"
    return f"broken {name} data"


def _gzip(payload: memoryview, prefix: bytes, most: int) -> bytearray:
    """Gzip in small steps, so that members and time are counted on the way."""
    target, at, until_s = bytearray(prefix), 0, clock.thread_cpu_s() + GZIP_CPU_S
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        pending: bytes | memoryview = b""
        while not member.eof:
            if not pending:
                pending = payload[at : at + _GZIP_SLICE_BYTES]
                at += len(pending)
            try:
                step = member.decompress(pending, _GZIP_STEP_BYTES)
            except zlib.error as error:
                raise NotUnpacked("broken gzip data") from error
            if not (pending or step or member.eof):
                raise NotUnpacked("broken gzip data")
            pending = member.unconsumed_tail
            target += step
            if len(target) - len(prefix) > most:
                raise NotUnpacked(f"gzip data of more than {most} bytes")
            if clock.thread_cpu_s() > until_s:
                raise NotUnpacked(f"gzip data that takes more than {GZIP_CPU_S} s")
        at -= len(member.unused_data)
        if at == len(payload):
            return target
    raise NotUnpacked(f"gzip data in more than {GZIP_MEMBERS_MAX} members")


def _snappy(payload: memoryview, prefix: bytes, most: int) -> bytearray:
    """Snappy tells sizes beforehand: one raw block, or Xerial's row of blocks, which Java's clients write."""
    size = 0
    try:
        for block in _blocks(payload):
            grown: int = cramjam.snappy.decompress_raw_len(block)
            if not grown and block is not payload:
                raise NotUnpacked("snappy data with empty blocks")
            size += grown
            if size > most:
                raise NotUnpacked(f"snappy data of more than {most} bytes")
        target = bytearray(len(prefix) + size)
        target[: len(prefix)] = prefix
        at = len(prefix)
        with memoryview(target) as whole:
            for block in _blocks(payload):
                grown = cramjam.snappy.decompress_raw_len(block)
                with whole[at : at + grown] as room:
                    cramjam.snappy.decompress_raw_into(block, room)
                at += grown
    except cramjam.DecompressionError as error:
        raise NotUnpacked("broken snappy data") from error
    return target


def _blocks(payload: memoryview) -> Iterator[memoryview]:
    """One after the other: a view of each at once would be more memory than they unpack to.

    Raises:
        NotUnpacked: they don't fill the payload, or are more than BLOCKS_MAX.
    """
    if payload[: len(_XERIAL)] != _XERIAL:
        yield payload
        return
    number, at = 0, _XERIAL_HEADER_BYTES
    while at < len(payload):
        number += 1
        if number > BLOCKS_MAX:
            raise NotUnpacked(f"snappy data in more than {BLOCKS_MAX} blocks")
        if at + 4 > len(payload):
            raise NotUnpacked("broken snappy data")
        (size,) = struct.unpack_from(">i", payload, at)
        at += 4
        if size <= 0 or at + size > len(payload):
            raise NotUnpacked("broken snappy data")
        yield payload[at : at + size]
        at += size
