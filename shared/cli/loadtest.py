"""`beegrid loadtest`: synthetic reports of one company at a rate into a running suite, and what became of them."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from statistics import quantiles
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import orjson
import typer

from shared.cli import arguments
from shared.cli.client import Client, CliError, find_suite
from shared.cli.report_files import Row
from shared.cli.reports import Riders, progress_of, settle
from shared.cli.screen import Cells, Screen, progress_bars, shown
from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.kit.ids import new_id
from shared.synthetic.door import until_key_known
from shared.synthetic.pace import paced

out = Screen()
LABEL = "【合成压测，非真实上报 / synthetic load test】"
COMPANY = "loadtest"
PATH = "/v1/reports:batch"
TICK_S = 0.05
BATCH_MAX = 500
IN_FLIGHT_MAX = 64
RIDERS = 200
# What a sender that shares the machine with the suite may fall short of and still have kept the rate.
RATE_KEPT = 0.95
KEY_KNOWN_S_MAX = 15.0
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
HOPS = {"accepted_to_routed": "受理→分派 / accepted to routed", "accepted_to_case": "受理→案件 / accepted to case"}


@dataclass
class Outcome:
    """What the suite answered. `answers_s`: seconds of each HTTP answer; `refused` by reason."""

    sent: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    answers_s: list[float] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def rate(self) -> float:
        """Reports a second that really left."""
        return self.sent / self.took_s if self.took_s else 0.0


@dataclass(frozen=True)
class Balance:
    """Where accepted reports are: `waiting` ones are known and not yet routed, `lost` ones nobody knows."""

    accepted: int
    routed: int
    unroutable: int
    waiting: int

    @property
    def lost(self) -> int:
        """Must be 0."""
        return self.accepted - self.routed - self.unroutable - self.waiting


def loadtest(
    rate: Annotated[int, typer.Option(help="每秒上报数 / reports a second", min=1, max=5_000)] = 50,
    seconds: Annotated[int, typer.Option(help="时长 / how long to send", min=1, max=3_600)] = 30,
    company: Annotated[
        str,
        typer.Option(help="企业代码 / whose reports; the test's own company if not given", callback=arguments.code),
    ] = COMPANY,
    patience: Annotated[int, typer.Option(help="seconds without progress before it stops waiting", min=1)] = 60,
    remote: Annotated[
        bool,
        typer.Option("--i-know-it-is-not-local", help="对远端系统压测 / send to a suite that is not on this machine"),
    ] = False,
) -> None:
    """压力测试 / Send signed, synthetic reports at a rate, and report how the suite has kept up.

    They stay in the suite, labelled. Exit status 1: the rate was not kept, or an accepted report is nowhere.
    """
    found = find_suite()
    host = urlsplit(found.url).hostname or ""
    if host not in LOCAL and not remote:
        raise CliError(
            "不是本机系统 / This suite is not local",
            f"{host}: synthetic reports would become cases there, and people would be sent out",
            hint="a test suite elsewhere? Then add --i-know-it-is-not-local",
        )
    client = Client(found.url, found.token)
    places = places_within(client)
    _company(client, company)
    bodies = reports(company, places)
    riders = [Row(0, "", rider_name(number), {}) for number in range(RIDERS)]
    Riders(client, company).register(riders)
    before = progress_of(client, company)
    key_id, secret = _key(client, company)
    began = clock.now()
    try:
        outcome = asyncio.run(_sent(found.url, company, secret, bodies, rate, seconds))
    finally:
        client.delete(f"/v1/companies/{company}/keys/{key_id}")
    refusal: CliError | None = None
    try:
        settle(client, company, before["received"] + outcome.accepted, patience)
    except CliError as stuck:
        refusal = stuck
    balance = balanced(before, progress_of(client, company), outcome.accepted)
    _report(outcome, balance, rate, client.get("/v1/tracking/hops", params={"since": began.isoformat()})["hops"])
    if refusal is not None:
        out.print(f"[yellow]{shown(refusal)}[/yellow] → {shown(refusal.hint)}", soft_wrap=True)
    if problems := shortfalls(outcome, balance, rate):
        out.print(f"[red]未通过 / Failed[/red]: {shown('; '.join(problems))}", soft_wrap=True)
        raise typer.Exit(1)
    out.print("[green]通过 / Passed[/green]: the rate was kept and every accepted report is accounted for")


def balanced(before: dict[str, int], after: dict[str, int], accepted: int) -> Balance:
    """Where a run's accepted reports are, by the company's progress before and after it."""
    received, routed, unroutable = (after[name] - before[name] for name in ("received", "routed", "unroutable"))
    return Balance(accepted, routed, unroutable, received - routed - unroutable)


def shortfalls(outcome: Outcome, balance: Balance, rate: int) -> list[str]:
    """Why the test has failed; empty: it has not."""
    found = []
    if outcome.rate < rate * RATE_KEPT:
        found.append(f"{outcome.rate:.1f} reports/s instead of {rate}")
    if outcome.accepted < outcome.rate * outcome.took_s * RATE_KEPT:
        found.append(f"only {outcome.accepted} of {outcome.sent} were accepted")
    if balance.lost:
        found.append(f"{balance.lost} accepted reports are neither routed nor unroutable nor waiting")
    return found


def places_within(client: Client, seed: int = 1) -> Iterator[tuple[float, float]]:
    """Endless places, as longitude and latitude in WGS-84, each inside a grid of the map in force. Raises CliError."""
    # imported here: the other commands don't wait for it
    import shapely

    features = client.get("/v1/areas/export.geojson")["features"]
    shapes = [
        shapely.from_geojson(orjson.dumps(one["geometry"]))
        for one in features
        if one["geometry"] and one["properties"].get("level", "grid") == "grid"
    ]
    if not shapes:
        raise CliError(
            "没有生效的网格 / No map is in force", "reports have nowhere to go", hint="`beegrid areas import FILE`"
        )
    chance = random.Random(seed)  # noqa: S311 reproducible load, no secret

    def endless() -> Iterator[tuple[float, float]]:
        while True:
            shape = chance.choice(shapes)
            west, south, east, north = shape.bounds
            for _ in range(20):
                lng, lat = chance.uniform(west, east), chance.uniform(south, north)
                if shapely.contains_xy(shape, lng, lat):
                    break
            else:
                middle = shapely.point_on_surface(shape)
                lng, lat = middle.x, middle.y
            yield round(lng, 7), round(lat, 7)

    return endless()


def reports(company: str, places: Iterator[tuple[float, float]]) -> Iterator[dict[str, Any]]:
    """Endless reports of routine kinds, each with a number of its own and the label in its text.

    Emergencies are left out: they would page people. The catalogue is read now, not while the clock runs.
    """
    from shared.catalog import Catalogue
    from shared.synthetic.reports import TEXTS, body

    catalogue, now = Catalogue.load(), clock.now()
    known = {kind: catalogue.kind(kind, now) for kind in TEXTS}
    kinds = sorted(name for name, kind in known.items() if kind is not None and kind.level != "emergency")
    run = new_id().hex[-12:]

    def report(number: int, place: tuple[float, float]) -> dict[str, Any]:
        kind, rider = kinds[number % len(kinds)], rider_name(number % RIDERS)
        return body(f"{company}-{run}-{number}", rider, kind, place, clock.now(), text=f"{LABEL}{TEXTS[kind]}")

    return (report(number, place) for number, place in enumerate(places))


def rider_name(number: int) -> str:
    """A synthetic rider's number."""
    return f"loadtest-{number:04d}"


