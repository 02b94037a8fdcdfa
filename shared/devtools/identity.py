"""A token issuer for tests, the demo and one's own machine: an Ed25519 key and its key set in a folder.

Not for production: there the city's identity provider signs, and the services know only its public keys.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from shared.cli.whole_files import FOR_THE_OWNER, whole_bytes, whole_text
from shared.kit import clock
from shared.kit.ids import new_id

ISSUER = "https://beegrid.local"
AUDIENCE = "beegrid"
_KEY_FILE, _JWKS_FILE = "signing_key.pem", "jwks.json"


class Identity:
    """Issues tokens that services with `jwks_url` of this folder accept."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey, kid: str) -> None:
        self._folder = folder
        self._key = key
        self._kid = kid

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """The issuer of the folder, which is created with a new key when it has none. The key's file is 0600."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        if not (path / _JWKS_FILE).exists():
            _create(path)
        key = serialization.load_pem_private_key((path / _KEY_FILE).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path / _KEY_FILE} is no Ed25519 key")
        kid = json.loads((path / _JWKS_FILE).read_text())["keys"][0]["kid"]
        return cls(path, key, kid)

    @property
    def jwks_url(self) -> str:
        """For the setting BEEGRID_JWKS_URL."""
        return (self._folder / _JWKS_FILE).resolve().as_uri()

    def token(
        self,
        sub: str,
        name: str,
        roles: Iterable[str],
        areas: Iterable[str] = (),
        company: str | None = None,
        merchant_id: str | None = None,
        ttl_s: int = 3_600,
    ) -> str:
        """A bearer token of the person `sub`, valid from now for `ttl_s` seconds."""
        now_s = int(clock.unix_s())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "name": name,
            "roles": sorted(roles),
            "areas": list(areas),
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + ttl_s,
        }
        if company is not None:
            claims["company"] = company
        if merchant_id is not None:
            claims["merchant_id"] = merchant_id
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._kid})


def _create(folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    entry = {**public, "kid": new_id().hex, "alg": "EdDSA", "use": "sig"}
    # what is published last: where it is, there is an issuer
    with whole_bytes(folder / _KEY_FILE, mode=FOR_THE_OWNER) as file:
        file.write(pem)
    with whole_text(folder / _JWKS_FILE) as published:
        published.write(json.dumps({"keys": [entry]}))


def main() -> int:
    """`python -m shared.devtools.identity FOLDER [--publish FOLDER] [--token ROLE]`: an issuer for containers.

    Makes the issuer where it isn't there, copies its public keys (and nothing else) to the folder that services read,
    and prints a token that lives for twelve hours where a role is given.
    """
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.identity")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--publish", type=Path)
    parser.add_argument("--token", metavar="ROLE")
    wanted = parser.parse_args()
    issuer = Identity.open(wanted.folder)
    if wanted.publish is not None:
        with whole_text(wanted.publish / _JWKS_FILE) as published:
            published.write((wanted.folder / _JWKS_FILE).read_text())
    if wanted.token:
        print(issuer.token(wanted.token, wanted.token, [wanted.token], ttl_s=12 * 3_600))
    return 0


if __name__ == "__main__":
    sys.exit(main())
