"""Authorities and servers' certificates of a test's own."""

import ipaddress
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shared.kit import clock

PEM = Encoding.PEM


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Authority:
    """One that signs for this machine, until `ends`."""

    name: str
    ends: datetime = field(default_factory=lambda: clock.now() + timedelta(hours=1))
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        made = self._begun(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(PEM)

    def write(self, file: Path) -> None:
        """Put it into the file's place at once, as Secrets are exchanged."""
        draft = file.with_suffix(".new")
        draft.write_bytes(self.pem)
        draft.replace(file)

    def chain(self, file: Path, mode: int = 0o600) -> Path:
        """A server's key, and a certificate for it of this authority."""
        key = _key()
        addresses = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        made = self._begun("server", key).add_extension(addresses, False).sign(self.key, hashes.SHA256())
        private = key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + made.public_bytes(PEM))
        os.chmod(file, mode)
        return file

    def _begun(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder(_named(self.name), _named(name), key.public_key(), x509.random_serial_number())
        return made.not_valid_before(clock.now() - timedelta(hours=1)).not_valid_after(self.ends)
