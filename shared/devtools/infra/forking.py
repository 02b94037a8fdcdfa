"""Processes forked from one that has imported everything: eight services start in the time of two, and share memory.

Only on Linux, and only where nothing of a process must be set before its interpreter starts; elsewhere, and while the
parent isn't there, each is started by itself, as `process.py` does it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path

from .errors import InfraError
from .process import Child, ManagedProcess, ServerSpec
from .records import start_mark
from .watchdog import Guard

ANSWER_S = 10.0
# Read when an interpreter, a library or the clock is loaded: a child would have its parent's.
AT_LOADING = ("LD_", "PYTHONHASHSEED", "PYTHONTRACEMALLOC", "MALLOC_", "BEEGRID_CLOCK_OFFSET_S")


class Forked:
    """A child of the fork server, with the four names of a Popen that we use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._mark = start_mark(pid)
        self._orphaned = False
        self._ended = threading.Event()

    def ended(self, code: int) -> None:
        """Its parent has collected its exit status."""
        self.returncode = code
        self._ended.set()

    def orphaned(self) -> None:
        """Its parent has died: the kernel asks it to end, and nobody learns its exit status."""
        self._orphaned = True

    def poll(self) -> int | None:
        """Its exit status; None while it lives."""
        if self._orphaned and self.returncode is None and start_mark(self.pid) != self._mark:
            self.ended(-signal.SIGTERM)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, when it has one. Raises subprocess.TimeoutExpired."""
        step_s, left_s = 0.05, timeout
        while self.poll() is None:
            if left_s is not None and left_s <= 0:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            self._ended.wait(step_s if left_s is None else min(step_s, left_s))
            left_s = None if left_s is None else left_s - step_s
        assert self.returncode is not None
        return self.returncode


class Forking(ManagedProcess):
    """The fork server as its launcher sees it. `packages`: what a child may become; it imports what those import."""

    def __init__(self, guard: Guard, log: Path, packages: Sequence[str], root: Path, name: str = "fork-server") -> None:
        environment = {
            "PYTHONPATH": str(root),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "OPENBLAS_NUM_THREADS": "1",  # numpy's library would start threads, and a fork has only one
        }
        spec = ServerSpec(
            name=name,
            argv=[sys.executable, "-m", f"{__package__}.fork_server", *packages],
            home=guard.temp_folder(name),
            log=log,
            ready=lambda _pid: self._imported,
            env=environment,
            grace_s=2.0,
        )
        super().__init__(spec, guard)
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._life = _Life(None)

    @property
    def _imported(self) -> bool:
        return self._life.imported

    def module_of(self, spec: ServerSpec) -> str | None:
        """The module as which a child could be this process; None: it must be started by itself."""
        argv = list(spec.argv)
        if not (self._imported and self.running) or argv[:2] != [sys.executable, "-m"] or argv[2:] == []:
            return None
        if len(argv) > 3 or argv[2] not in self.spec.argv[3:] or spec.uid >= 0 or spec.gid >= 0:
            return None
        whole = {**os.environ, **spec.env}
        here = {**os.environ, **self.spec.env}
        differing = {name for name in whole if name.startswith(AT_LOADING) and whole[name] != here.get(name)}
        return None if differing else argv[2]

    def fork(self, spec: ServerSpec, module: str) -> Child:
        """Fork a child that becomes this module. Raises InfraError when the fork server has died or doesn't answer."""
        home, log = str(spec.home.resolve()), str(spec.log.resolve())
        job = {"module": module, "home": home, "log": log, "env": {**os.environ, **spec.env}}
        life, number, answer = self._life, next(self._numbers), Future[Forked]()
        life.asked[number] = answer
        try:
            with self._lock:
                life.ask(number, job)
            return answer.result(ANSWER_S)
        except (OSError, TimeoutError, EOFError) as error:
            life.asked.pop(number, None)
            raise InfraError(f"{spec.name} can't be forked: {error!r}\n{self.log_tail()}") from error

    def _spawned(self) -> Child:
        ours, theirs = socket.socketpair()
        self.spec.stdin = theirs.fileno()
        try:
            child = super()._spawned()
        except InfraError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._life = _Life(ours)
        threading.Thread(target=self._life.listen, name="fork-server", daemon=True).start()
        return child


class _Life:
    """From one start of the fork server to its end: what was asked of it, and its children."""

    def __init__(self, control: socket.socket | None) -> None:
        self.imported = False
        self.asked: dict[int, Future[Forked]] = {}
        self._control = control
        self._children: dict[int, Forked] = {}

    def ask(self, number: int, job: object) -> None:
        """Ask for a child. Raises OSError."""
        if self._control is None:
            raise ConnectionError("the fork server isn't started")
        self._control.sendall(json.dumps({"number": number, "job": job}).encode() + b"\n")

    def listen(self) -> None:
        """Take what it says, to its end."""
        assert self._control is not None
        with self._control, contextlib.suppress(OSError), self._control.makefile("rb") as lines:
            for line in lines:
                self._take(json.loads(line))
        for child in list(self._children.values()):
            child.orphaned()
        for answer in list(self.asked.values()):
            answer.set_exception(EOFError("the fork server has ended"))

    def _take(self, words: dict[str, int]) -> None:
        if "code" in words:
            self._children.pop(words["pid"]).ended(words["code"])
        elif "pid" in words:
            self._children[words["pid"]] = child = Forked(words["pid"])
            if (answer := self.asked.pop(words["number"], None)) is not None:
                answer.set_result(child)
            else:  # nobody waits for it any more
                os.kill(child.pid, signal.SIGKILL)
        else:
            self.imported = True
