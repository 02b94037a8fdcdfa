"""TCP ports of this machine: chosen, and reserved for the launcher that chose them until it ends.

Between choosing a port and listening on it seconds pass in which two services, or two launchers, would otherwise
choose the same one: the second then dies, and what waits for it is answered by the first.
"""

import contextlib
import fcntl
import os
import random
import socket
import threading
from pathlib import Path

import psutil

from .errors import InfraError

# Below the range from which the system takes ports for outgoing connections: otherwise a client that keeps connecting
# while the server is down may get the server's port as its own.
PORTS = range(18_000, 32_000)


class _Reservations:
    """Ports of this process, each a locked byte of one file: the system frees them when the process ends.

    The file is never closed: closing it would free all of them. A port that turns out to be in use stays reserved.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: set[int] = set()
        self._file: int | None = None

    def take(self, port: int, *, again: bool) -> bool:
        """Reserve a port; False when another process has it, or this one has it and doesn't want it `again`."""
        with self._lock:
            if port in self._own:
                return again
            if self._file is None:
                self._file = os.open(_file(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                return False
            self._own.add(port)
            return True


def _file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "beegrid"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "ports.lock"


_reservations = _Reservations()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, reserved for this process until it ends.

    Raises InfraError when none is found.
    """
    for port in random.sample(PORTS, 400):
        if _reserve(port, again=False):
            return port
    raise InfraError(f"no free port between {PORTS.start} and {PORTS.stop}")


def reserve_port(port: int) -> bool:
    """Reserve this very port, perhaps once more; False when somebody listens on it or another process has it."""
    return _reserve(port, again=True)


def _reserve(port: int, *, again: bool) -> bool:
    return _reservations.take(port, again=again) and port_free(port)


def port_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now; reservations are not asked."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections on this port. Raises OSError when not."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def listens(pid: int, port: int) -> bool:
    """Whether this very process, or a child of it, listens on the port: another one may answer there."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:  # it has just ended: whoever waits for it says so
        return False
    found = []
    for member in family:
        with contextlib.suppress(psutil.Error):  # a child that has just ended listens no more
            found += member.net_connections(kind="tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
