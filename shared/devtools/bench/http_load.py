"""Reports over HTTP, each a signed request of a company: the load, on the same cores as everything else.

Requests are made and signed before the clock starts, and answers are read no further than their status and length: a
load generator that costs as much as intake measures itself.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import orjson

from shared.devtools.bench.load import TEXT
from shared.devtools.bench.sides import Bench
from shared.devtools.demo.target import target_of
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.synthetic import reports
from shared.synthetic.door import Door, until_key_known
from shared.synthetic.opening import register_company

COMPANY = "bench-http"
PATH = "/v1/reports"
CONNECTIONS = 64
KNOWN_S = 30.0
AGAIN_S = 0.05
BUSY = frozenset({429, 503})
TRIES_MAX = 200
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


@dataclass(frozen=True)
class Request:
    """One report as it goes over the wire."""

    rider_id: UUID
    raw: bytes


@dataclass(frozen=True)
class Posted:
    """One accepted report: when its request left, in seconds since 1970, and how long its answer took."""

    rider_id: UUID
    at_s: float
    answered_s: float


async def company_secret(bench: Bench) -> bytes:
    """Register the company, with its riders service running for so long; its key, once intake takes its signature."""
    bench.suite.add("riders")
    try:
        door = Door(target_of(bench.suite, "riders"))
        try:
            secret = await register_company(door, COMPANY, "Bench")
        finally:
            await door.close()
        async with httpx.AsyncClient(base_url=bench.suite.services["intake"].url, trust_env=False) as client:
            await until_key_known(client, COMPANY, secret, KNOWN_S, bench.check)
    finally:
        bench.suite.services["riders"].stop()
        del bench.suite.services["riders"]
    return secret


async def intake_knows(installation: Installation, rider_ids: Sequence[UUID]) -> None:
    """Let intake know the company's riders, whose numbers are their ids."""
    columns = ("rider_id", "company", "number", "locale", "consent", "active", "version")
    conn = await asyncpg.connect(installation.dsn("intake"))
    try:
        rows = [(rider_id, COMPANY, str(rider_id), "zh", True, True, 1) for rider_id in rider_ids]
        await conn.copy_records_to_table("known_riders", records=rows, columns=columns)
    finally:
        await conn.close()


def requests(url: str, secret: bytes, rider_ids: Sequence[UUID], seed: int) -> list[Request]:
    """One signed report of each rider."""
    host, now = urlsplit(url).netloc, clock.now()
    made = []
    for rider_id, ((kind, _), place) in zip(rider_ids, reports.spread(len(rider_ids), seed), strict=True):
        report = reports.body(str(rider_id), str(rider_id), kind, (place.lng, place.lat), now, text=TEXT)
        body = orjson.dumps(report)
        signed = signed_headers(company=COMPANY, secret=secret, method="POST", target=PATH, body=body)
        lines = {"host": host, "content-type": "application/json", "content-length": str(len(body)), **signed}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        made.append(Request(rider_id, f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body))
    return made


async def post_all(url: str, wanted: Sequence[Request]) -> list[Posted]:
    """As fast as intake answers, over a fixed number of connections; what is refused as busy is sent again."""
    return await _post(url, wanted, lambda _: asyncio.sleep(0))


async def post_paced(url: str, wanted: Sequence[Request], per_second: float) -> list[Posted]:
    """At a steady rate; what is late is sent at once, never left out."""
    began_s = clock.monotonic_s()

    async def due(number: int) -> None:
        await asyncio.sleep(max(0.0, began_s + number / per_second - clock.monotonic_s()))

    return await _post(url, wanted, due)


async def _post(url: str, wanted: Sequence[Request], due: Callable[[int], Awaitable[None]]) -> list[Posted]:
    numbered, posted = iter(enumerate(wanted)), list[Posted]()
    host, port = urlsplit(url).hostname, urlsplit(url).port

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for number, request in numbered:
                await due(number)
                posted.append(await _one(reader, writer, request))
        finally:
            writer.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(CONNECTIONS, len(wanted))):
            tasks.create_task(work())
    return posted


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> Posted:
    at_s, began_s = clock.unix_s(), clock.monotonic_s()
    for _ in range(TRIES_MAX):
        writer.write(request.raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        status = int(head[9:12])
        if status in (200, 201):
            return Posted(request.rider_id, at_s, clock.monotonic_s() - began_s)
        if status not in BUSY:
            raise SystemExit(f"intake refused a report with {status}: {body[:300].decode(errors='replace')}")
        await asyncio.sleep(AGAIN_S)
    raise SystemExit(f"intake was busy {TRIES_MAX} times in a row")
