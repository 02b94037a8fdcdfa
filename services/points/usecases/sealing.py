"""The ledger is sealed once a day: each account's chain goes on over its new entries, and one root lies over all."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID
from zoneinfo import ZoneInfo

from services.points import problems
from services.points.store import seals as store
from services.points.store.seals import AccountState, Group, Head, Seal, SealedEntry
from shared.events.ledger_sealed import LEDGER_SEALED, LedgerSealed
from shared.kit import chain
from shared.kit.chain import Step
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

GROUP_ACCOUNTS = 512
SHARE_ENTRIES = 5_000
"""So many new entries, about, are hashed in one transaction."""
FIRST = UUID(int=0)
BALANCES = ("pending", "available", "reserved")


@dataclass(frozen=True, slots=True)
class Proof:
    """That an account's chain is in a seal."""

    seal: Seal
    rider_id: UUID
    version: int
    head: bytes
    path: list[Step]


async def seal(zone: ZoneInfo, work: Work) -> bool:
    """Do the next share of today's seal; False: it is made. Only the leader does it, one share a transaction.

    Entries never change, so the chain can follow them: nothing is hashed where points move.
    """
    now = await store.last(work.conn)
    today = work.now.astimezone(zone).date()
    if now is None or (now.seal is not None and now.day < today):
        if now is None and not await store.accounts_after(work.conn, FIRST, 1):
            return False
        number, previous = (1, chain.START) if now is None or now.seal is None else (now.number + 1, now.seal)
        begun = Seal(number, today, work.now, FIRST, 0, 0, 0, previous, None, None, None)
        await store.begin(work.conn, begun)
        return True
    if now.seal is not None:
        return False
    accounts = await store.accounts_after(work.conn, now.after_id, GROUP_ACCOUNTS)
    if accounts:
        await store.go_on(work.conn, await _share(work.conn, now, accounts))
    else:
        await _finish(work, now)
    return True


async def prove(conn: Connection, rider_id: UUID) -> Proof:
    """That an account is in the newest seal.

    Raises:
        Refusal: `no_seal`: none has the account yet.
    """
    newest = await store.newest(conn)
    group = await store.group_of(conn, newest.number, rider_id) if newest is not None else None
    if newest is None or group is None:
        raise problems.NO_SEAL()
    heads = await store.heads_of(conn, group)
    place = next((at for at, head in enumerate(heads) if head.rider_id == rider_id), None)
    if place is None:
        raise problems.NO_SEAL()
    groups = await store.groups(conn, newest.number)
    among = next(at for at, one in enumerate(groups) if one.first_id == group.first_id)
    steps = [*chain.path(_leaves(heads), place), *chain.path([one.hash for one in groups], among)]
    return Proof(newest, rider_id, heads[place].version, heads[place].hash, steps)


async def _share(conn: Connection, now: Seal, accounts: Sequence[AccountState]) -> Seal:
    """Let the chains of the next accounts go on; those that are through are a group."""
    taken = _taken(accounts)
    parts = [(one.rider_id, one.sealed_version, upto) for one, upto in taken if upto > one.sealed_version]
    new: defaultdict[UUID, list[SealedEntry]] = defaultdict(list)
    for entry in await store.entries_of(conn, parts):
        new[entry.rider_id].append(entry)
    heads = [_head(now.number, one, upto, new[one.rider_id]) for one, upto in taken]
    moved = {rider_id for rider_id, _, _ in parts}
    await store.keep_heads(conn, [head for head in heads if head.rider_id in moved])
    now = replace(now, entries=now.entries + sum(map(len, new.values())))
    if heads[-1].version < taken[-1][0].version:
        return now  # one account of very many entries goes on with the next share
    wrong = sum(_differ(head, one) for head, (one, _) in zip(heads, taken, strict=True))
    group = Group(now.number, heads[0].rider_id, heads[-1].rider_id, len(heads), chain.root(_leaves(heads)))
    await store.enter_group(conn, group)
    return replace(now, after_id=group.last_id, accounts=now.accounts + len(heads), wrong=now.wrong + wrong)


async def _finish(work: Work, now: Seal) -> None:
    root = chain.root([group.hash for group in await store.groups(work.conn, now.number)])
    seal = chain.sealed(now.number, now.previous, root)
    await store.go_on(work.conn, replace(now, root=root, seal=seal, sealed_at=work.now))
    body = LedgerSealed(
        number=now.number, day=now.day, accounts=now.accounts, entries=now.entries, root=root.hex(),
        previous=now.previous.hex(), seal=seal.hex(), sealed_at=work.now,
    )  # fmt: skip
    work.publish(LEDGER_SEALED, body, version=now.number)


def _taken(accounts: Sequence[AccountState]) -> list[tuple[AccountState, int]]:
    """As many of the accounts as have SHARE_ENTRIES new movements together, at least one, and up to which version."""
    taken: list[tuple[AccountState, int]] = []
    room = SHARE_ENTRIES
    for one in accounts:
        new = one.version - one.sealed_version
        if taken and new > room:
            break
        taken.append((one, min(one.version, one.sealed_version + SHARE_ENTRIES)))
        room -= new
        if room < 0:
            break
    return taken


def _head(number: int, account: AccountState, upto: int, entries: Sequence[SealedEntry]) -> Head:
    head = Head(
        account.rider_id, number, upto, chain.linked(account.hash or chain.START, entries), account.sealed_pending,
        account.sealed_available, account.sealed_reserved,
    )  # fmt: skip
    for entry in entries:
        for name, sign in ((entry.from_account, -1), (entry.to_account, 1)):
            if name in BALANCES:
                setattr(head, name, getattr(head, name) + sign * entry.amount)
    return head


def _differ(head: Head, account: AccountState) -> bool:
    return (head.pending, head.available, head.reserved) != (account.pending, account.available, account.reserved)


def _leaves(heads: Sequence[Head]) -> list[bytes]:
    return [chain.leaf(head.rider_id, head.version, head.hash) for head in heads]
