"""The sealed chain: whoever changes, removes, inserts or moves an entry is found, and a rider checks their own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from services.points.store import seals as store
from services.points.usecases import sealing, verifying
from shared.cli import ledger as command
from shared.cli.client import Address, Client
from shared.cli.main import app
from shared.devtools.installation import Installation
from shared.events.ledger_sealed import LEDGER_SEALED
from shared.kit import chain
from shared.kit.chain import Step
from shared.kit.ids import new_id
from tests.services.points.ledger import MANHOLE, NOON, TERMS, Case, Ledger, redemption, tamper
from tests.support import client_of, owner_of, published, service_of

RIDERS = 9


@pytest.fixture
async def owner(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    async with owner_of(installation, "points") as connection:
        yield connection


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "GROUP_ACCOUNTS", 4)
    monkeypatch.setattr(sealing, "SHARE_ENTRIES", 7)
    monkeypatch.setattr(verifying, "ENTRIES_AT_ONCE", 3)


async def fill(ledger: Ledger, riders: list[UUID], day: int = 0) -> None:
    """Six movements of each."""
    for n, rider in enumerate(riders):
        cases = [Case(MANHOLE, NOON + timedelta(days=10 * day + of)) for of in range(2)]
        await ledger.deliver(*(case.report(rider) for case in cases))
        await ledger.deliver(cases[0].closed(), cases[1].invalid())
        wish = (new_id(), rider, 1 + n % 3)
        await ledger.deliver(redemption(*wish, "requested"), redemption(*wish, "used"))


async def seal(ledger: Ledger) -> int:
    """A day later; in how many transactions."""
    ledger.ahead += timedelta(days=1)
    for turn in range(1_000):
        async with ledger.work() as work:
            if not await sealing.seal(TERMS.zone, work):
                return turn
    raise AssertionError("it doesn't end")


async def verify(ledger: Ledger, number: int | None = None) -> list[str]:
    """What all shares and the order of the seals have found."""
    async with ledger.pool.acquire() as conn:
        one = await store.newest(conn) if number is None else await store.seal(conn, number)
        assert one is not None
        wrong, after = await verifying.verify_order(conn), verifying.FIRST
        while True:
            found = await verifying.verify_share(conn, one, after)
            wrong += found.wrong
            if found.next_id is None:
                return wrong
            after = found.next_id


async def two_seals(ledger: Ledger) -> list[UUID]:
    riders = [new_id() for _ in range(RIDERS)]
    await fill(ledger, riders)
    await seal(ledger)
    await fill(ledger, [*riders[:4], new_id()], 1)
    await seal(ledger)
    return riders


async def test_a_sound_ledger_verifies_by_each_of_its_seals(ledger: Ledger) -> None:
    await two_seals(ledger)
    assert await verify(ledger) == []
    assert await verify(ledger, 1) == []
    entries = await ledger.pool.fetchval("SELECT count(*) FROM entries")
    await fill(ledger, [new_id()], 2)
    assert await verify(ledger) == [], "what is new isn't sealed yet"
    events = await published(ledger.pool, LEDGER_SEALED)
    assert [(one["number"], one["accounts"]) for one in events] == [(1, RIDERS), (2, RIDERS + 1)]
    assert events[1]["previous"] == events[0]["seal"]
    assert sum(one["entries"] for one in events) == entries
    rows = await ledger.pool.fetch("SELECT count(*) FROM account_heads GROUP BY seal ORDER BY seal")
    assert [row[0] for row in rows] == [RIDERS, 5], "an account that stood still has no new head"


async def test_one_seal_a_day_and_none_of_nothing(ledger: Ledger) -> None:
    assert await seal(ledger) == 0
    await fill(ledger, [new_id()])
    assert await seal(ledger) > 0
    async with ledger.work() as work:
        assert not await sealing.seal(TERMS.zone, work)
    assert await seal(ledger) > 0, "also of a day on which nothing moved"
    assert await verify(ledger) == []


async def test_an_account_of_many_entries_is_sealed_in_parts(ledger: Ledger) -> None:
    rider = new_id()
    for day in range(8):
        await fill(ledger, [rider], day)
    assert await seal(ledger) >= 2 + 8 * 6 // 7
    state = "SELECT version, pending, available, reserved FROM "
    head, account = [await ledger.pool.fetchrow(state + table) for table in ("account_heads", "accounts")]
    assert tuple(head or ()) == tuple(account or ())
    assert await verify(ledger) == []


async def test_an_account_that_never_moved_is_in_no_seal_and_harms_none(ledger: Ledger) -> None:
    """Whoever asks for a gift without points has one, or whose points are locked while nothing comes of it."""
    riders = [new_id() for _ in range(3)]
    await ledger.pool.executemany("INSERT INTO accounts (rider_id) VALUES ($1)", [(one,) for one in riders[:2]])
    assert await seal(ledger) == 0, "nothing has moved"
    await fill(ledger, riders[1:])
    assert await seal(ledger) > 0
    assert await verify(ledger) == []
    await fill(ledger, riders[:1])
    await seal(ledger)
    assert await verify(ledger) == []
    found = await published(ledger.pool, LEDGER_SEALED)
    assert [one["accounts"] for one in found] == [2, 3]


async def test_what_moves_while_it_is_verified_is_no_difference(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Balances are compared as of the version with which they were read."""
    riders = await two_seals(ledger)
    moved = 0
    accounts, entries = store.balances, store.entries_after

    async def moving(*arguments: object) -> object:
        nonlocal moved
        found = await entries(*arguments)  # type: ignore[arg-type]  # passed on
        if moved < RIDERS:
            await fill(ledger, riders[moved : moved + 1], 3 + moved)
            moved += 1
        return found

    async def first(*arguments: object) -> object:
        found = await accounts(*arguments)  # type: ignore[arg-type]  # passed on
        await fill(ledger, riders[:2], 20 + moved)
        return found

    monkeypatch.setattr(store, "entries_after", moving)
    monkeypatch.setattr(store, "balances", first)
    assert await verify(ledger) == []
    assert moved > 1


