"""Cleans up after a launcher however it died: it exits only when its launcher has gone and nothing of the run is left.

Holds the reading end of a pipe from the launcher as its standard input; end of file means: the launcher died or closed.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

from . import records

POLL_S = 1.0


class Guard:
    """The launcher's side of one run: its folder, its record, its watchdog. Thread-safe. Close it at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        records.sweep()
        self.folder, self._record = records.create_run()
        self.closed = False
        reading, self._pipe = os.pipe()
        try:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self.folder)],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[3],
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def add(self, record: records.ProcessRecord) -> None:
        """Notes a process before (pid 0) or after its start; replaces an earlier note of the same name."""
        with self._lock:
            self._record.processes = [p for p in self._record.processes if p.name != record.name] + [record]
            self._write()

    def remove(self, name: str) -> None:
        """Forgets a process that has ended."""
        with self._lock:
            self._record.processes = [p for p in self._record.processes if p.name != name]
            self._write()

    def temp_folder(self, name: str, mode: int = 0o700) -> Path:
        """A folder below the run's folder, removed at the end of the run."""
        folder = self.folder / name
        folder.mkdir(mode=mode, exist_ok=True)
        folder.chmod(mode)
        return folder

    def close(self) -> None:
        """Ends what is still noted, removes the folders, lets the watchdog go. May be called twice."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        records.clean(self.folder)
        os.close(self._pipe)
        try:
            self._watchdog.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()
            self._watchdog.wait()

    def _write(self) -> None:
        if not self.closed:
            records.write_record(self.folder, self._record)


def main(folder: Path) -> None:
    """Waits for the launcher's end, then cleans the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    record = records.read_record(folder)
    while record is not None and records.start_mark(record.launcher_pid) == record.launcher_mark:
        # The launcher never writes: readable means end of file. The poll covers a forked child that keeps the pipe.
        if select.select([sys.stdin], [], [], POLL_S)[0]:
            break
    records.clean(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