async def _sent(
    url: str, company: str, secret: bytes, bodies: Iterator[dict[str, Any]], rate: int, seconds: int
) -> Outcome:
    """Send rate × seconds reports in small signed batches, each when it is due, whatever the answers do."""
    outcome = Outcome()
    total = rate * seconds
    limits = httpx.Limits(max_connections=IN_FLIGHT_MAX)
    async with httpx.AsyncClient(base_url=url, timeout=30.0, limits=limits, trust_env=False) as http:
        await _until_known(http, company, secret)
        with progress_bars(out) as progress:
            task = progress.add_task("发送 / Sending", total=total)
            gate = asyncio.Semaphore(IN_FLIGHT_MAX)

            async def post(part: list[dict[str, Any]]) -> None:
                try:
                    await _post(http, company, secret, part, outcome)
                finally:
                    gate.release()
                words = f"发送 / Sending: {outcome.accepted} accepted, {sum(outcome.refused.values())} refused"
                progress.update(task, advance=len(part), description=words)

            began_s = clock.monotonic_s()
            async with asyncio.TaskGroup() as tasks:
                async for part in paced(islice(bodies, total), rate, tick_s=TICK_S, most=BATCH_MAX):
                    await gate.acquire()  # a suite that answers too late holds the sender up: the rate shows it
                    tasks.create_task(post(part))
                    outcome.sent += len(part)
                    outcome.took_s = max(clock.monotonic_s() - began_s, outcome.sent / rate)
    return outcome


