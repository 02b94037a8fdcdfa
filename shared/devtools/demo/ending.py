"""How the day ends: what stations are owed against the ledger, and the ledger against its public seal."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from shared.cli import ledger
from shared.cli.client import Client, CliError
from shared.devtools.demo.live import Figures
from shared.devtools.demo.reconcile import Line
from shared.kit import clock
from shared.synthetic.door import Door, DoorError
from shared.synthetic.gifts import Shop, Station
from shared.synthetic.outings import PLACES, Outing

SEAL_WITHIN_S = 180.0
"""The leader of points looks once a minute whether the day has its seal."""
AROUND = timedelta(hours=1)


@dataclass(frozen=True)
class Owed:
    """What one station took: by its own statement and by the ledger's entries; vouchers that cost points, and these."""

    station: str
    vouchers: int
    points: int
    ledger_vouchers: int
    ledger_points: int


@dataclass(frozen=True)
class Settled:
    """All stations' statements. `month`: YYYY-MM, which goes on; `closed_early`: stations where it was closed."""

    owed: tuple[Owed, ...]
    month: str
    closed_early: int


@dataclass(frozen=True)
class Sealed:
    """The newest of the seals; what all of them say is sealed, and what was found when it was hashed again.

    `own`: entries that one of `riders` has recalculated; `own_wrong`: 1 where a public seal doesn't have them.
    """

    number: int
    accounts: int
    entries: int
    verified_accounts: int
    verified_entries: int
    wrong: tuple[str, ...]
    own: int
    own_wrong: int


async def settle(door: Door, shop: Shop) -> Settled:
    """Read each station's running statement and what the ledger has of it, and ask for the month to be closed.

    A month is closed an hour after its end or later (ADR 94), so the running one must be refused.
    """
    zone = ZoneInfo((await door.get("/ops/rewards/status"))["city_timezone"])
    month = f"{clock.now().astimezone(zone):%Y-%m}"
    owed = [await _owed(door, shop, station) for station in shop.stations]
    closed = [await _closes(door, station, month) for station in shop.stations]
    return Settled(tuple(owed), month, sum(closed))


async def _owed(door: Door, shop: Shop, station: Station) -> Owed:
    period = {"from": (shop.opened - AROUND).isoformat(), "to": (clock.now() + AROUND).isoformat()}
    said = await door.get(f"/v1/merchants/{station.id}/statement", station.token, **period)
    found = await door.get(f"/v1/points/merchants/{station.id}/redeemed", **period)
    # of a gift for nothing the ledger knows nothing
    paid = sum(line["vouchers"] for line in said["lines"] if line["price"])
    vouchers = found["vouchers"] - found["undone_vouchers"]
    return Owed(station.name, paid, said["points"], vouchers, found["net"])


async def _closes(door: Door, station: Station, month: str) -> bool:
    try:
        await door.post(f"/v1/merchants/{station.id}/statements", {"month": month})
    except DoorError as refused:
        if '"month_not_over"' in str(refused):
            return False
        raise
    return True


async def until_sealed(door: Door) -> None:
    """Until the ledger has its first seal, or too long: then the equations say that there is none."""
    deadline_s = clock.monotonic_s() + SEAL_WITHIN_S
    while True:
        if await _seals(door) or clock.monotonic_s() > deadline_s:
            return
        await asyncio.sleep(1.0)


async def verify(door: Door, riders: Sequence[str]) -> Sealed | None:
    """As `beegrid ledger verify`, and as `beegrid ledger check` of the first rider who is sealed; None: no seal."""
    seals = await _seals(door)
    if not seals:
        return None
    newest = seals[-1]
    operator = Client(door.target.url, door.token("operator", "运维 Operator", ["operator"]))
    found = await asyncio.to_thread(ledger.verification, operator, newest["number"])
    own = await asyncio.to_thread(_first_sealed, door, riders)
    return Sealed(
        newest["number"], newest["accounts"], sum(one["entries"] for one in seals), found.accounts, found.entries,
        tuple(found.wrong), own.entries if own else 0, int(own is not None and not own.sealed),
    )  # fmt: skip


