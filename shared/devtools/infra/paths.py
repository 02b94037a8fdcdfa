"""Where infrastructure keeps what it can make again (cache) and what must survive (state)."""

import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from .ports import free_port, reserve_port

log = logging.getLogger(__name__)


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/beegrid/<name>` (default ~/.cache), created when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "beegrid" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Access:
    """Ports and password of one server, kept in its state folder so that a restart answers at the same address."""

    ports: list[int]
    password: str


def load_access(file: Path | None, ports: int) -> Access:
    """Ports and password from the file, or new ones (written to the file when one is given).

    All are reserved for this process. A kept port that somebody else has taken meanwhile is replaced with a warning.
    """
    if file is None or not file.exists():
        access = Access([], secrets.token_hex(16))
    else:
        access = Access(**json.loads(file.read_text()))
    for index in range(ports):
        if index == len(access.ports):
            access.ports.append(free_port())
        elif not reserve_port(access.ports[index]):
            log.warning("port %d is taken, using another one", access.ports[index])
            access.ports[index] = free_port()
    if file is not None:
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(access)))
    return access
