"""Whose is an address? Its owner can read a code there. Until then it gets nothing else, whoever has entered it."""

import hashlib
import hmac
import math
import secrets
from typing import Literal
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.notifications import metrics
from services.notifications.domain import (
    CODE_DIGITS,
    CODE_PAUSE,
    CODES_MAX,
    CODES_WINDOW,
    mailbox,
)
from services.notifications.store import codes
from services.notifications.usecases.preferences import SEALED_FOR, UnknownChannel
from shared.kit.auth import Sealer
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

Verdict = Literal["verified", "wrong", "expired"]
RIDERS_LIMIT = (CODES_MAX, CODES_WINDOW, CODE_PAUSE)
ADDRESS_LIMIT = (CODES_MAX, CODES_WINDOW, CODE_PAUSE * 0)


class VerifiedAlready(ValueError):
    """The channel needs no code."""


class TooManyCodes(ValueError):
    """The rider has asked for too many; `wait_s` seconds until the next."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class Codes:
    """Makes codes and hashes them and addresses, under keys of their own from those of the setting `sealing_key`."""

    def __init__(self, sealer: Sealer) -> None:
        self._keys = [_derived(key.raw) for key in sealer.keys]

    def make(self, channel_id: UUID) -> tuple[str, bytes]:
        """A new code and its hash, which is good for this channel alone."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        return code, _keyed(self._keys[0], b"code", channel_id.bytes + code.encode())

    def matches(self, channel_id: UUID, code: str, code_hash: bytes) -> bool:
        """Whether a code is the one, in the same time whatever is wrong with it."""
        found = [_keyed(key, b"code", channel_id.bytes + code.encode()) for key in self._keys]
        return sum(hmac.compare_digest(one, code_hash) for one in found) > 0

    def address(self, address: str) -> str:
        """What an address is counted by; it can't be read from it."""
        return "address:" + _keyed(self._keys[0], b"address", mailbox(address).encode()).hex()


async def ask(work: Work, sealer: Sealer, rider_id: UUID, channel_id: UUID) -> None:
    """Let a code be sent to the address of a rider's channel.

    An address that has got too many, whoever asked, gets no more, and the rider doesn't learn it: nobody learns here
    whether somebody else uses an address.

    Raises:
        UnknownChannel: the rider has no such channel.
        VerifiedAlready: it needs no code.
        TooManyCodes: the rider's own limit.
    """
    found = await codes.lock_channel(work.conn, channel_id, rider_id)
    if found is None:
        raise UnknownChannel
    sealed, verified = found
    if verified:
        raise VerifiedAlready
    if not await codes.count(work.conn, str(rider_id), *RIDERS_LIMIT):
        metrics.CODES.labels("rider_limit").inc()
        raise TooManyCodes(await wait_s(work.conn, rider_id))
    address = sealer.unseal(sealed, SEALED_FOR, str(channel_id)).decode()
    if await codes.count(work.conn, Codes(sealer).address(address), *ADDRESS_LIMIT):
        await codes.queue(work.conn, channel_id, rider_id)
        metrics.CODES.labels("asked").inc()
    else:
        metrics.CODES.labels("address_limit").inc()


async def verify(work: Work, sealer: Sealer, rider_id: UUID, channel_id: UUID, code: str) -> Verdict:
    """Try a code. The transaction must commit whatever the verdict: tries are counted. Raises UnknownChannel."""
    verdict = await _verify(work, sealer, rider_id, channel_id, code)
    metrics.CODES.labels(verdict).inc()
    return verdict


async def make(conn: Connection, sealer: Sealer, channel_id: UUID) -> str:
    """The code that is about to leave for a channel's address; former ones are good no more."""
    code, code_hash = Codes(sealer).make(channel_id)
    await codes.put(conn, channel_id, code_hash)
    return code


async def wait_s(conn: Connection, rider_id: UUID) -> int:
    """Whole seconds until a rider may ask for another code."""
    return math.ceil(await codes.wait_s(conn, str(rider_id), *RIDERS_LIMIT))


async def _verify(work: Work, sealer: Sealer, rider_id: UUID, channel_id: UUID, code: str) -> Verdict:
    found = await codes.lock_channel(work.conn, channel_id, rider_id)
    if found is None:
        raise UnknownChannel
    if found[1]:
        return "verified"
    code_hash = await codes.spend_try(work.conn, channel_id)
    if code_hash is None:
        return "expired"
    if not Codes(sealer).matches(channel_id, code, code_hash):
        return "wrong"
    await codes.verify(work.conn, channel_id)
    return "verified"


def _derived(raw: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"beegrid notifications codes").derive(raw)


def _keyed(key: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.new(key, purpose + b"\0" + content, hashlib.sha256).digest()
