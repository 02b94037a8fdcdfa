"""What decides which processes and folders a clean-up may touch."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.devtools.infra import records
from shared.devtools.infra.records import ProcessRecord, RunRecord

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "_temp_base", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    home = tmp_path / "home"
    home.mkdir()
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], cwd=home, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def note(
    child: subprocess.Popen[bytes], home: Path, mark: str | None = None, program: str = "no-such"
) -> ProcessRecord:
    given = mark if mark is not None else records.start_mark(child.pid) or ""
    return ProcessRecord("sleeper", child.pid, given, program, str(home), signal.SIGTERM, 0.5)


def test_start_mark_is_stable_and_missing_for_the_dead(sleeper: subprocess.Popen[bytes]) -> None:
    first = records.start_mark(sleeper.pid)
    assert first is not None
    assert records.start_mark(sleeper.pid) == first
    sleeper.kill()
    sleeper.wait()
    assert records.start_mark(sleeper.pid) is None


def test_a_zombie_counts_as_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert records.start_mark(child.pid) is None


def test_a_recorded_process_is_ended(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    records.end_processes([note(sleeper, tmp_path / "elsewhere")])
    assert sleeper.wait(timeout=5) == -signal.SIGTERM


def test_a_reused_pid_is_never_touched(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    records.end_processes([note(sleeper, tmp_path / "elsewhere", mark="another boot:1")])
    assert sleeper.poll() is None


def test_an_orphan_in_the_home_folder_is_found_by_program(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    name = Path(f"/proc/{sleeper.pid}/comm").read_text().strip() if records.LINUX else Path(sys.executable).name
    other = note(sleeper, tmp_path / "home", mark="gone", program="postgres")
    assert records.members(other) == []
    mine = note(sleeper, tmp_path / "home", mark="gone", program=name)
    assert [process.pid for process in records.members(mine)] == [sleeper.pid]


def test_a_paused_process_is_ended_too(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    records.end_processes([note(sleeper, tmp_path / "elsewhere")])
    assert sleeper.wait(timeout=5) == -signal.SIGTERM


def test_sweep_cleans_dead_launchers_only(runs: Path, sleeper: subprocess.Popen[bytes]) -> None:
    living, _ = records.create_run()
    dead, record = records.create_run()
    extra = runs / "extra"
    extra.mkdir()
    stale = RunRecord(1, "another boot:1", [note(sleeper, runs / "elsewhere")], [*record.folders, str(extra)])
    records.write_record(dead, stale)
    assert records.sweep() == [dead.name]
    assert living.is_dir()
    assert not dead.exists()
    assert not extra.exists()
    assert sleeper.wait(timeout=5) == -signal.SIGTERM


def test_sweep_removes_a_run_that_was_never_finished(runs: Path) -> None:
    root = records.runs_root()
    (root / f"new-{os.getpid()}-a").mkdir()
    (root / "new-999999999-b").mkdir()
    records.sweep()
    assert [folder.name for folder in root.iterdir()] == [f"new-{os.getpid()}-a"]


def test_sweep_removes_what_a_cleaner_has_left_that_was_killed_half_way(runs: Path) -> None:
    root = records.runs_root()
    for pid in (os.getpid(), 999_999_999):
        (root / f"run-{pid}-a" / "postgres" / "data").mkdir(parents=True)
    assert records.sweep() == ["run-999999999-a"]
    assert [folder.name for folder in root.iterdir()] == [f"run-{os.getpid()}-a"]


def test_the_record_goes_last(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, record = records.create_run()
    record.launcher_mark = "another boot:1"
    records.write_record(folder, record)
    (folder / "postgres").mkdir()
    whole = records.shutil.rmtree
    monkeypatch.setattr(records.shutil, "rmtree", lambda *_, **__: None)  # still written to
    records.clean(folder)
    assert records.read_record(folder) is not None
    monkeypatch.setattr(records.shutil, "rmtree", whole)
    assert records.sweep() == [folder.name]
    assert not folder.exists()


def test_a_folder_of_somebody_else_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs / "elsewhere").mkdir()
    (runs / f"beegrid-{os.getuid()}").symlink_to(runs / "elsewhere")
    with pytest.raises(PermissionError):
        records.runs_root()


def test_a_broken_record_is_no_run(runs: Path) -> None:
    folder, _ = records.create_run()
    (folder / records.RECORD).write_text('{"processes": [')
    assert records.read_record(folder) is None
