"""The ledger's history against its seals, in shares: whoever changed, removed, inserted or moved an entry is found."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.points.store import seals as store
from services.points.store.seals import Group, Head, Seal
from shared.kit import chain
from shared.kit.postgres.db import Connection

ENTRIES_AT_ONCE = 5_000
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
SHOWN_MAX = 20


@dataclass
class Verified:
    """What a share of a verification found. `next_id`: where the next begins; None: that was all."""

    accounts: int = 0
    entries: int = 0
    wrong: list[str] = field(default_factory=list)
    next_id: UUID | None = None


async def verify_share(conn: Connection, seal: Seal, after: UUID) -> Verified:
    """Check the next group of a seal, from the first entry of its accounts on; behind the last one the root."""
    found = Verified()
    group = await store.group_after(conn, seal.number, after)
    if group is None:
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
    await _chains(conn, group, heads, found)
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


async def _chains(conn: Connection, group: Group, heads: Sequence[Head], found: Verified) -> None:
    """Hash the group's entries again, and compare at each head."""
    due: defaultdict[UUID, list[Head]] = defaultdict(list)
    for head in reversed(heads):
        due[head.rider_id].append(head)
    chains: dict[UUID, bytes] = {}
    place = (group.first_id, 0, -1)
    while some := await store.entries_after(conn, place, group.last_id, ENTRIES_AT_ONCE):
        for entry in some:
            waiting = due[entry.rider_id]
            while waiting and entry.version > waiting[-1].version:
                _compare(waiting.pop(), chains, found)
            if waiting:
                chains[entry.rider_id] = chain.link(chains.get(entry.rider_id, chain.START), entry)
                found.entries += 1
        place = (some[-1].rider_id, some[-1].version, some[-1].line)
    for waiting in due.values():
        while waiting:
            _compare(waiting.pop(), chains, found)


def _compare(head: Head, chains: dict[UUID, bytes], found: Verified) -> None:
    if chains.get(head.rider_id, chain.START) != head.hash:
        what = f"its entries up to version {head.version} aren't those that were sealed"
        found.wrong.append(f"account {head.rider_id}: {what}")


async def _strangers(conn: Connection, after: UUID, upto: UUID) -> list[str]:
    found = await store.orphans(conn, after, upto)
    return [f"account {one.rider_id}: there are entries that it hasn't come to" for one in found[:SHOWN_MAX]]
