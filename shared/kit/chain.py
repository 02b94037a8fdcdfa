"""A ledger's hash chain and the tree over its heads: what a service seals with, and anybody checks with.

All hashes are SHA-256. The words of an entry are

    rider_id|version|line|entry_id|hold_id|movement|from_account|to_account|amount|made_at|party

UUIDs in lower case, made_at in UTC as 2026-03-02T04:00:00.000000Z, party empty where there is none; fields in this
order, joined by "|", as UTF-8. An account's chain begins with 32 zero bytes, and each entry, in the order of (version,
line), makes it SHA-256(chain so far + words). A leaf is SHA-256(0x00 + rider_id + version + chain), 16 and 8 bytes
(big-endian) and 32; a node SHA-256(0x01 + left + right), where the last of an odd number goes up as it is. Accounts in
the order of their ids are leaves of groups, the groups' roots in the same order are leaves of the root. A seal is
SHA-256(0x02 + number + seal before + root), number in 8 bytes; before the first seal are 32 zero bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

START = bytes(32)


class Entry(Protocol):
    """One line of the ledger, as it is hashed."""

    @property
    def rider_id(self) -> UUID: ...

    @property
    def version(self) -> int: ...

    @property
    def line(self) -> int: ...

    @property
    def entry_id(self) -> UUID: ...

    @property
    def hold_id(self) -> UUID: ...

    @property
    def movement(self) -> str: ...

    @property
    def from_account(self) -> str: ...

    @property
    def to_account(self) -> str: ...

    @property
    def amount(self) -> int: ...

    @property
    def made_at(self) -> datetime: ...

    @property
    def party(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """The hash beside one's own on the way up a tree. `left`: it stands before one's own."""

    left: bool
    hash: bytes


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry as the routes show it."""

    rider_id: UUID
    version: int
    line: int
    entry_id: UUID
    hold_id: UUID
    movement: str
    from_account: str
    to_account: str
    amount: int
    made_at: datetime
    party: str | None


def read(rider_id: UUID, shown: Mapping[str, Any]) -> ReadEntry:
    """An item of `/v1/points/me/entries`; `source_id` is the id of its hold."""
    return ReadEntry(
        rider_id, shown["version"], shown["line"], UUID(shown["entry_id"]), UUID(shown["source_id"]), shown["movement"],
        shown["from_account"], shown["to_account"], shown["amount"], datetime.fromisoformat(shown["made_at"]),
        shown["party"],
    )  # fmt: skip


def words(entry: Entry) -> bytes:
    """An entry as it is hashed."""
    made_at = entry.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f"{entry.rider_id}|{entry.version}|{entry.line}|{entry.entry_id}|{entry.hold_id}|{entry.movement}|"
        f"{entry.from_account}|{entry.to_account}|{entry.amount}|{made_at}|{entry.party or ''}"
    ).encode()


def link(before: bytes, entry: Entry) -> bytes:
    """The chain after one more entry."""
    return sha256(before + words(entry)).digest()


def linked(before: bytes, entries: Iterable[Entry]) -> bytes:
    """The chain after some more entries, in order."""
    for entry in entries:
        before = link(before, entry)
    return before


def leaf(rider_id: UUID, version: int, head: bytes) -> bytes:
    """What of an account is in the tree."""
    return sha256(b"\0" + rider_id.bytes + version.to_bytes(8) + head).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves in order; 32 zero bytes over none."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else START


def path(leaves: Sequence[bytes], place: int) -> list[Step]:
    """From one leaf up to the root."""
    level, found = list(leaves), []
    while len(level) > 1:
        beside = place ^ 1
        if beside < len(level):
            found.append(Step(beside < place, level[beside]))
        level, place = _above(level), place // 2
    return found


def climbed(own: bytes, steps: Iterable[Step]) -> bytes:
    """The root to which a path leads."""
    for step in steps:
        own = _node(step.hash, own) if step.left else _node(own, step.hash)
    return own


def sealed(number: int, previous: bytes, of: bytes) -> bytes:
    """The seal over a root, and by the seal before it over all earlier ones."""
    return sha256(b"\2" + number.to_bytes(8) + previous + of).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs
