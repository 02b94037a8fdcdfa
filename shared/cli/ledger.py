"""`beegrid ledger`: is the history of points what was sealed and published?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from shared.cli.client import Client, CliError, connect, find_suite
from shared.cli.screen import Screen, shown
from shared.cli.whole_files import whole_text
from shared.kit import chain

ledger_app = typer.Typer(help="积分账本 / The ledger of points: its seals, and whether history is what they say")
out = Screen()
SEALS = "/v1/points/seals"
FIRST = str(UUID(int=0))


@dataclass
class Verification:
    """What the suite finds when it hashes all entries of a seal again; `wrong` in words, empty in a sound ledger."""

    seal: dict[str, Any] = field(default_factory=dict)
    accounts: int = 0
    entries: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Own:
    """A rider's own entries as they were recalculated from what the routes show, and whether a public seal has them."""

    entries: int
    root: str
    sealed: bool


def verification(client: Client, number: int | None = None) -> Verification:
    """Go through all shares of a seal, the newest if no number is given, as an operator.

    Raises:
        CliError: there is no such seal, or a new one came meanwhile.
    """
    found = Verification()
    after: str | None = FIRST
    asked = {} if number is None else {"number": str(number)}
    while after is not None:
        share = client.get(f"{SEALS}/verification", params={"after": after, **asked})
        if found.seal and share["seal"]["number"] != found.seal["number"]:
            raise CliError("期间有新的封存 / A new seal came meanwhile", hint=f"--number {found.seal['number']}")
        found.seal, after = share["seal"], share["next_id"]
        found.wrong += share["wrong"]
        found.accounts, found.entries = found.accounts + share["accounts"], found.entries + share["entries"]
    return found


def own_entries(client: Client) -> Own:
    """A rider's own entries, as their own client reads them, against the newest public seal: by docs/ledger.md.

    Raises:
        CliError: no seal has the account yet (`no_seal`).
    """
    proof = client.get("/v1/points/me/proof")
    rider_id = UUID(proof["rider_id"])
    shown = [one for one in client.pages("/v1/points/me/entries") if one["version"] <= proof["version"]]
    head = chain.linked(chain.START, (chain.read(rider_id, one) for one in reversed(shown)))
    steps = [chain.Step(one["left"], bytes.fromhex(one["hash"])) for one in proof["path"]]
    root = chain.climbed(chain.leaf(rider_id, proof["version"], head), steps).hex()
    public = {one["number"]: one for one in client.pages(SEALS)}.get(proof["seal"]["number"], {})
    return Own(len(shown), root, head.hex() == proof["head"] and root == public.get("root"))


@dataclass(frozen=True)
class Kept:
    """One line of a file of seals: its number and hashes in hexadecimal."""

    number: int
    root: str
    seal: str


@ledger_app.command("seals")
def seals(
    keep: Annotated[Path | None, typer.Option(help="文件 / add them to this file, one a line, for --known")] = None,
) -> None:
    """封存记录 / All seals, one a day, which anybody may read: keep them where nobody of this suite writes.

    Exit status 1 where a seal that the file has isn't there any more or reads otherwise: its line stays as it was.
    """
    found = list(connect().pages(SEALS))
    if keep is None:
        for one in found:
            out.print(_line(one), soft_wrap=True)
        return
    there = _kept(keep) if keep.exists() else []
    before = keep.read_text(encoding="utf-8").splitlines() if there else []
    numbers = {one.number for one in there}
    new = [_line(one) for one in found if one["number"] not in numbers]
    with whole_text(keep) as file:
        file.writelines(f"{line}\n" for line in [*before, *new])
    out.print(f"{len(numbers) + len(new)} 条封存记录 / seals are in {shown(keep)}", soft_wrap=True)
    if wrong := _differ(there, found):
        _refuse(wrong)


@ledger_app.command("verify")
def verify(
    number: Annotated[int | None, typer.Option(help="哪一次封存 / by which seal; the newest if not given")] = None,
    known: Annotated[
        Path | None, typer.Option(help="文件 / seals that were kept: `beegrid ledger seals --keep`")
    ] = None,
) -> None:
    """核验 / Hash all sealed entries again and compare them with the seals. Reads every entry: takes minutes.

    Exit status 1 where anything was changed, removed, inserted or moved, or an account doesn't hold what its entries
    come to. Whoever owns the database could seal again what they have changed: only seals that were kept elsewhere
    (--known, or city systems' own) find that.
    """
    client = connect()
    wrong = _differ(_kept(known), list(client.pages(SEALS))) if known is not None else []
    with out.status("…"):
        found = verification(client, number)
    wrong += found.wrong
    counted = f"{found.accounts} accounts, {found.entries} entries, {found.seal['root']}"
    out.print(f"第 {found.seal['number']} 次封存 / seal {found.seal['number']}: {counted}")
    if wrong:
        _refuse(wrong)
    out.print("[green]账本与封存一致 / The ledger is what was sealed[/green]")


@ledger_app.command("check")
def check(
    token: Annotated[str, typer.Option(help="骑手本人的令牌 / the rider's own token", envvar="BEEGRID_RIDER_TOKEN")],
) -> None:
    """骑手自查 / A rider's own entries against the newest public seal. All is calculated here, by docs/ledger.md."""
    own = own_entries(Client(find_suite().url, token))
    if not own.sealed:
        out.print("[red]您的记录与公开的封存不一致 / Your entries aren't what was sealed[/red]")
        raise typer.Exit(1)
    out.print(f"[green]{own.entries} 条记录与公开的封存一致 / entries are what was sealed[/green]: {own.root}")


def _kept(file: Path) -> list[Kept]:
    """All lines of a file, also several of one number."""
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [Kept(int(one["number"]), str(one["root"]), str(one["seal"])) for one in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError("无法读取 / Not readable", str(file), hint="`beegrid ledger seals --keep FILE`") from error


def _differ(kept: Sequence[Kept], published: Sequence[dict[str, Any]]) -> list[str]:
    """What of the kept seals isn't published any more, or reads otherwise: each line of the file has to agree."""
    now = {one["number"]: Kept(one["number"], one["root"], one["seal"]) for one in published}
    numbers = sorted({one.number for one in kept if now.get(one.number) != one})
    return [f"seal {number}: it isn't the one that was kept" for number in numbers]


def _line(seal: dict[str, Any]) -> str:
    return json.dumps(seal, sort_keys=True)


def _refuse(wrong: Sequence[str]) -> None:
    for line in wrong:
        out.print(f"[red]✗[/red] {line}", soft_wrap=True)
    raise typer.Exit(1)