async def _seals(door: Door) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await door.get("/v1/points/seals", limit=500))["items"]
    return found


def _first_sealed(door: Door, riders: Sequence[str]) -> ledger.Own | None:
    for rider in riders:
        try:
            return ledger.own_entries(Client(door.target.url, door.token(rider, "小哥 Rider", ["rider"])))
        except CliError as error:
            if error.code != "no_seal":
                raise
    return None


def lines(settled: Settled, sealed: Sealed | None, figures: Figures) -> list[Line]:
    """Their equations, behind those of the hops."""
    owed = settled.owed
    in_ledger = sum(one.ledger_points for one in owed)
    made = sealed or Sealed(0, 0, 0, 0, 0, (), 0, 0)
    return [
        *(Line(f"结算 = 账本 / statement = ledger: {one.station}", one.points, one.ledger_points) for one in owed),
        Line(
            "结算的券 = 账本的券 / vouchers of statements = of the ledger",
            sum(one.vouchers for one in owed), sum(one.ledger_vouchers for one in owed),
        ),
        Line("各站 = 兑换总额 / stations = all redeemed", in_ledger, figures.tally("points", "redeemed")),
        Line("提前关账 = 0 / months closed before their end", settled.closed_early, 0),
        Line("有封存 / there is a seal", int(sealed is not None), 1),
        Line("封存账户 = 核验账户 / accounts sealed = verified", made.accounts, made.verified_accounts),
        Line("封存分录 = 重新散列 / entries sealed = hashed again", made.entries, made.verified_entries),
        Line("与封存不符 = 0 / not as it was sealed", len(made.wrong) + made.own_wrong, 0),
    ]  # fmt: skip


def decisions(decided: Counter[str], figures: Figures) -> list[Line]:
    """All that screening has raised was decided, and the one that was farmed was found (shared/synthetic/farmed.py)."""
    raised = sum(figures.tally("screening", state) for state in ("raised", "cleared", "confirmed"))
    return [
        Line("可疑 = 已复核 / suspicions = decided", raised, decided.total()),
        Line("冒领 = 已确认 / farmed = confirmed", 1, figures.tally("screening", "confirmed")),
    ]


def places(outing: Outing, figures: Figures) -> list[Line]:
    """None was given twice, and every sign-up is somewhere (shared/synthetic/outings.py)."""
    states = ("confirmed", "waiting", "wished", "cancelled")
    signups = figures.tally("activities", "signups")
    taken = min(PLACES, outing.states["confirmed"] + outing.states["waiting"])
    return [
        Line("活动名额 = 已确认 / places = confirmed", taken, outing.states["confirmed"]),
        Line("意愿 = 报名 / wishes = sign-ups of the activity", outing.wishes, outing.states.total()),
        Line(
            "报名 = 确认 + 候补 + 待抽 + 取消 / sign-ups = confirmed + waiting + wished + cancelled",
            signups, sum(figures.tally("activities", state) for state in states),
        ),
    ]  # fmt: skip


def show(settled: Settled, sealed: Sealed | None, figures: Figures, console: Console) -> None:
    """What both have come to, in a line each, and what was found wrong."""
    owed = "; ".join(f"{one.station} {one.points:,} = 账本 / ledger {one.ledger_points:,}" for one in settled.owed)
    console.print(f"结算（积分）/ statements, points: {owed}")
    console.print(f"{settled.month} 月末一小时后关账付款 / is closed and paid an hour after its end, not before")
    if sealed is None:
        console.print("[red]账本尚无封存 / the ledger has no seal yet[/]")
        return
    all_entries = figures.tally("points", "entries")
    console.print(
        f"账本第 {sealed.number} 次封存 / seal {sealed.number} of the ledger: "
        f"核验 {sealed.verified_accounts:,} 个账户、{sealed.verified_entries:,} 条分录 / accounts, entries verified; "
        f"一名骑手自查 {sealed.own:,} 条 / checked by a rider; "
        f"其余 {all_entries - sealed.entries:,} 条次日封存 / the others are sealed the next day"
    )
    for wrong in sealed.wrong:
        console.print(f"[red]✗[/] {wrong}")
