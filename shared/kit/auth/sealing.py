"""Sealing of companies' secrets for internal topics and tables: AES-256-GCM, bound to the company and the key's id."""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(ValueError):
    """Not sealed with this key, for this company and this key id, or changed since."""


class Sealer:
    """Seals and unseals with one 32-byte key, given in base64 as in the setting `sealing_key`."""

    def __init__(self, key_base64: str) -> None:
        try:
            key = base64.b64decode(key_base64, validate=True)
        except binascii.Error as exc:
            raise ValueError("the sealing key is not base64") from exc
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the sealing key has {len(key)} bytes, not {_KEY_BYTES}")
        self._aead = AESGCM(key)

    def seal(self, secret: bytes, company: str, key_id: str) -> str:
        """Base64 of version, nonce and ciphertext. Random nonces: far below 2^32 secrets are ever sealed."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, secret, _bound_to(company, key_id))
        return base64.b64encode(_VERSION + nonce + sealed).decode()

    def unseal(self, sealed: str, company: str, key_id: str) -> bytes:
        """The secret. Raises SealBroken, which never says why."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            if raw[:1] != _VERSION:
                raise ValueError("unknown version")
            nonce, ciphertext = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
            return self._aead.decrypt(nonce, ciphertext, _bound_to(company, key_id))
        except (ValueError, InvalidTag) as exc:
            raise SealBroken("not a sealed secret") from exc


def _bound_to(company: str, key_id: str) -> bytes:
    # the length keeps ("A", "B:1") and ("A:B", "1") apart
    return f"{len(company)}:{company}:{key_id}".encode()