async def _post(
    http: httpx.AsyncClient, company: str, secret: bytes, part: list[dict[str, Any]], outcome: Outcome
) -> None:
    raw = orjson.dumps({"items": part})
    headers = signed_headers(company=company, secret=secret, method="POST", target=PATH, body=raw)
    started_s = clock.monotonic_s()
    try:
        answer = await http.post(PATH, content=raw, headers={**headers, "content-type": "application/json"})
    except httpx.HTTPError as error:
        outcome.refused[type(error).__name__] += len(part)
        return
    outcome.answers_s.append(clock.monotonic_s() - started_s)
    if answer.status_code >= 400:
        outcome.refused[f"HTTP {answer.status_code}"] += len(part)
        return
    for item in answer.json()["items"]:
        if item["status"] == "refused":
            outcome.refused[item["problem"]["code"]] += 1
        else:
            outcome.accepted += 1


async def _until_known(http: httpx.AsyncClient, company: str, secret: bytes) -> None:
    """Until intake knows the new key, and the riders, who come by another topic at the same time."""
    try:
        await until_key_known(http, company, secret, KEY_KNOWN_S_MAX)
    except TimeoutError as error:
        raise CliError(
            "intake 不认识新密钥 / Intake does not learn of the key", hint="`beegrid outbox`, `beegrid doctor`"
        ) from error
    await asyncio.sleep(1.0)


def _company(client: Client, code: str) -> None:
    try:
        client.get(f"/v1/companies/{code}")
    except CliError as error:
        if error.status != 404:
            raise
        if code != COMPANY:
            raise CliError("企业未登记 / Unknown company", code, hint=f"`beegrid companies add {code}`") from error
        client.post("/v1/companies", {"code": code, "name": "压力测试（合成） Load test (synthetic)"})


def _key(client: Client, company: str) -> tuple[str, bytes]:
    """A signing key for this run only; the company's own stay as they are."""
    made = client.post(f"/v1/companies/{company}/keys", headers={"idempotency-key": str(new_id())})
    return made["key_id"], base64.b64decode(made["secret"].removeprefix("whsec_"))


def _report(outcome: Outcome, balance: Balance, rate: int, hops: list[dict[str, Any]]) -> None:
    counts = Cells("what", "reports", title="压测结果 / Load test", title_justify="left")
    rows: list[tuple[str, str]] = [
        ("发送 / sent", f"{outcome.sent} ({outcome.rate:.1f}/s of {rate}/s)"),
        ("受理 / accepted", str(outcome.accepted)),
        *((f"退回 / refused: {reason}", str(count)) for reason, count in outcome.refused.most_common()),
        ("分派 / routed", str(balance.routed)),
        ("待人工 / unroutable", str(balance.unroutable)),
        ("在途 / waiting", str(balance.waiting)),
        ("丢失 / lost", str(balance.lost)),
    ]
    for row in rows:
        counts.add_row(*row)
    out.print(counts)
    times = Cells("ms", "p50", "p95", "p99")
    times.add_row("HTTP", *(f"{value * 1000:.0f}" for value in percentiles(outcome.answers_s)))
    for hop in hops:
        if hop["hop"] in HOPS and hop["p50_ms"] is not None:
            times.add_row(HOPS[hop["hop"]], *(f"{hop[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms")))
    out.print(times)


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """p50, p95 and p99; zeros of nothing."""
    if len(values) < 2:
        return (values[0],) * 3 if values else (0.0, 0.0, 0.0)
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]
