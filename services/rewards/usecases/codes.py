"""The two secrets around a voucher's code: the keyed hash it is found by, the seal it is shown to its rider from."""

import hashlib
import hmac
import secrets
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.rewards.domain import new_code

_NONCE_BYTES = 12


class Codes:
    """Makes, hashes, seals and opens codes."""

    def __init__(self, *secrets: bytes) -> None:
        """Two keys of different use are derived from each secret (at least 16 random bytes); the first makes codes."""
        if not secrets or any(len(secret) < 16 for secret in secrets):
            raise ValueError("the voucher key needs at least 16 bytes")
        self._hash_keys = [_derive(secret, b"beegrid rewards voucher hash") for secret in secrets]
        self._seals = [AESGCM(_derive(secret, b"beegrid rewards voucher seal")) for secret in secrets]

    def issue(self, redemption_id: UUID) -> tuple[bytes, bytes]:
        """A new code's (hash, sealed); the code itself leaves only through `open`."""
        return self._kept(redemption_id, new_code(secrets.randbelow))

    def hashes(self, code: str) -> list[bytes]:
        """What a canonical code may be found by, 32 bytes each, under every secret."""
        return [hmac.new(key, code.encode(), hashlib.sha256).digest() for key in self._hash_keys]

    def open(self, redemption_id: UUID, sealed: bytes) -> str:
        """The code again. Raises InvalidTag when it is another redemption's or was changed."""
        return self._opened(redemption_id, sealed)[1]

    def under(self, redemption_id: UUID, sealed: bytes) -> int:
        """The number of the secret it is sealed under, 0 for the first. Raises InvalidTag."""
        return self._opened(redemption_id, sealed)[0]

    def renewed(self, redemption_id: UUID, sealed: bytes) -> tuple[bytes, bytes]:
        """The same code's (hash, sealed) under the first secret. Raises InvalidTag."""
        return self._kept(redemption_id, self.open(redemption_id, sealed))

    def _kept(self, redemption_id: UUID, code: str) -> tuple[bytes, bytes]:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.hashes(code)[0], nonce + self._seals[0].encrypt(nonce, code.encode(), redemption_id.bytes)

    def _opened(self, redemption_id: UUID, sealed: bytes) -> tuple[int, str]:
        for number, seal in enumerate(self._seals):
            try:
                code = seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], redemption_id.bytes)
            except InvalidTag:
                continue  # the next secret, or the error below, tells
            return number, code.decode()
        raise InvalidTag


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, purpose).derive(secret)
