"""What a command writes for people is whole under its name, or what was there before."""

import re
from pathlib import Path
from typing import Any

import pytest

from shared.cli import riders
from shared.cli.client import CliError
from shared.cli.whole_files import FOR_THE_OWNER, whole_bytes, whole_text
from shared.devtools.gen.files import ROOT

PAGE = {
    "items": [{"rider_id": "r", "number": "n", "erased_at": "t", "heard_at": "t", "done_at": "t"}], "next": "r",
}  # fmt: skip
# drafts of the same, records of running processes, files in folders of their own that something else makes valid
ELSEWHERE = {
    "shared/cli/whole_files.py", "shared/cli/map_projections.py", "shared/cli/reports.py",
    "shared/cli/backup/taking.py", "shared/cli/backup/tables.py", "shared/cli/backup/photos.py",
    "shared/devtools/replicas.py", "shared/devtools/compat.py",
}  # fmt: skip
NOT_FOR_OPERATORS = tuple(
    f"shared/devtools/{name}" for name in ("infra", "kube_check", "gen", "containers/check", "releases")
)
WRITES = re.compile(r"write_text\(|write_bytes\(|O_TRUNC|open\([^)]*\"[wax]b?\"")


def broken_off() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("before", [None, "yesterday's"])
def test_a_file_that_is_broken_off_leaves_what_was_there(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / "list.csv"
    if before is not None:
        file.write_text(before)
    with pytest.raises(KeyboardInterrupt), whole_text(file) as target:
        target.write("half of it")
        target.flush()
        broken_off()
    with pytest.raises(KeyboardInterrupt), whole_bytes(file) as bytes_target:
        bytes_target.write(b"half of it")
        broken_off()
    assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else ["list.csv"])
    assert before is None or file.read_text() == before


def test_a_folder_that_is_away_is_named_by_the_file_that_was_wanted(tmp_path: Path) -> None:
    file = tmp_path / "away" / "list.csv"
    with pytest.raises(FileNotFoundError, match=str(file)), whole_text(file):
        pass


def test_a_whole_one_takes_its_name_and_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "made" / "secret.json"
    file.parent.mkdir()
    with whole_text(file, mode=FOR_THE_OWNER) as target:
        target.write("全部\r\n")
        assert not file.exists()
        [draft] = file.parent.iterdir()
        assert draft.stat().st_mode & 0o077 == 0
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == ("全部\r\n".encode(), 0o600)
    with whole_bytes(file) as more:
        more.write(b"\xff")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"\xff", 0o644)


class Away:
    """The suite gives a page and is gone."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, _path: str, **_more: Any) -> dict[str, Any]:
        self.asked += 1
        if self.asked > 1:
            raise CliError("没有应答 / No answer", "away")
        return PAGE


def test_a_list_of_erased_riders_is_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore with half of it would bring the others back."""
    monkeypatch.setattr(riders, "connect", Away)
    file = tmp_path / "erased.csv"
    file.write_text("the hour before")
    with pytest.raises(CliError):
        riders.export_erased(file)
    assert file.read_text() == "the hour before"
    assert [one.name for one in tmp_path.iterdir()] == ["erased.csv"]


def test_whatever_operators_get_is_written_that_way() -> None:
    files = [*ROOT.glob("shared/cli/**/*.py"), *ROOT.glob("shared/devtools/**/*.py")]
    names = {str(file.relative_to(ROOT)) for file in files if WRITES.search(file.read_text(encoding="utf-8"))}
    assert {name for name in names if not name.startswith(NOT_FOR_OPERATORS)} - ELSEWHERE == set()
    assert WRITES.search('file.open("w", newline="")') and WRITES.search("os.O_CREAT | os.O_TRUNC")
