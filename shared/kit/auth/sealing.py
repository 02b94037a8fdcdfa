"""Sealing of companies' secrets for internal topics and tables: AES-256-GCM, bound to the company and the key's id."""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(ValueError):
    """Not sealed with this key, for this company and this key id, or changed since."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key of the setting `sealing_key`. `text`: base64 of its 32 bytes; `made_at`: None where it isn't stated."""

    text: str = field(repr=False)
    raw: bytes = field(repr=False)
    made_at: datetime | None

    @property
    def id(self) -> str:
        """Eight characters that may be shown: nobody learns the key from them."""
        return hashlib.sha256(b"beegrid sealing key id" + self.raw).hexdigest()[:8]


def sealing_keys(setting: str) -> tuple[SealingKey, ...]:
    """The keys of the setting, `[time made.]base64`, separated by commas. Raises ValueError."""
    return tuple(_sealing_key(one.strip()) for one in setting.split(","))


def _sealing_key(stated: str) -> SealingKey:
    made, _, text = stated.rpartition(".")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError("the sealing key is not base64") from exc
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"the sealing key has {len(raw)} bytes, not {_KEY_BYTES}")
    made_at = datetime.fromisoformat(made) if made else None
    if made_at is not None and made_at.tzinfo is None:
        raise ValueError("the sealing key's time has no zone")
    return SealingKey(text, raw, made_at)


class Sealer:
    """Seals with the first key of the setting `sealing_key` and unseals with all of them."""

    def __init__(self, setting: str) -> None:
        self.keys = sealing_keys(setting)
        self._aeads = {key.id: AESGCM(key.raw) for key in self.keys}

    def seal(self, secret: bytes, company: str, key_id: str) -> str:
        """Base64 of version, nonce and ciphertext. Random nonces: far below 2^32 secrets are ever sealed."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aeads[self.keys[0].id].encrypt(nonce, secret, _bound_to(company, key_id))
        return base64.b64encode(_VERSION + nonce + sealed).decode()

    def unseal(self, sealed: str, company: str, key_id: str) -> bytes:
        """The secret. Raises SealBroken, which never says why."""
        return self._open(sealed, company, key_id)[1]

    def resealed(self, sealed: str, company: str, key_id: str) -> str | None:
        """The same secret under the first key; None where it is already, or is under no key of ours."""
        try:
            key, secret = self._open(sealed, company, key_id)
        except SealBroken:
            return None
        return None if key == self.keys[0].id else self.seal(secret, company, key_id)

    def key_of(self, sealed: str, company: str, key_id: str) -> str:
        """The id of the sealing key it is under. Raises SealBroken."""
        return self._open(sealed, company, key_id)[0]

    def _open(self, sealed: str, company: str, key_id: str) -> tuple[str, bytes]:
        """The id of the key that has sealed it, and the secret."""
        try:
            raw = base64.b64decode(sealed, validate=True)
        except ValueError as exc:
            raise SealBroken("not a sealed secret") from exc
        nonce, ciphertext = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        for id_, aead in self._aeads.items():
            try:
                if raw[:1] == _VERSION:
                    return id_, aead.decrypt(nonce, ciphertext, _bound_to(company, key_id))
            except (ValueError, InvalidTag):
                continue  # under another key, or broken: the next one, or the error below, tells
        raise SealBroken("not a sealed secret")


def _bound_to(company: str, key_id: str) -> bytes:
    # the length keeps ("A", "B:1") and ("A:B", "1") apart
    return f"{len(company)}:{company}:{key_id}".encode()