ONE = (
    "(rider_id, version, line) = (SELECT rider_id, version, line FROM entries ORDER BY rider_id, version DESC LIMIT 1)"
)
OF_ONE = "rider_id = (SELECT min(rider_id::text)::uuid FROM entries)"
INSERTED = (
    "gen_random_uuid(), gen_random_uuid(), movement, from_account, to_account, 1, made_at FROM entries WHERE " + ONE
)
TAMPERED = {
    "changed": f"UPDATE entries SET amount = amount + 1 WHERE {ONE}",
    "moved in time": f"UPDATE entries SET made_at = made_at - interval '1 day' WHERE {ONE}",
    "another party": f"UPDATE entries SET party = 'merchant:x' WHERE {ONE}",
    "removed": f"DELETE FROM entries WHERE {ONE}",
    "inserted": f"INSERT INTO entries SELECT rider_id, version, 5, {INSERTED}",
    "inserted behind": f"INSERT INTO entries SELECT rider_id, version + 1000, 0, {INSERTED}",
    "reordered": (
        "UPDATE entries SET version = CASE version WHEN 3 THEN 4 ELSE 3 END, line = 7 "
        f"WHERE version IN (3, 4) AND {OF_ONE}"
    ),
    "another account's": (
        f"UPDATE entries SET rider_id = (SELECT max(rider_id::text)::uuid FROM accounts), line = 7 WHERE {ONE}"
    ),
    "an account removed": f"DELETE FROM accounts WHERE {OF_ONE}",
    "a head changed": f"UPDATE account_heads SET hash = sha256('x') WHERE {OF_ONE}",
    "balances of a head": f"UPDATE account_heads SET available = available + 1 WHERE {OF_ONE}",
    "balances": f"UPDATE accounts SET available = available + 1 WHERE {OF_ONE}",
    "balances of a new account": (
        "UPDATE accounts a SET pending = pending + 1 WHERE NOT EXISTS (SELECT FROM account_heads h "
        "WHERE h.rider_id = a.rider_id)"
    ),
    "points from nowhere": "INSERT INTO accounts (rider_id, available) VALUES (gen_random_uuid(), 5)",
    "a head removed": f"DELETE FROM account_heads WHERE {OF_ONE}",
    "a group changed": "UPDATE seal_groups SET hash = sha256('x') WHERE seal = 2",
    "a root changed": "UPDATE seals SET root = sha256('x') WHERE number = 2",
    "an old root changed": "UPDATE seals SET root = sha256('x') WHERE number = 1",
    "a seal changed": "UPDATE seals SET seal = sha256('x') WHERE number = 2",
    "a seal removed": "DELETE FROM seals WHERE number = 1",
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_tampering_is_found(ledger: Ledger, owner: asyncpg.Connection, how: str) -> None:
    await two_seals(ledger)
    await fill(ledger, [new_id()], 2)
    statement = TAMPERED[how]
    if not statement.startswith(("INSERT", "UPDATE accounts", "DELETE FROM accounts")):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)
    assert await verify(ledger) == []
    await tamper(owner, statement)
    assert await verify(ledger) != [], how


