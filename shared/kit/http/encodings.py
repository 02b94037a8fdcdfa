"""Packed request bodies (Content-Encoding): unpacked with a bound, so that a bomb costs no more than a large body.

What comes out counts against the route's limit and the process's room like what came in, piece by piece, and nothing
grows beyond either. Nobody's body is unpacked before they are known: a signature is of the bytes as they were sent.
"""

import asyncio
import zlib
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive

from shared.kit import clock
from shared.kit.http.middleware import hold_unpacked
from shared.kit.http.problems import unknown_encoding
from shared.kit.problems import MALFORMED_ENCODING

KNOWN = "gzip, deflate"
PIECE_BYTES = 256 * 1024
FEED_BYTES = 16 * 1024
"""Fed at once: what is left behind the end of a gzip member is copied, so it must be little."""
MEMBERS_MAX = 1_000
"""Of one gzip body: some packers write one every 64 KiB. Each costs the time of about a kilobyte."""
CPU_S = 1.0
"""Of one body, as of a batch of Kafka: some MB take a tenth of it. Blocks of eleven bytes with tables of their own and
nothing else take a tenth of a second each MB, and come out as nothing, so that no limit of size meets them."""
_EITHER_HEAD = zlib.MAX_WBITS | 32
_BARE = -zlib.MAX_WBITS


class Broken(Exception):
    """The body is not whole data of its coding."""


def coding_of(headers: Headers) -> str | None:
    """How a body is packed: "gzip", "deflate", or None for not at all. Raises the 415 problem for anything else."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    names = [name.strip().lower() for line in headers.getlist("content-encoding") for name in line.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in ("gzip", "x-gzip", "deflate"):
        raise unknown_encoding(KNOWN)
    return codings[0].removeprefix("x-")


def pieces(body: bytes, coding: str) -> Iterator[bytes]:
    """The unpacked body in pieces of at most PIECE_BYTES, some of them empty. `coding`: "gzip" or "deflate".

    Raises:
        Broken: it ends too early, or has something else in it or behind it. Zeros behind gzip are padding (gzip(1)).
            Also where it takes more than CPU_S to unpack.
    """
    unpacker, members = _unpacker(body, coding), 0
    at = 0
    pending = b""
    spent_s = 0.0
    while True:
        if not pending:
            pending = body[at : at + FEED_BYTES]
            at += len(pending)
        began_s = clock.thread_cpu_s()
        try:
            piece = unpacker.decompress(pending, PIECE_BYTES)
        except zlib.error as error:
            raise Broken from error
        spent_s += clock.thread_cpu_s() - began_s
        if spent_s > CPU_S:
            raise Broken
        pending = unpacker.unconsumed_tail
        yield piece
        if unpacker.eof:
            pending = unpacker.unused_data
            if not pending and at == len(body):
                return
            if coding == "gzip" and (pending[:1] or body[at : at + 1]) == b"\0":  # with which no member begins
                if pending.count(0) + body.count(0, at) == len(pending) + len(body) - at:
                    return
                raise Broken
            members += 1
            if coding != "gzip" or members >= MEMBERS_MAX:
                raise Broken
            unpacker = zlib.decompressobj(_EITHER_HEAD)
        elif not pending and at == len(body) and len(piece) < PIECE_BYTES:
            raise Broken


def _unpacker(body: bytes, coding: str) -> "zlib._Decompress":
    """`deflate` is zlib's format; some send its data without zlib's head, which is plain too."""
    if coding == "deflate" and not _has_zlib_head(body):
        return zlib.decompressobj(_BARE)
    return zlib.decompressobj(_EITHER_HEAD)


def _has_zlib_head(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


async def unpacked(request: Request) -> Request:
    """The request as if its body had come as it is; the same one where it did.

    Raises the 400 and 415 problems, BodyTooLarge where what comes out is more than the route takes, and BodiesFull.
    """
    coding = coding_of(request.headers)
    if coding is None:
        return request
    packed = await request.body()
    if not packed:
        return request
    found = bytearray()
    try:
        for piece in pieces(packed, coding):
            hold_unpacked(request.scope, len(found) + len(piece), len(piece))
            found += piece
            await asyncio.sleep(0)  # others go on meanwhile
    except Broken as broken:
        raise MALFORMED_ENCODING(f"the body is not whole {coding} data, or takes too long to unpack") from broken
    return Request(request.scope, _once(bytes(found)))


def _once(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
