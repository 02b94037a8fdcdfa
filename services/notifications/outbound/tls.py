"""How what is sent over HTTP leaves: through the city's proxy, trusting public authorities and the city's own.

Webhooks' receivers always have to show a certificate for the name that was checked.
"""

import ssl
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from services.notifications.settings import Settings
from shared.kit.tls import LivingContext

SERVER_NAME: ContextVar[str | None] = ContextVar("server_name", default=None)
"""The name that the certificate of this attempt's receiver must have."""


class _ByName(LivingContext):
    """A connection goes to an address that was checked; through a proxy httpx would ask for that in the certificate."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the class above, with this attempt's name."""
        name = SERVER_NAME.get() or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)


def context(ca_file: Path | None) -> ssl.SSLContext:
    """For a client. `ca_file`: PEM of authorities that are trusted beside the public ones, as it is at each connection.

    Raises:
        OSError: the file can't be read, or holds no certificate (ssl.SSLError is one).
    """
    return _ByName(ca_file, _public_and)


def _public_and(files: Sequence[Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    public = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
    made.load_verify_locations(cadata=b"".join(public))
    for file in files:
        made.load_verify_locations(cafile=file)
    return made


@dataclass(frozen=True, slots=True)
class Ways:
    """Of all that this process sends over HTTP. `proxy` may hold a password."""

    verify: ssl.SSLContext
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Ways":
        """As the settings say; nothing comes from the environment. Raises OSError as `context` does."""
        proxy = settings.outbound_proxy.get_secret_value() if settings.outbound_proxy else None
        return cls(context(settings.outbound_ca_file), proxy)
