"""What a launcher leaves on disk about its processes, so that somebody else can clean up after it.

Each run has a folder `<tmp>/beegrid-<uid>/run-<random>` with `record.json`. A process is recognised by pid *and* start
mark, so a pid that the system has given to somebody else is never touched.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from shared.kit import clock

RECORD = "record.json"
LINUX = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class ProcessRecord:
    """One server process. `home` is its working directory, which nobody else uses; `program` its command name."""

    name: str
    pid: int
    mark: str
    program: str
    home: str
    stop_signal: int
    grace_s: float


@dataclass
class RunRecord:
    """One launcher and all it has started. `folders` are removed at the end; persistent data is never listed."""

    launcher_pid: int
    launcher_mark: str
    processes: list[ProcessRecord] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def start_mark(pid: int) -> str | None:
    """Text that is equal only for the same process, None when there is no such process (a zombie counts as none)."""
    try:
        if LINUX:
            # In ticks since boot: unlike seconds since 1970 it doesn't move when the clock is set.
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if after_name[0] in "ZX":
                return None
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot}:{after_name[19]}"
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.3f}"
    except (OSError, psutil.Error):
        return None


def runs_root() -> Path:
    """The folder that holds all runs of this user; created when missing.

    Raises PermissionError when the folder belongs to somebody else.
    """
    root = _temp_base() / f"beegrid-{os.getuid()}"
    root.mkdir(mode=0o711, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to another user; remove it or set TMPDIR")
    return root


def _temp_base() -> Path:
    base = Path(tempfile.gettempdir())
    # Postgres runs as nobody when we are root: a private TMPDIR would lock it out.
    if os.getuid() == 0 and not open_to_all(base):
        return Path("/var/tmp")  # noqa: S108 # runs_root checks the owner
    return base


def open_to_all(path: Path) -> bool:
    """Whether every user may enter this folder and all folders above it."""
    resolved = path.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents))


def create_run() -> tuple[Path, RunRecord]:
    """A new run folder with its record, owned by the calling process."""
    record = RunRecord(os.getpid(), start_mark(os.getpid()) or "")
    # Written before it gets its final name, so that a run folder always has a record.
    fresh = _fresh_folder()
    fresh.chmod(0o711)
    folder = fresh.with_name(fresh.name.replace("new-", "run-", 1))
    record.folders.append(str(folder))
    write_record(fresh, record)
    fresh.rename(folder)
    return folder, record


def _fresh_folder() -> Path:
    while True:
        with contextlib.suppress(FileNotFoundError):  # the last run of others has just taken the root with it
            return Path(tempfile.mkdtemp(prefix=f"new-{os.getpid()}-", dir=runs_root()))


def write_record(folder: Path, record: RunRecord) -> None:
    """Replaces the record of a run atomically."""
    draft = folder / f"{RECORD}.new"
    draft.write_text(json.dumps(asdict(record)))
    draft.replace(folder / RECORD)


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run, None when the run has ended."""
    try:
        data = json.loads((folder / RECORD).read_text())
        processes = [ProcessRecord(**item) for item in data.pop("processes")]
        return RunRecord(processes=processes, **data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def members(record: ProcessRecord) -> list[psutil.Process]:
    """The living processes of one server: the recorded one, its descendants, and orphans that still work in its folder.

    Postgres gives each of its children a process group of its own, so a group signal reaches only the first process.
    """
    found: dict[int, psutil.Process] = {}
    if record.pid and start_mark(record.pid) == record.mark:
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(record.pid)
            for process in (leader, *leader.children(recursive=True)):
                found[process.pid] = process
    for process in psutil.process_iter():
        try:
            if process.name() == record.program and process.pid not in found and _inside(process.cwd(), record.home):
                found[process.pid] = process
        except (psutil.Error, OSError):
            continue
    return [process for process in found.values() if start_mark(process.pid) is not None]


def _inside(folder: str, home: str) -> bool:
    return folder == home or folder.startswith(home + os.sep)


def send(processes: Iterable[psutil.Process], number: int) -> None:
    """Signals those processes that still exist (psutil compares start times before it signals)."""
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            process.send_signal(number)


def end_processes(records: Iterable[ProcessRecord]) -> None:
    """Asks all servers to stop, kills what is left after the longest grace, waits at most 5 s more for their end."""
    listed = list(records)
    for record in listed:
        alive = members(record)
        send(alive, signal.SIGCONT)
        leader = [process for process in alive if process.pid == record.pid]
        send(leader or alive, record.stop_signal)
    deadline = clock.monotonic_s() + max((record.grace_s for record in listed), default=0)
    while any(members(record) for record in listed) and clock.monotonic_s() < deadline:
        time.sleep(0.05)
    deadline = clock.monotonic_s() + 5
    while (left := [process for record in listed for process in members(record)]) and clock.monotonic_s() < deadline:
        send(left, signal.SIGKILL)
        time.sleep(0.02)
    for record in listed:
        release_shared_memory(Path(record.home))


def release_shared_memory(home: Path) -> None:
    """Frees the System V segment that a killed Postgres leaves behind; only when nobody is attached to it."""
    try:
        segment = int((home / "postmaster.pid").read_text().splitlines()[6].split()[1])
    except (OSError, IndexError, ValueError):
        return
    if LINUX and _attached(segment) == 0:
        ctypes.CDLL(None).shmctl(segment, 0, None)  # IPC_RMID


def _attached(segment: int) -> int:
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1]) == segment:
            return int(columns[6])
    return -1


def clean(folder: Path) -> None:
    """Ends what the run's record lists and removes its folders. May run twice at the same time."""
    record = read_record(folder)
    if record is None:
        return
    end_processes(record.processes)
    for listed in record.folders:
        if Path(listed) != folder:
            shutil.rmtree(listed, ignore_errors=True)
    _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a run's folder, the record last: what is still written to, or locked, is found by the next sweep."""
    deadline = clock.monotonic_s() + 2
    while folder.exists() and clock.monotonic_s() < deadline:
        with contextlib.suppress(OSError):  # another cleaner was faster, or a dying server still writes: look again
            for entry in folder.iterdir():
                if entry.name == RECORD:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
            if [entry.name for entry in folder.iterdir()] in ([], [RECORD]):
                shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(0.05)
    with contextlib.suppress(OSError):  # others' runs are in it
        folder.parent.rmdir()


def sweep() -> list[str]:
    """Cleans every run of this user whose launcher no longer lives; returns the names of the cleaned runs."""
    cleaned = []
    for folder in runs_root().glob("run-*"):
        record = read_record(folder)
        if record is not None and start_mark(record.launcher_pid) != record.launcher_mark:
            clean(folder)
            cleaned.append(folder.name)
        elif record is None and not psutil.pid_exists(int(folder.name.split("-")[1])):
            _remove(folder)  # a cleaner was killed half-way
            cleaned.append(folder.name)
    for folder in runs_root().glob("new-*"):
        if not psutil.pid_exists(int(folder.name.split("-")[1])):
            shutil.rmtree(folder, ignore_errors=True)
    return cleaned
