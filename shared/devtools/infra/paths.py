"""Where infrastructure keeps what it can make again (cache) and what must survive (state)."""

import contextlib
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
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


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills under another name first: whoever finds it finds it whole."""
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix="beegrid-draft-", dir=target.parent))
        try:
            make(draft)
            with contextlib.suppress(OSError):  # another launcher was quicker: its copy is as good
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


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


def log_and_access(server: str, run: Path, state: Path | None, ports: int) -> tuple[Path, Access]:
    """Where a server logs, and its access: of this run, or of `state`, where both stay."""
    if state is None:
        return run / f"{server}.log", load_access(None, ports)
    (state / "logs").mkdir(parents=True, exist_ok=True)
    return state / "logs" / f"{server}.log", load_access(state / f"{server}.json", ports)
