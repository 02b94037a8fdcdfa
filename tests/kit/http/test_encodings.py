"""Packed bodies: unpacked within the route's limit, refused where they are no whole data of their coding."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request

from shared.kit.auth import AnyOf, Company, Public, Rider, allow, policy_router, signed_headers
from shared.kit.http import encodings
from shared.kit.http.bodies import BodyBudget
from shared.kit.http.encodings import FEED_BYTES, MEMBERS_MAX, PIECE_BYTES, Broken, pieces
from tests.kit.messaging.strangers import EIGHT_EMPTY_BLOCKS
from tests.kit.web import MT_NEW, app_of, client_of

MB = 1_000_000
BODY_MAX = 6 * MB
NOISE = random.Random(7).randbytes(300_000)


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": (gzip.compress, "gzip"),
    "gzip in members": (lambda body: gzip.compress(body[:7]) + gzip.compress(b"") + gzip.compress(body[7:]), "gzip"),
    "deflate": (zlib.compress, "deflate"),
    "deflate without its head": (bare, "deflate"),
}


@pytest.mark.parametrize("form", PACKED)
@pytest.mark.parametrize("body", [b"", b"x", NOISE, b"\0" * (3 * PIECE_BYTES), NOISE[:FEED_BYTES]])
def test_what_was_packed_comes_out(form: str, body: bytes) -> None:
    pack, coding = PACKED[form]
    assert b"".join(pieces(pack(body), coding)) == body


@pytest.mark.parametrize("form", PACKED)
def test_what_is_not_whole_is_reported(form: str) -> None:
    pack, coding = PACKED[form]
    packed = pack(NOISE[:5_000])
    for bad in (packed[:-1], packed[: len(packed) // 2], packed[:3], packed + b"more", b"nonsense"):
        with pytest.raises(Broken):
            list(pieces(bad, coding))


def test_what_takes_long_and_comes_out_as_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks with tables of their own and nothing else: no limit of size ever meets them."""
    monkeypatch.setattr(encodings, "CPU_S", 0.05)
    head, blocks, number = gzip.compress(b"")[:10], EIGHT_EMPTY_BLOCKS, 50_000
    left = 0
    with pytest.raises(Broken):
        for piece in pieces(head + blocks * number, "gzip"):
            assert not piece
            left += 1
    assert left * FEED_BYTES < len(blocks) * number / 2  # and long before its end, where it is torn


@pytest.mark.parametrize("zeros", [1, 512, 3 * FEED_BYTES])
def test_zeros_behind_gzip_are_padding(zeros: int) -> None:
    """As gzip itself has it: tapes and blocks are filled with them."""
    packed = gzip.compress(NOISE[:5_000])
    assert b"".join(pieces(packed + bytes(zeros), "gzip")) == NOISE[:5_000]
    for bad in (packed + bytes(zeros) + b"x", packed + bytes(zeros) + packed):
        with pytest.raises(Broken):
            list(pieces(bad, "gzip"))
    with pytest.raises(Broken):
        list(pieces(zlib.compress(NOISE[:5_000]) + bytes(zeros), "deflate"))


def test_members_without_end_are_refused_soon() -> None:
    packed = gzip.compress(b"") * 200_000
    given = 0
    with pytest.raises(Broken):
        for _ in pieces(packed, "gzip"):
            given += 1
    assert given <= 2 * MEMBERS_MAX


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    router = policy_router()

    @router.post("/v1/json")
    @allow(Public)
    async def read(body: dict[str, Any]) -> int:
        return len(body["words"])

    @router.post("/v1/octets", openapi_extra={"requestBody": {"content": {}}})
    @allow(AnyOf(Company, Rider))
    async def octets(request: Request) -> int:
        return len(await request.body())

    async with client_of(app_of([router], tmp_path, body_max=BODY_MAX)) as made:
        yield made


def packed_as(coding: str) -> dict[str, str]:
    return {"content-type": "application/json", "content-encoding": coding}


async def test_every_route_takes_them(client: httpx.AsyncClient) -> None:
    body = b'{"words": "' + b"x" * 100_000 + b'"}'
    for coding, packed in (
        ("gzip", gzip.compress(body)), ("GZIP", gzip.compress(body)), ("x-gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)), ("deflate", bare(body)), ("identity", body),
        ("identity, gzip", gzip.compress(body)),
    ):  # fmt: skip
        answer = await client.post("/v1/json", content=packed, headers=packed_as(coding))
        assert (answer.status_code, answer.text) == (200, "100000"), coding


async def test_unknown_codings_are_refused_by_name_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    for coding in ("br", "zstd", "gzip, gzip", "nonsense"):
        answer = await client.post("/v1/json", content=b"x", headers=packed_as(coding))
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding"), coding
        assert answer.headers["accept-encoding"] == "gzip, deflate"
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    sign = signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/octets", body=b"x")
    headers = {**sign, "content-encoding": "br", "content-length": "1"}
    answer = await client.post("/v1/octets", headers=headers, content=body())
    assert (answer.status_code, read) == (415, [])


async def test_broken_ones_are_refused(client: httpx.AsyncClient) -> None:
    for packed in (b"nonsense", gzip.compress(b"{}")[:-4]):
        answer = await client.post("/v1/json", content=packed, headers=packed_as("gzip"))
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_encoding")


async def test_a_signature_is_of_the_bytes_as_they_were_sent(client: httpx.AsyncClient) -> None:
    body = b"x" * 10_000
    packed = gzip.compress(body)
    for signed, status in ((packed, 200), (body, 401)):
        sign = signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/octets", body=signed)
        answer = await client.post("/v1/octets", headers={**sign, "content-encoding": "gzip"}, content=packed)
        assert answer.status_code == status, answer.text
    assert (await client.post("/v1/octets", headers={"content-encoding": "gzip"}, content=packed)).status_code == 401


async def test_a_request_that_is_packed_again_is_the_same_request(client: httpx.AsyncClient) -> None:
    answers = []
    for at, body in ((1, b"x" * 10_000), (2, b"x" * 10_000), (2, b"y" * 10_000)):
        packed = gzip.compress(body, mtime=at)
        sign = {"company": "MT", "secret": MT_NEW, "method": "POST", "target": "/v1/octets", "request_id": "msg_0001"}
        headers = signed_headers(**sign, body=packed) | {"content-encoding": "gzip"}
        answers.append(await client.post("/v1/octets", headers=headers, content=packed))
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert answers[1].headers["idempotency-replayed"] == "true"


def bomb(gigabytes: int) -> bytes:
    """One gzip stream of zeros: a stretch that ends on a byte, over and over, so that nobody packs gigabytes."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = packer.compress(b"\0" * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + head * (1_000 * gigabytes)


async def test_a_bomb_is_refused_with_little_memory(client: httpx.AsyncClient) -> None:
    packed = bomb(5)
    assert 4 * MB < len(packed) < BODY_MAX
    tracemalloc.start()
    try:
        answer = await client.post("/v1/json", content=packed, headers=packed_as("gzip"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert peak < len(packed) + 3 * BODY_MAX


async def test_what_comes_out_counts_against_the_room_of_the_process(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = BodyBudget.take
    monkeypatch.setattr(BodyBudget, "take", lambda self, who, size: (taken.append(size), take(self, who, size))[1])
    body = b'{"words": "' + b"x" * (5 * MB) + b'"}'
    assert (await client.post("/v1/json", content=gzip.compress(body), headers=packed_as("gzip"))).status_code == 200
    assert sum(taken) > len(body)
    assert max(taken) <= PIECE_BYTES
