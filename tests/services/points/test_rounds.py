"""The ledger is checked in shares that end: what is wrong is found by the next round, or at once if it just moved."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from services.points import usecases
from services.points.earning.rows import RuleRow
from services.points.store import rounds
from services.points.store.rounds import Round
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from tests.services.points.ledger import MANHOLE, NOON, Case, Ledger, deed, redemption, set_rules, tamper
from tests.support import owner_of, work_on

RIDERS = 12


@pytest.fixture
async def owner(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    async with owner_of(installation, "points") as connection:
        yield connection


async def _filled(ledger: Ledger) -> None:
    """Accounts with everything that can happen to a hold."""
    for n in range(RIDERS):
        rider = new_id()
        cases = [Case(MANHOLE, NOON - timedelta(days=day)) for day in range(4)]
        for case in cases:
            await ledger.deliver(case.report(rider))
        await ledger.deliver(cases[0].closed(), cases[1].closed(), cases[2].invalid())
        if n % 3 == 0:
            await ledger.reverse(cases[0].reports[0].report_id)
        wish = new_id()
        await ledger.deliver(redemption(wish, rider, 5, "requested"))
        if n % 2:
            await ledger.deliver(redemption(wish, rider, 5, "used"))


async def _whole_round(ledger: Ledger) -> tuple[Round, int]:
    """Go through a round; how it ended and how many shares it took."""
    async with ledger.pool.acquire() as conn:
        await rounds.begin(conn, NOON)
        now = await rounds.round_under_way(conn)
        assert now is not None
        for share in range(1, 200):
            async with conn.transaction():
                now = await rounds.check_share(conn, now, NOON + timedelta(minutes=share))
            assert now == await rounds.round_under_way(conn)
            if (now.part, now.after_id) == ("accounts", rounds.FIRST):
                return now, share
    raise AssertionError("the round doesn't end")


async def test_a_sound_ledger_passes_in_small_shares(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SHARE_ENTRIES", 1_000)
    monkeypatch.setattr(rounds, "SHARE_HOLDS", 1_000)
    await _filled(ledger)
    whole, few = await _whole_round(ledger)
    assert (whole.wrong_last, few) == (0, 4)
    monkeypatch.setattr(rounds, "SHARE_ENTRIES", 10)
    monkeypatch.setattr(rounds, "SHARE_HOLDS", 7)
    whole, many = await _whole_round(ledger)
    assert whole.wrong_last == 0 and whole.finished_at == NOON + timedelta(minutes=many)
    holds = await ledger.pool.fetchval("SELECT count(*) FROM holds")
    assert many >= RIDERS // 2 + holds // 7, "shares didn't stay small"
    assert await ledger.pool.fetchval("SELECT count(*) FROM ledger_checkpoints") == RIDERS


async def test_an_account_of_many_entries_is_checked_in_parts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it moves on: what comes between two parts is in the last one."""
    monkeypatch.setattr(rounds, "SHARE_ENTRIES", 5)
    rider = new_id()
    for day in range(11):
        await ledger.deliver(Case(MANHOLE, NOON - timedelta(days=day)).report(rider))
    parts = []
    async with ledger.pool.acquire() as conn:
        await rounds.begin(conn, NOON)
        now = await rounds.round_under_way(conn)
        while now is not None and now.part != "holds":
            async with conn.transaction():
                now = await rounds.check_share(conn, now, NOON)
            parts.append((now.part, now.after_version))
            if len(parts) == 1:
                await ledger.deliver(Case(MANHOLE, NOON - timedelta(days=30)).report(rider))
        assert now is not None and now.wrong == 0
        row = await conn.fetchrow("SELECT version, pending FROM ledger_checkpoints")
        assert tuple(row or ()) == tuple(await conn.fetchrow("SELECT version, pending FROM accounts") or ())
    assert parts == [("account", 5), ("account", 10), ("accounts", 0), ("holds", 0)]


async def test_a_round_knows_how_many_holds_of_every_source_there_are(ledger: Ledger) -> None:
    """By that it is paced: what isn't counted makes its second half seem to be done."""
    await _filled(ledger)
    rider = new_id()
    async with work_on(ledger.pool) as work:
        await set_rules(work.conn, [RuleRow("task", 1, "award", "deed", action="volunteer-task", points=2)])
    await ledger.deliver(*(deed(rider) for _ in range(3)))
    await ledger.adjust(rider, 5)
    async with ledger.pool.acquire() as conn:
        now = await rounds.begin(conn, NOON)
        assert now.holds == await conn.fetchval("SELECT count(*) FROM holds")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE accounts SET available = available + 1 WHERE rider_id = (SELECT rider_id FROM accounts LIMIT 1)",
        "UPDATE accounts SET pending = pending + 1, available = available - 1 WHERE available > 0",
        "DELETE FROM accounts WHERE rider_id = (SELECT min(rider_id::text)::uuid FROM accounts)",
        "DELETE FROM entries WHERE movement = 'posted'",
        "DELETE FROM holds WHERE state = 'held' AND source = 'report'",
        "UPDATE holds SET state = 'posted', ended_at = now() WHERE state = 'held'",
        "UPDATE holds SET state = 'voided' WHERE state = 'reversed'",
        "UPDATE holds SET amount = amount + 1 WHERE state = 'voided' AND amount > 0",
        "UPDATE holds SET rider_id = gen_random_uuid() WHERE state = 'posted'",
    ],
)
@pytest.mark.parametrize("share", [10, 3], ids=["accounts in shares", "shares of an account"])
async def test_a_round_finds_the_damage(
    ledger: Ledger, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, damage: str, share: int
) -> None:
    monkeypatch.setattr(rounds, "SHARE_ENTRIES", share)
    monkeypatch.setattr(rounds, "SHARE_HOLDS", 7)
    await _filled(ledger)
    await tamper(owner, damage)
    whole, _ = await _whole_round(ledger)
    assert whole.wrong_last > 0, damage
    async with ledger.pool.acquire() as conn:
        assert (await usecases.store.tallies(conn))["imbalance"] > 0


async def test_what_has_just_moved_is_checked_at_once(ledger: Ledger, owner: asyncpg.Connection) -> None:
    """Also on top of what a round has read: only later entries are read again."""
    await _filled(ledger)
    await _whole_round(ledger)
    await _filled(ledger)
    async with ledger.pool.acquire() as conn:
        assert await usecases.check_recent(conn) == 0
        await owner.execute("UPDATE accounts SET available = available + 1")
        assert await usecases.check_recent(conn) == 2 * RIDERS
        # over all slices of the window, each with other riders
        await tamper(
            owner,
            "UPDATE entries SET made_at = now() - (1 + abs(hashtext(rider_id::text)) % 170) * interval '1 second'",
        )
        assert await usecases.check_recent(conn) == 2 * RIDERS
        await tamper(owner, "UPDATE entries SET made_at = made_at - interval '1 hour'")
        assert await usecases.check_recent(conn) == 0, "old movements are the round's"
