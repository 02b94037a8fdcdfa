"""A process that imports once what many have in common, and becomes each of them by a fork.

`python -m shared.devtools.infra.fork_server <package>…` imports what the packages import from elsewhere, and nothing of
theirs: what one of them makes known at its import, such as a metric, would be in all. It says so on the socket that is
its standard input, and forks for each line there: `{"number", "job"}` → `{"number", "pid"}`. The child is what `python
-m <module>` would be: a session, a working directory, an environment and a log of its own, ended by the kernel with its
parent. When it ends, `{"pid", "code"}` follows. The end of the socket ends all.
"""

import ast
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.devtools.infra.launch import PR_SET_PDEATHSIG

STANDARD_INPUT = 0


@dataclass(frozen=True)
class Job:
    """What a child is to become. `log`: where its words go, at the end; `env`: its whole environment."""

    module: str
    home: str
    log: str
    env: dict[str, str]


class ForkServer:
    """One thread and no other: a child has only the thread that forked it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._woken, self._wake = os.pipe()
        self._unread = b""

    def serve(self) -> Job | None:
        """Fork until nobody asks any more: then None. In each child it returns what that is to become."""
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
                if self._control in ready:
                    part = self._control.recv(65536)
                    if not part:
                        return None
                    *lines, self._unread = (self._unread + part).split(b"\n")
                    for line in lines:
                        if (job := self._fork(json.loads(line))) is not None:
                            return job

    def say(self, **words: object) -> None:
        """One line to whoever asks."""
        self._control.sendall(json.dumps(words).encode() + b"\n")

    def _fork(self, request: dict[str, Any]) -> Job | None:
        pid = os.fork()
        if pid:
            self.say(number=request["number"], pid=pid)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)  # the parent died before the kernel was asked
        for number in (self._woken, self._wake):
            os.close(number)
        self._control.close()
        return Job(**request["job"])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.say(pid=pid, code=os.waitstatus_to_exitcode(status))


def become(job: Job) -> None:
    """Be the module, as if this process had been started for it; returns or raises as the module does."""
    os.chdir(job.home)
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number, wanted in ((0, nothing), (1, log), (2, log)):
        os.dup2(number if wanted == number else wanted, number)
    for number in {nothing, log} - {0, 1, 2}:
        os.close(number)
    os.environ.clear()
    os.environ.update(job.env)
    sys.path[0] = job.home
    show_as([sys.executable, "-m", job.module])
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)


def show_as(words: Sequence[str]) -> None:
    """Let `ps` and `top` show these words: they read the memory in which the kernel has laid the arguments."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc_pid_stat(5)
    text = b"\0".join(word.encode() for word in words)[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


def imported_by(packages: Sequence[str]) -> set[str]:
    """The modules that these packages import when they are loaded, without any below the same roof as they."""
    found = set[str]()
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for file in Path(folder).rglob("*.py"):
                for node in ast.parse(file.read_bytes()).body:
                    if isinstance(node, ast.Import):
                        found.update(alias.name for alias in node.names)
                    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        found.add(node.module)
    roofs = {package.partition(".")[0] for package in packages}
    return {module for module in found if module.partition(".")[0] not in roofs}


def main(packages: Sequence[str]) -> None:
    """Import, say so, fork; in a child: become the module."""
    server = ForkServer(socket.socket(fileno=os.dup(STANDARD_INPUT)))
    gc.disable()  # what is imported stays: looking through it again and again takes an eighth of the time
    for module in sorted(imported_by(packages)):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would write to every object, and so copy what all share
    gc.enable()
    server.say(ready=True)
    job = server.serve()
    if job is not None:
        become(job)


if __name__ == "__main__":
    main(sys.argv[1:])
