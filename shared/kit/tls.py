"""Authorities that are exchanged while the process runs: a new connection trusts whatever the file holds by then.

A context of the standard library keeps what it has loaded, and can't forget any of it. So clients are given one that
makes another whenever its file has changed, and lets that one speak. Connections that stand aren't touched.
"""

import math
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import structlog
from cryptography import x509

log = structlog.get_logger(__name__)

Make = Callable[[Sequence[Path]], ssl.SSLContext]
_State = tuple[tuple[str, int, int, int], ...]


def not_after_s(file: Path) -> float:
    """When the first of a PEM file's certificates expires, in seconds since 1970.

    Raises:
        ValueError: there is no certificate in it.
        OSError: it can't be read.
    """
    certificates = x509.load_pem_x509_certificates(file.read_bytes())
    return min(one.not_valid_after_utc.timestamp() for one in certificates)


def files_of(file: Path) -> list[Path]:
    """The file, and former authorities beside it: `ca.crt` and `ca-2026-11-30T02-30-00Z.crt`.

    That is how Strimzi keeps an authority whose key it has replaced, until no broker shows a certificate of it.
    """
    return [file, *sorted(file.parent.glob(f"{file.stem}-[0-9][0-9][0-9][0-9]-*{file.suffix}"))]


def trusting(files: Sequence[Path]) -> ssl.SSLContext:
    """A client's context that trusts these authorities and nobody else. Raises OSError as `living` does."""
    made = ssl.create_default_context(cafile=files[0])
    for former in files[1:]:
        made.load_verify_locations(cafile=former)
    return made


class LivingContext(ssl.SSLContext):
    """For clients. It lends its connections to a context of what the file holds now.

    While a changed file can't be read, or holds no certificate, what was read last stays good.
    """

    file: Path | None
    not_after_s: float
    """When the first certificate expires of those of the file that are in use, in seconds since 1970; former
    authorities don't count. NaN without a file."""

    def __new__(cls, *_: Any, **__: Any) -> "LivingContext":
        """A client's context, of which nothing but this class is used."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, file: Path | None, make: Make = trusting) -> None:
        """`make`: of files, the first of which must be there. None: of no file, which never changes.

        Raises:
            OSError: a file can't be read, or holds no certificate (ssl.SSLError is one).
        """
        self.file = file
        self._make = make
        self._alpn: list[str] = []
        self._state = self._look()
        self._load()
        if file is not None:
            IN_USE.add(self)

    def refresh(self) -> None:
        """Look at the file, and take what it holds where it has changed."""
        try:
            state = self._look()
            if state == self._state:
                return
            self._load()
        except (OSError, ValueError) as error:
            log.warning("authorities_not_reloaded", file=str(self.file), error=str(error))
            return
        self._state = state
        log.info("authorities_reloaded", file=str(self.file), not_after_s=self.not_after_s)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A connection by what the file holds now."""
        self.refresh()
        return self._made.wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def wrap_socket(self, sock: Any, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """The same for blocking clients."""
        self.refresh()
        return self._made.wrap_socket(sock, *arguments, **named)

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """As clients of HTTP say before each connection."""
        self._alpn = list(alpn_protocols)
        self._made.set_alpn_protocols(self._alpn)

    def _look(self) -> _State:
        found = ((str(file), file.stat()) for file in self._files())
        return tuple((name, seen.st_ino, seen.st_mtime_ns, seen.st_size) for name, seen in found)

    def _files(self) -> list[Path]:
        return [] if self.file is None else files_of(self.file)

    def _load(self) -> None:
        files = self._files()
        made = self._make(files)
        ends_s = not_after_s(files[0]) if files else math.nan
        if self._alpn:
            made.set_alpn_protocols(self._alpn)
        self._made, self.not_after_s = made, ends_s


IN_USE: WeakSet[LivingContext] = WeakSet()
"""All contexts of this process that follow a file."""
