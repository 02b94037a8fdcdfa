"""The ledger's history against its seals, in shares: whoever changed, removed, inserted or moved an entry is found."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.points.store import seals as store
from services.points.store.seals import Balance, Head, Seal, SealedEntry
from shared.events.outside import INT64_MAX
from shared.kit import chain
from shared.kit.postgres.db import Connection

ENTRIES_AT_ONCE = 5_000
ACCOUNTS_AT_ONCE = 512
"""Of those behind the last group of a seal."""
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
SHOWN_MAX = 20
BALANCES = ("pending", "available", "reserved")


@dataclass
class Verified:
    """What a share of a verification found. `next_id`: where the next begins; None: that was all."""

    accounts: int = 0
    entries: int = 0
    wrong: list[str] = field(default_factory=list)
    next_id: UUID | None = None


async def verify_share(conn: Connection, seal: Seal, after: UUID) -> Verified:
    """Check the next group of a seal, from the first entry of its accounts on; behind the last one the root.

    Also whether accounts, with those that no seal has yet, hold what their entries come to.
    """
    found = Verified()
    group = await store.group_after(conn, seal.number, after)
    if group is None:
        if some := await store.balances(conn, after, LAST, ACCOUNTS_AT_ONCE):
            found.next_id = some[-1].rider_id
            await _accounts(conn, after, found.next_id, [], found)
            found.wrong += await _strangers(conn, after, found.next_id)
            return found
        found.wrong += await _strangers(conn, after, LAST)
        groups = await store.groups(conn, seal.number)
        if chain.root([one.hash for one in groups]) != seal.root:
            found.wrong.append(f"seal {seal.number}: its root isn't that of its accounts")
        if chain.sealed(seal.number, seal.previous, seal.root or b"") != seal.seal:
            found.wrong.append(f"seal {seal.number}: it doesn't follow from its root and the seal before")
        if seal.wrong:
            found.wrong.append(f"seal {seal.number}: {seal.wrong} accounts had balances that weren't their entries'")
        return found
    heads = await store.all_heads(conn, group)
    await _accounts(conn, after, group.last_id, heads, found)
    newest = {head.rider_id: head for head in heads}
    leaves = [chain.leaf(id_, head.version, head.hash) for id_, head in sorted(newest.items())]
    if chain.root(leaves) != group.hash or len(leaves) != group.accounts:
        found.wrong.append(f"seal {seal.number}: the group from {group.first_id} isn't that of its accounts")
    found.wrong += await _strangers(conn, after, group.last_id)
    found.accounts, found.next_id = group.accounts, group.last_id
    return found


async def verify_order(conn: Connection) -> list[str]:
    """Whether each seal follows from the one before it."""
    wrong, before, number = [], chain.START, 0
    while some := await store.seals(conn, number, 1_000):
        for one in some:
            if one.number != number + 1 or one.previous != before:
                wrong.append(f"seal {one.number}: it doesn't follow the one before")
            if chain.sealed(one.number, one.previous, one.root or b"") != one.seal:
                wrong.append(f"seal {one.number}: it doesn't follow from its root")
            number, before = one.number, one.seal or b""
    return wrong


@dataclass
class _Sums:
    """What an account's entries come to so far."""

    hash: bytes = chain.START
    balances: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BALANCES, 0))

    def add(self, entry: SealedEntry) -> None:
        for name, sign in ((entry.from_account, -1), (entry.to_account, 1)):
            if name in self.balances:
                self.balances[name] += sign * entry.amount

    def explain(self, of: Head | Balance) -> bool:
        return all(getattr(of, name) == amount for name, amount in self.balances.items())


async def _accounts(conn: Connection, after: UUID, upto: UUID, heads: Sequence[Head], found: Verified) -> None:
    """Hash the entries of the accounts between two again, and add them up; compare at each head and for today."""
    # read first: of what an account has come to meanwhile, its version says that it is newer
    now = {one.rider_id: one for one in await store.balances(conn, after, upto)}
    due: defaultdict[UUID, list[Head | Balance]] = defaultdict(list)
    for balance in now.values():
        due[balance.rider_id].append(balance)
    for head in reversed(heads):
        due[head.rider_id].append(head)
    sums: defaultdict[UUID, _Sums] = defaultdict(_Sums)
    place = (after, INT64_MAX, 0)
    while some := await store.entries_after(conn, place, upto, ENTRIES_AT_ONCE):
        for entry in some:
            waiting, sum_ = due[entry.rider_id], sums[entry.rider_id]
            while waiting and entry.version > waiting[-1].version:
                _compare(waiting.pop(), sum_, found)
            if any(isinstance(one, Head) for one in waiting[-1:]):
                sum_.hash = chain.link(sum_.hash, entry)
                found.entries += 1
            sum_.add(entry)
        place = (some[-1].rider_id, some[-1].version, some[-1].line)
    for rider_id, waiting in due.items():
        while waiting:
            _compare(waiting.pop(), sums[rider_id], found)


def _compare(at: Head | Balance, sums: _Sums, found: Verified) -> None:
    if isinstance(at, Head) and sums.hash != at.hash:
        what = f"its entries up to version {at.version} aren't those that were sealed"
        found.wrong.append(f"account {at.rider_id}: {what}")
    if not sums.explain(at):
        what = "the balances of its seal" if isinstance(at, Head) else "its balances"
        found.wrong.append(f"account {at.rider_id}: {what} at version {at.version} aren't what its entries come to")


async def _strangers(conn: Connection, after: UUID, upto: UUID) -> list[str]:
    found = await store.orphans(conn, after, upto)
    return [f"account {one.rider_id}: there are entries that it hasn't come to" for one in found[:SHOWN_MAX]]
