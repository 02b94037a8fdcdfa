"""What the service signs for whoever is not connected: lists for counters, statements on paper."""

import base64
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROUNDS = 1_000
"""Of the hash on a list: half a millisecond for each voucher, and a thousand times the work of whoever tries codes."""
HASH_BYTES = 16


class Signer:
    """Ed25519, from the secrets that voucher codes are made with; the first signs, all verify."""

    def __init__(self, *secrets: bytes) -> None:
        self._keys = [Ed25519PrivateKey.from_private_bytes(_seed(secret)) for secret in secrets]

    @property
    def public(self) -> str:
        """The public key that a counter keeps, base64 of 32 bytes."""
        return _text(self._keys[0].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str) -> str:
        """The signature of a text's UTF-8, base64 of 64 bytes."""
        return _text(self._keys[0].sign(text.encode()))

    def verifies(self, text: str, signature: str) -> bool:
        """Whether one of the keys signed the text."""
        try:
            raw = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        for key in self._keys:
            try:
                key.public_key().verify(raw, text.encode())
            except InvalidSignature:
                continue
            return True
        return False


def on_list(list_id: UUID, code: str) -> str:
    """What stands on a list for a code: PBKDF2 with HMAC-SHA-256, the list's 16 bytes as salt, in hexadecimal."""
    return PBKDF2HMAC(SHA256(), HASH_BYTES, list_id.bytes, ROUNDS).derive(code.encode()).hex()


def _seed(secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"beegrid rewards signatures").derive(secret)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
