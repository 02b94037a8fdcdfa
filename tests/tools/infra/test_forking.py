"""A forked process is what the same process would be that was started by itself, and ends as that one would."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.forking import Forking
from shared.devtools.infra.process import Child, ManagedProcess, ServerSpec
from shared.devtools.infra.records import start_mark
from shared.devtools.infra.watchdog import Guard
from tests.support import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="services are forked on Linux only")

# Of a service: __main__ runs what the module beside it has imported. It says who it is, then waits to be ended.
APP = "import random, shared.kit.ids\nfrom other_roof.kept import SEEN\nSEEN.append(__name__)\n"
MAIN = """
import os, random, sys, time
from stand_in.app import shared
print("settings", os.environ["STAND_IN"], os.environ.get("GONE"), os.getcwd(), sys.argv[0].endswith("__main__.py"))
print("chance", random.random(), shared.kit.ids.new_id())
print("session", os.getsid(0) == os.getpid(), sys.stdin.read() == "", len(os.listdir("/proc/self/fd")) < 7)
from other_roof.kept import SEEN
print("seen", *SEEN, "another" in sys.modules)
print(__name__, "is ready")
if os.environ["STAND_IN"] == "fails":
    raise SystemExit(78)
if os.environ["STAND_IN"] == "breaks":
    raise ValueError("of its own")
time.sleep(600)
"""


class Forked(ManagedProcess):
    """A process that is forked."""

    forking: Forking

    def _spawned(self) -> Child:
        module = self.forking.module_of(self.spec)
        assert module is not None
        return self.forking.fork(self.spec, module)


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made.close()


@pytest.fixture
def forking(guard: Guard, tmp_path: Path) -> Iterator[Forking]:
    """A fork server that has imported one module."""
    package = tmp_path / "code" / "stand_in"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("app", APP), ("__main__", MAIN)):
        (package / f"{name}.py").write_text(text)
    other, roof = tmp_path / "code" / "another", tmp_path / "code" / "other_roof"
    for folder, files in ((other, {"__init__": "", "app": APP}), (roof, {"__init__": "", "kept": "SEEN = []\n"})):
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
    root = Path(__file__).parents[2]
    made = Forking(guard, tmp_path / "fork-server.log", ["stand_in", "another"], root)
    made.spec.env = {**made.spec.env, "PYTHONPATH": f"{root}:{tmp_path / 'code'}", "GONE": "of the parent alone"}
    made.start()
    yield made
    made.stop()


def child(forking: Forking, guard: Guard, folder: Path, wish: str = "stays", name: str = "one") -> Forked:
    """One that is not yet started."""
    log = folder / f"{name}.log"
    home = guard.temp_folder(name)
    argv = [sys.executable, "-m", "stand_in"]
    made = Forked(
        ServerSpec(name, argv, home, log, lambda _: "is ready" in log.read_text(), {"STAND_IN": wish}, grace_s=5), guard
    )
    made.forking = forking
    return made


def words(process: ManagedProcess) -> dict[str, str]:
    """What it has said."""
    return dict(line.split(" ", 1) for line in process.spec.log.read_text().splitlines())


def test_it_has_surroundings_of_its_own_and_no_chance_in_common(forking: Forking, guard: Guard, tmp_path: Path) -> None:
    both = [child(forking, guard, tmp_path, name=name) for name in ("one", "two")]
    for process in both:
        process.start()
        assert words(process)["settings"] == f"stays None {process.spec.home} True"
        assert words(process)["session"] == "True True True"
        assert words(process)["seen"] == "stand_in.app False", "what another package does at its import is not here"
        assert words(process)["__main__"] == "is ready"
        running = psutil.Process(process.pid)
        assert [word for word in running.cmdline() if word] == process.spec.argv
        assert running.num_threads() == 1
    assert words(both[0])["chance"].split()[0] != words(both[1])["chance"].split()[0]
    assert words(both[0])["chance"].split()[1] != words(both[1])["chance"].split()[1]
    both[0].stop()
    assert not both[0].running and both[1].running
    both[0].start()
    both[1].stop()


@pytest.mark.parametrize(("wish", "code", "says"), [("fails", 78, "is ready"), ("breaks", 1, "ValueError: of its own")])
def test_its_exit_status_and_its_last_words_are_its_own(
    forking: Forking, guard: Guard, tmp_path: Path, wish: str, code: int, says: str
) -> None:
    process = child(forking, guard, tmp_path, wish)
    process.spec.ready = lambda _pid: False
    with pytest.raises(InfraError, match=f"(?s)exited with {code} while starting.*{says}"):
        process.start()


def test_one_that_is_killed_has_died_and_starts_again(forking: Forking, guard: Guard, tmp_path: Path) -> None:
    process = child(forking, guard, tmp_path)
    process.start()
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: process.died)
    assert "has ended with -9" in process.obituary()
    process.start()
    process.kill()
    assert not process.died and not process.running


def test_they_end_with_the_fork_server_and_start_again_from_a_new_one(
    forking: Forking, guard: Guard, tmp_path: Path
) -> None:
    process = child(forking, guard, tmp_path)
    process.start()
    pid, mark = process.pid, start_mark(process.pid)
    os.kill(forking.pid, signal.SIGKILL)
    wait_until(lambda: forking.died and process.died)
    assert start_mark(pid) != mark
    assert f"has ended with {-signal.SIGTERM}" in process.obituary()
    assert forking.module_of(process.spec) is None, "a dead one forks nothing: each is started by itself"
    forking.start()
    process.start()
    process.stop()


def test_what_must_be_set_before_an_interpreter_starts_is_not_forked(
    forking: Forking, guard: Guard, tmp_path: Path
) -> None:
    spec = child(forking, guard, tmp_path).spec
    assert forking.module_of(spec) == "stand_in"
    spec.env = {**spec.env, "BEEGRID_CLOCK_OFFSET_S": "3600"}
    assert forking.module_of(spec) is None
    spec.env, spec.argv = {}, [sys.executable, "-m", "stand_in", "with an argument"]
    assert forking.module_of(spec) is None
    spec.argv = [sys.executable, "-m", "something_else"]
    assert forking.module_of(spec) is None