async def test_who_seals_again_what_they_changed_is_found_by_what_was_published(
    ledger: Ledger, owner: asyncpg.Connection
) -> None:
    """Whoever owns the database can make a history that is sound in itself: but not the roots that others keep."""
    await two_seals(ledger)
    async with ledger.pool.acquire() as conn:
        kept = [(one.number, one.seal) for one in await store.seals(conn, 0, 10)]
    await tamper(owner, f"UPDATE entries SET made_at = made_at - interval '1 day' WHERE {ONE}")
    await tamper(owner, "TRUNCATE seals, seal_groups, account_heads")
    ledger.ahead -= timedelta(days=2)
    await seal(ledger)
    await seal(ledger)
    assert await verify(ledger) == []
    async with ledger.pool.acquire() as conn:
        assert not {(one.number, one.seal) for one in await store.seals(conn, 0, 10)} & set(kept)


async def test_a_rider_checks_their_own_entries_over_http(ledger: Ledger, installation: Installation) -> None:
    riders = await two_seals(ledger)
    async with client_of(service_of(installation, "points")) as client:
        for rider in (riders[0], riders[-1]):
            mine = {"Authorization": f"Bearer {installation.identity.token(str(rider), 'R', ['rider'])}"}
            proof = (await client.get("/v1/points/me/proof", headers=mine)).json()
            shown = (await client.get("/v1/points/me/entries?limit=500", headers=mine)).json()["items"]
            entries = [chain.read(rider, one) for one in reversed(shown) if one["version"] <= proof["version"]]
            head = chain.linked(chain.START, entries)
            assert head.hex() == proof["head"]
            steps = [Step(one["left"], bytes.fromhex(one["hash"])) for one in proof["path"]]
            root = chain.climbed(chain.leaf(rider, proof["version"], head), steps)
            public = (await client.get("/v1/points/seals")).json()["items"][-1]
            assert root.hex() == public["root"] == proof["seal"]["root"]
            assert chain.sealed(public["number"], bytes.fromhex(public["previous"]), root).hex() == public["seal"]
        nobody = {"Authorization": f"Bearer {installation.identity.token(str(new_id()), 'R', ['rider'])}"}
        none = await client.get("/v1/points/me/proof", headers=nobody)
        assert (none.status_code, none.json()["code"]) == (404, "no_seal")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_every_leaf_climbs_to_the_root(size: int) -> None:
    leaves = [chain.leaf(new_id(), n, chain.START) for n in range(size)]
    for place, own in enumerate(leaves):
        assert chain.climbed(own, chain.path(leaves, place)) == chain.root(leaves)
        assert chain.climbed(chain.START, chain.path(leaves, place)) != chain.root(leaves)


