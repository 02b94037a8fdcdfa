"""What the service signs for whoever is not connected: lists for counters, statements on paper."""

import base64
import hashlib
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROUNDS = 1_000
"""Of the hash on a list: half a millisecond for each voucher, and a thousand times the work of whoever tries codes."""
HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that is published: its id (16 hexadecimal digits of its SHA-256), and 32 bytes in base64."""

    id: str
    key: str


class Signer:
    """Ed25519, from the secrets that voucher codes are made with; the first signs, each is published and verifies."""

    def __init__(self, *secrets: bytes) -> None:
        made = [Ed25519PrivateKey.from_private_bytes(_seed(secret)) for secret in secrets]
        self._first = made[0]
        self._by_id = {_id(key.public_key()): key.public_key() for key in made}

    @property
    def published(self) -> list[PublicKey]:
        """All keys, the one that signs first."""
        return [PublicKey(id_, _text(_raw(key))) for id_, key in self._by_id.items()]

    @property
    def key_id(self) -> str:
        """Of the key that signs."""
        return _id(self._first.public_key())

    @property
    def public(self) -> str:
        """The key that signs, base64 of 32 bytes."""
        return _text(_raw(self._first.public_key()))

    def sign(self, text: str) -> str:
        """The signature of a text's UTF-8, base64 of 64 bytes."""
        return _text(self._first.sign(text.encode()))

    def verifies(self, text: str, signature: str, key_id: str) -> bool:
        """Whether the published key of that id signed the text; False for an id that is none of ours."""
        key = self._by_id.get(key_id)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(signature, validate=True), text.encode())
        except (ValueError, InvalidSignature):
            return False
        return True


def on_list(list_id: UUID, code: str) -> str:
    """What stands on a list for a code: PBKDF2 with HMAC-SHA-256, the list's 16 bytes as salt, in hexadecimal."""
    return PBKDF2HMAC(SHA256(), HASH_BYTES, list_id.bytes, ROUNDS).derive(code.encode()).hex()


def _seed(secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"beegrid rewards signatures").derive(secret)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(_raw(key)).hexdigest()[:16]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
