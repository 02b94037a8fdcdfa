"""However a launcher ends, no process, port or temporary folder of it stays."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shared.devtools.infra import records
from shared.devtools.infra.ports import port_free
from shared.devtools.infra.suite import start_infra
from shared.devtools.infra.watchdog import Guard
from tests.support import wait_until

ROOT = Path(__file__).parents[3]
# Prints the run's folder and what runs in it, then waits for its end.
# Whoever runs the tests in the background has let SIGINT be ignored, and children inherit that.
LAUNCHER = """
import json, signal, sys, time
from shared.devtools.infra.suite import start_infra
signal.signal(signal.SIGINT, signal.default_int_handler)
with start_infra(want=sys.argv[1].split(",")) as infra:
    servers = [server for server in (infra.postgres, infra.kafka, infra.valkey) if server]
    facts = {"folder": str(infra.guard.folder), "pids": [s.pid for s in servers], "ports": [s.port for s in servers]}
    print(json.dumps(facts | {"watchdog": infra.guard._watchdog.pid}), flush=True)
    time.sleep(120)
"""


class Launched:
    def __init__(self, want: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BEEGRID_")}
        words = [sys.executable, "-c", LAUNCHER, want]
        self.launcher = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.launcher.stdout is not None
        facts = json.loads(self.launcher.stdout.readline())
        self.launcher.stdout.close()
        self.folder = Path(facts["folder"])
        self.pids: list[int] = facts["pids"]
        self.ports: list[int] = facts["ports"]
        self.watchdog: int = facts["watchdog"]
        for pid in self.pids[:]:
            self.pids += [child.pid for child in psutil.Process(pid).children(recursive=True)]

    def left(self) -> list[object]:
        alive = [pid for pid in self.pids if records.start_mark(pid) is not None]
        used = [port for port in self.ports if not port_free(port)]
        return [*alive, *used, *([self.folder] if self.folder.exists() else [])]


@pytest.mark.parametrize(
    ("number", "want"),
    [
        (signal.SIGKILL, "postgres,kafka,valkey"),
        (signal.SIGINT, "postgres,valkey"),
        (signal.SIGTERM, "postgres,valkey"),
    ],
)
def test_a_launcher_that_ends_leaves_nothing(number: signal.Signals, want: str) -> None:
    run = Launched(want)
    assert run.left()
    run.launcher.send_signal(number)
    run.launcher.wait(timeout=20)
    wait_until(lambda: not run.left(), run.left)
    wait_until(lambda: records.start_mark(run.watchdog) is None, "the watchdog has ended")


def test_paused_servers_of_a_killed_launcher_end_too() -> None:
    run = Launched("postgres,valkey")
    for pid in run.pids:
        os.kill(pid, signal.SIGSTOP)
    run.launcher.kill()
    run.launcher.wait()
    wait_until(lambda: not run.left(), run.left)


def test_the_next_start_cleans_up_when_even_the_watchdog_was_killed() -> None:
    run = Launched("postgres,valkey")
    os.kill(run.watchdog, signal.SIGKILL)
    wait_until(lambda: records.start_mark(run.watchdog) is None, "the watchdog has ended")
    run.launcher.kill()
    run.launcher.wait()
    assert run.folder.exists()
    guard = Guard()
    try:
        assert not run.left()
    finally:
        guard.close()


def test_close_ends_everything_and_may_be_repeated() -> None:
    infra = start_infra(want={"postgres", "valkey"})
    assert infra.guard is not None
    assert infra.postgres is not None
    folder, pid, port = infra.guard.folder, infra.postgres.pid, infra.postgres.port
    infra.close()
    infra.close()
    assert not folder.exists()
    assert records.start_mark(pid) is None
    assert port_free(port)
    assert not infra.postgres.running


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    mine = f"run-{os.getpid()}-*"
    before = set(records.runs_root().glob(mine))
    with pytest.raises(RuntimeError, match="no_such_setting"):
        start_infra(want={"postgres", "valkey"}, postgres_settings={"no_such_setting": "1"})
    assert set(records.runs_root().glob(mine)) <= before


def test_the_last_run_takes_the_folder_of_all_runs_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_temp_base", lambda: tmp_path)
    (first, _), (last, _) = records.create_run(), records.create_run()
    records.clean(first)
    assert last.exists()
    records.clean(last)
    assert list(tmp_path.iterdir()) == []
    third, _ = records.create_run()
    records.clean(third)
    assert list(tmp_path.iterdir()) == []
