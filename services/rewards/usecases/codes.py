"""The two secrets around a voucher's code: the keyed hash it is found by, the seal it is shown to its rider from."""

import hashlib
import hmac
import secrets
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.rewards.domain import new_code

_NONCE_BYTES = 12


class Codes:
    """Makes, hashes, seals and opens codes."""

    def __init__(self, secret: bytes) -> None:
        """Two keys of different use are derived from `secret` (at least 16 random bytes)."""
        if len(secret) < 16:
            raise ValueError("the voucher key needs at least 16 bytes")
        self._hash_key = _derive(secret, b"beegrid rewards voucher hash")
        self._seal = AESGCM(_derive(secret, b"beegrid rewards voucher seal"))

    def issue(self, redemption_id: UUID) -> tuple[bytes, bytes]:
        """A new code's (hash, sealed); the code itself leaves only through `open`."""
        code = new_code(secrets.randbelow)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.hash(code), nonce + self._seal.encrypt(nonce, code.encode(), redemption_id.bytes)

    def hash(self, code: str) -> bytes:
        """What a canonical code is found by, 32 bytes."""
        return hmac.new(self._hash_key, code.encode(), hashlib.sha256).digest()

    def open(self, redemption_id: UUID, sealed: bytes) -> str:
        """The code again. Raises InvalidTag when it is another redemption's or was changed."""
        return self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], redemption_id.bytes).decode()


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, purpose).derive(secret)
