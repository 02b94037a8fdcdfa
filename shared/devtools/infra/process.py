"""A server process of our own: started, waited for, logged, stopped, and never left behind."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shared.kit import clock

from .errors import InfraError
from .records import ProcessRecord, end_processes, members, send, start_mark
from .watchdog import Guard

LOG_TAIL_LINES = 25
GONE_WITHIN_S = 60.0
"""After SIGKILL: nothing can refuse it, but a machine with far more work than it can do takes its time."""


@dataclass
class ServerSpec:
    """How to run one server. `home` becomes its working directory and must belong to it alone.

    `ready` is asked every 20 to 100 ms until True; what it raises of OSError counts as "not yet".
    """

    name: str
    argv: Sequence[str]
    home: Path
    log: Path
    ready: Callable[[int], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    uid: int = -1
    gid: int = -1
    stop_signal: int = signal.SIGTERM
    grace_s: float = 10.0
    ready_timeout_s: float = 60.0
    stdin: int = subprocess.DEVNULL

    @property
    def program(self) -> str:
        """The command name that the system shows (Linux keeps 15 characters)."""
        return Path(self.argv[0]).name[:15]


class Child(Protocol):
    """Of a Popen, what is used here: some processes are not this one's children."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """The exit status as last polled."""

    def poll(self) -> int | None:
        """The exit status; None while the process lives."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one. Raises subprocess.TimeoutExpired."""


class ManagedProcess:
    """One server under a guard: it dies with its launcher. Not for use by several threads at once."""

    def __init__(self, spec: ServerSpec, guard: Guard) -> None:
        self.spec = spec
        self._guard = guard
        self._child: Child | None = None
        self._ending = False

    @property
    def pid(self) -> int:
        """Process id. Raises InfraError when not started."""
        if self._child is None:
            raise InfraError(f"{self.spec.name} isn't started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (also when paused)."""
        return self._child is not None and self._child.poll() is None

    @property
    def died(self) -> bool:
        """Whether it was started and has ended, and nobody here ended it."""
        child = self._child
        return child is not None and not self._ending and child.poll() is not None

    def obituary(self) -> str:
        """What to say of a process that died: its name, its exit status and the end of its log."""
        code = None if self._child is None else self._child.returncode
        return f"{self.spec.name} has ended with {code}; the end of its log:\n{self.log_tail()}"

    def start(self) -> None:
        """Starts the server and returns when it is ready. Raises InfraError with the log's end otherwise."""
        if self.running:
            raise InfraError(f"{self.spec.name} runs already")
        self._guard.add(self._record(0))
        if self._guard.closed:
            raise InfraError("the infrastructure is being stopped")
        self._child = self._spawned()
        self._guard.add(self._record(self._child.pid))
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Waits until the server answers. Raises InfraError when it exits before, or on timeout."""
        limit_s = self.spec.ready_timeout_s if timeout_s is None else timeout_s
        began_s = clock.monotonic_s()
        reason: OSError | str = "it doesn't say so yet"
        while True:
            if self._guard.closed:
                raise InfraError(f"{self.spec.name}: stopped while starting")
            if not self.running:
                code = None if self._child is None else self._child.returncode
                raise InfraError(f"{self.spec.name} exited with {code} while starting\n{self.log_tail()}")
            try:
                if self.spec.ready(self.pid):
                    return
            except OSError as error:
                reason = error
            waited_s = clock.monotonic_s() - began_s
            if waited_s > limit_s:
                raise InfraError(f"{self.spec.name} isn't ready after {limit_s:.0f} s: {reason}\n{self.log_tail()}")
            time.sleep(min(0.1, 0.02 + waited_s / 20))  # many that are asked at once would wait for the asking

    def stop(self) -> None:
        """Asks the server to stop, kills it after its grace. Does nothing when it isn't running."""
        if self._child is not None:
            self._reap_while(lambda: end_processes([self._record(self.pid)]))

    def kill(self) -> None:
        """SIGKILL to the server and all its children, as a crash would; returns when they are gone, then `start` works.

        Raises InfraError when they aren't gone after GONE_WITHIN_S.
        """
        if self._child is None:
            return
        record = self._record(self.pid)
        deadline = clock.monotonic_s() + GONE_WITHIN_S

        def end() -> None:
            while left := members(record):
                if clock.monotonic_s() > deadline:
                    raise InfraError(f"{record.name} can't be killed: {left}")
                send(left, signal.SIGKILL)
                time.sleep(0.01)

        self._reap_while(end)

    def restart(self) -> None:
        """Orderly stop and start, same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        send(members(self._record(self.pid)), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        send(members(self._record(self.pid)), signal.SIGCONT)

    def forget(self) -> None:
        """Collects the exit status of a process that somebody else has ended."""
        if self._child is not None:
            self._reap_while(lambda: None)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The end of the server's log."""
        try:
            text = self.spec.log.read_text(errors="replace")
        except OSError as error:
            return f"(no log: {error})"
        return f"--- {self.spec.log}\n" + "\n".join(text.splitlines()[-lines:])

    def _spawned(self) -> Child:
        """The process, just begun. Raises InfraError."""
        return _spawn(self.spec)

    def _record(self, pid: int) -> ProcessRecord:
        spec = self.spec
        mark = start_mark(pid) or "" if pid else ""
        home = str(spec.home.resolve())
        return ProcessRecord(spec.name, pid, mark, spec.program, home, spec.stop_signal, spec.grace_s)

    def _reap_while(self, work: Callable[[], None]) -> None:
        """A dead child stays a zombie until we wait for it; `members` doesn't count zombies."""
        self._ending = True
        try:
            work()
        finally:
            if self._child is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=5)
            if not self.running:
                self._child = None
                self._guard.remove(self.spec.name)
            self._ending = False


class _Spawner:
    """One thread that never ends and forks all servers.

    The kernel's "die with your parent" means the parent *thread*: a worker thread that ends would end its servers.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._work: queue.SimpleQueue[tuple[ServerSpec, Future[subprocess.Popen[bytes]]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="infra-spawner", daemon=True).start()

    def spawn(self, spec: ServerSpec) -> subprocess.Popen[bytes]:
        done: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((spec, done))
        return done.result()

    def _run(self) -> None:
        while True:
            spec, done = self._work.get()
            try:
                done.set_result(_popen(spec))
            except OSError as error:
                done.set_exception(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def _spawn(spec: ServerSpec) -> subprocess.Popen[bytes]:
    global _spawner
    with _spawner_lock:
        if _spawner is None or _spawner.owner != os.getpid():  # a forked child has no such thread
            _spawner = _Spawner()
    try:
        return _spawner.spawn(spec)
    except OSError as error:
        raise InfraError(f"{spec.name} can't be started: {error}") from error


def _popen(spec: ServerSpec) -> subprocess.Popen[bytes]:
    launch = Path(__file__).with_name("launch.py")
    words = [os.getpid(), int(spec.stop_signal), spec.uid, spec.gid]
    with spec.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(launch), *(str(word) for word in words), *spec.argv],
            stdin=spec.stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=spec.home,
            env={**os.environ, **spec.env},
            start_new_session=True,
        )
