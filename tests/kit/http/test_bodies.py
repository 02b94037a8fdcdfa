"""Bodies of strangers: judged by their headers, and never more of them in memory than a process has room for."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from shared.kit.auth import Company, Public, allow, policy_router, signed_headers
from shared.kit.http.bodies import WASTED_MAX, BodiesFull, Body, BodyBudget, json_weight
from shared.kit.refusals import Refusal
from tests.kit.web import MT_NEW, app_of, client_of

ROOT = Path(__file__).parents[2]
ROOM_MB = 150  # beyond the budget of 48: what is joined, parsed and sent at once
MB = 1_000_000


def body_of(address: str, **more: bool) -> Body:
    """A body whose end nobody watches."""
    return Body(address, lambda: None, **more)


def test_one_address_holds_at_most_half() -> None:
    budget = BodyBudget(100)
    a, b, c = (body_of(address, arriving=False) for address in "abc")
    budget.take(a, 50)
    with pytest.raises(BodiesFull):
        budget.take(a, 1)
    budget.take(b, 50)
    with pytest.raises(BodiesFull):
        budget.take(c, 1)
    budget.give_back(a)
    budget.take(c, 50)
    budget.give_back(b)
    budget.give_back(c)
    budget.take(body_of("a"), 50)


def test_strangers_have_half_and_one_address_a_quarter() -> None:
    budget = BodyBudget(100)
    a, b = body_of("a", known=False), body_of("b", known=False)
    budget.take(a, 25)
    with pytest.raises(BodiesFull):
        budget.take(a, 1)
    budget.take(b, 25)
    budget.take(body_of("c"), 50)
    assert not a.was_cut and not b.was_cut


def test_who_is_known_makes_room_for_strangers() -> None:
    budget = BodyBudget(100)
    first = body_of("a", known=False)
    budget.take(first, 25)
    budget.know(first, known=True)
    budget.take(body_of("a", known=False), 25)
    budget.take(body_of("b", known=False), 25)
    budget.give_back(first)


def test_who_holds_most_gives_way_to_who_holds_less() -> None:
    cut: list[str] = []
    budget = BodyBudget(100)
    for name, address, size in (("a1", "a", 10), ("a2", "a", 15), ("b1", "b", 12), ("b2", "b", 10)):
        budget.take(Body(address, partial(cut.append, name), known=False), size)
    honest = body_of("c", known=False)
    budget.take(honest, 5)
    assert cut == ["a2"]
    budget.take(honest, 10)
    assert cut == ["a2"]
    with pytest.raises(BodiesFull):
        budget.take(body_of("b", known=False), 5)
    assert cut == ["a2"]


def test_what_has_arrived_is_not_cut() -> None:
    budget = BodyBudget(100)
    a, b = body_of("a", arriving=False), body_of("b", arriving=False)
    budget.take(a, 50)
    budget.take(b, 50)
    with pytest.raises(BodiesFull):
        budget.take(body_of("c"), 1)
    b.arriving = True
    budget.take(body_of("c", known=False), 1)
    assert b.was_cut and not a.was_cut
    with pytest.raises(BodiesFull):
        budget.take(b, 1)


def test_waste_closes_an_address_for_a_while() -> None:
    budget = BodyBudget(100)
    budget.waste("a", WASTED_MAX)
    budget.check_wasted("a")
    budget.waste("a", 1)
    with pytest.raises(Refusal) as caught:
        budget.check_wasted("a")
    assert caught.value.status == 429
    budget.check_wasted("b")


def test_elements_weigh_what_they_become() -> None:
    for element in (b"[]", b"{}", b"[[]]"):
        body = b"[" + b",".join([element] * 10_000) + b"]"
        assert json_weight(body) > 10_000 * 100
    assert json_weight(b'"a text"') == 0


async def test_json_of_a_million_lists_is_too_large(tmp_path: Path) -> None:
    router = policy_router()

    @router.post("/v1/open")
    @allow(Public)
    async def opened(body: list[list[int]]) -> int:
        return len(body)

    async with client_of(app_of([router], tmp_path, body_max=4 * MB)) as client:
        few = await client.post("/v1/open", json=[[1]] * 100)
        many = await client.post("/v1/open", content=b"[" + b",".join([b"[]"] * MB) + b"]", headers=JSON)
    assert (few.status_code, few.json()) == (200, 100)
    assert (many.status_code, many.json()["code"]) == (413, "content_too_large")


JSON = {"content-type": "application/json"}


async def test_headers_are_judged_before_a_byte_of_the_body(tmp_path: Path) -> None:
    router = policy_router()

    @router.post("/v1/upload")
    @allow(Company)
    async def upload() -> None: ...

    async with client_of(app_of([router], tmp_path)) as client:
        for change, status in (
            ({"company": "nobody"}, 401),
            ({"timestamp": 1}, 401),
            ({}, 413),
        ):
            sign = {"company": "MT", "secret": MT_NEW, "method": "POST", "target": "/v1/upload", "body": b"x", **change}
            read: list[int] = []

            async def body(read: list[int] = read) -> object:
                read.append(1)
                yield b"x"

            headers = signed_headers(**sign) | {"content-length": "5000000"}
            answer = await client.post("/v1/upload", headers=headers, content=body())
            assert answer.status_code == status, answer.text
            assert answer.headers["connection"] == "close"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a process with an address limit."""
    words = [sys.executable, "-m", "tests.kit.upload_door", str(tmp_path), str(ROOM_MB)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as door:
        assert door.stdout is not None
        yield int(door.stdout.readline())
        alive = door.poll() is None
        door.kill()
    assert alive, "the process ended by itself"


async def test_fortyfive_false_signatures_of_twelve_megabytes_stay_within_the_memory(port: int) -> None:
    """They come from one address behind a proxy, send nearly all and stop; meanwhile a company uploads from another."""
    body = b"\xff" * (12 * MB)

    async def attack() -> int:
        headers = signed_headers(company="MT", secret=b"wrong" * 8, method="POST", target="/v1/upload", body=body)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = {**headers, "host": "x", "x-forwarded-for": "198.51.100.7", "content-length": str(len(body))}
        writer.write(("POST /v1/upload HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())).encode())
        writer.write(b"\r\n")
        try:
            for at in range(0, len(body) - MB, MB):
                writer.write(body[at : at + MB])
                await writer.drain()
            return int((await asyncio.wait_for(reader.readline(), 5)).split()[1])
        except (ConnectionError, TimeoutError, IndexError):
            return 0
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    attackers = [asyncio.create_task(attack()) for _ in range(45)]
    await asyncio.sleep(2)
    photo = b"\xff" * (3 * MB)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for _ in range(3):
            headers = signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/upload", body=photo)
            headers["x-forwarded-for"] = "203.0.113.9"
            answer = await client.post("/v1/upload", headers=headers, content=photo)
            assert (answer.status_code, answer.text) == (200, str(len(photo)))
    statuses = await asyncio.gather(*attackers)
    assert set(statuses) <= {0, 401, 429, 503}
    assert statuses.count(503) + statuses.count(0) > 30


async def stall(port: int, address: str, size: int, *, secret: bytes = b"wrong" * 8) -> int:
    """A signed body of which the last byte never comes; the answer's status, 0 where there is none."""
    headers = signed_headers(company="MT", secret=secret, method="POST", target="/v1/upload", body=b"x")
    lines = {**headers, "host": "x", "x-forwarded-for": address, "content-length": str(size)}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(("POST /v1/upload HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())).encode())
    writer.write(b"\r\n")
    try:
        writer.write(b"x" * (size - 1))
        await writer.drain()
        return int((await asyncio.wait_for(reader.readline(), 20)).split()[1])
    except (ConnectionError, IndexError):
        return 0
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_few_senders_without_a_key_close_no_door(port: int) -> None:
    """Each holds as much as it may and stops in the middle; everybody else comes in at once."""
    addresses = [f"198.51.100.{n}" for n in range(8)]
    began_s = asyncio.get_running_loop().time()
    attackers = [asyncio.create_task(stall(port, address, 11 * MB)) for address in addresses]
    attackers += [asyncio.create_task(stall(port, address, 30_000)) for address in addresses]
    await asyncio.sleep(0.7)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for size in (300, 200_000, 3 * MB):
            content = b"\xff" * size
            headers = signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/upload", body=content)
            headers["x-forwarded-for"] = f"203.0.113.{size % 7}"
            answer = await client.post("/v1/upload", headers=headers, content=content)
            assert (answer.status_code, answer.text) == (200, str(size))
    assert not all(one.done() for one in attackers), "nobody was held up"
    assert set(await asyncio.gather(*attackers)) <= {0, 503}
    assert asyncio.get_running_loop().time() - began_s < 10, "nobody may hold a body for the whole time of a request"


async def test_bodies_for_nothing_count_against_their_address(tmp_path: Path) -> None:
    router = policy_router()

    @router.post("/v1/upload")
    @allow(Company)
    async def upload() -> None: ...

    async def false_one(client: httpx.AsyncClient) -> int:
        body = b"x" * (4 * MB)
        headers = signed_headers(company="MT", secret=b"wrong" * 8, method="POST", target="/v1/upload", body=body)
        return (await client.post("/v1/upload", headers=headers, content=body)).status_code

    async with client_of(app_of([router], tmp_path, body_max=5 * MB)) as client:
        statuses = [await false_one(client) for _ in range(30)]
        assert statuses[:16] == [401] * 16
        assert statuses[-1] == 429
        read: list[int] = []

        async def body() -> AsyncIterator[bytes]:
            read.append(1)
            yield b"x"

        sign = signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/upload", body=b"x")
        answer = await client.post("/v1/upload", headers=sign, content=body())
        assert (answer.status_code, read) == (429, []) and int(answer.headers["retry-after"]) > 0