@pytest.fixture
async def served(ledger: Ledger, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The service's own app behind the operator's commands, which run in a thread; the operator's token."""
    token = installation.identity.token("op", "O", ["operator"])
    async with client_of(service_of(installation, "points")) as client:
        loop = asyncio.get_running_loop()

        def answer(request: httpx.Request) -> httpx.Response:
            asked = client.request(request.method, request.url.raw_path.decode(), headers=request.headers)
            got = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
            return httpx.Response(got.status_code, content=got.content)

        def made(url: str, token: str = "") -> Client:
            return Client("http://suite", token, httpx.MockTransport(answer))

        monkeypatch.setattr(command, "connect", lambda: made("", token))
        monkeypatch.setattr(command, "Client", made)
        monkeypatch.setattr(command, "find_suite", lambda: Address("http://suite", token))
        yield token


async def beegrid(*arguments: str) -> tuple[int, str]:
    """`beegrid ledger …`: exit status and what it prints."""
    done = await asyncio.to_thread(CliRunner().invoke, app, ["ledger", *arguments])
    return done.exit_code, done.output


async def test_every_kept_line_is_compared_and_keeping_says_what_reads_otherwise(
    ledger: Ledger, served: str, tmp_path: Path
) -> None:
    """A later line of the same number doesn't speak for an earlier one."""
    await two_seals(ledger)
    file = tmp_path / "seals.jsonl"
    assert (await beegrid("seals", "--keep", str(file)))[0] == 0
    sound = file.read_text()
    first, second = sound.splitlines(keepends=True)
    assert (await beegrid("seals", "--keep", str(file)))[0] == 0 and file.read_text() == sound, "each once"
    forged = first.replace('"root": "', '"root": "0')
    file.write_text(forged + first + second)
    status, printed = await beegrid("verify", "--known", str(file))
    assert (status, "seal 1: it isn't the one that was kept" in printed) == (1, True), printed
    file.write_text(forged)
    status, printed = await beegrid("seals", "--keep", str(file))
    assert (status, "seal 1: it isn't the one that was kept" in printed) == (1, True), printed
    assert file.read_text() == forged + second, "what was kept stays beside what is new"
    gone = second.replace('"number": 2', '"number": 3')
    file.write_text(first + second + gone)
    assert (await beegrid("seals", "--keep", str(file)))[0] == 1, "one that isn't there any more"
    file.write_text(first + "no json")
    status, printed = await beegrid("seals", "--keep", str(file))
    assert status != 0 and file.read_text() == first + "no json", printed


def _spoil(kept: Path) -> None:
    kept.write_text(kept.read_text().replace('"root": "', '"root": "0'))


async def test_the_commands(
    ledger: Ledger, owner: asyncpg.Connection, served: str, installation: Installation, tmp_path: Path
) -> None:
    riders = await two_seals(ledger)
    mine = installation.identity.token(str(riders[0]), "R", ["rider"])
    kept = str(tmp_path / "seals.jsonl")
    assert (await beegrid("seals", "--keep", kept))[0] == 0
    for arguments in (["verify"], ["verify", "--known", kept], ["verify", "--number", "1"], ["check", "--token", mine]):
        status, printed = await beegrid(*arguments)
        assert status == 0, printed
    await tamper(owner, f"UPDATE entries SET amount = amount + 1 WHERE rider_id = '{riders[0]}'")
    status, printed = await beegrid("verify")
    assert (status, str(riders[0]) in printed.replace("\n", "")) == (1, True), printed
    assert (await beegrid("check", "--token", mine))[0] == 1
    _spoil(Path(kept))
    status, printed = await beegrid("verify", "--known", kept)
    assert (status, "seal 1: it isn't the one that was kept" in printed) == (1, True), printed
