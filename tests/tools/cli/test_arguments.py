"""Arguments that are no UTF-8: each command says so in words."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.cli import arguments, main
from shared.devtools.gen.files import ROOT

ODD = os.fsdecode(b"caf\xe9-\xff.csv")


def commands(of: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command as it is typed."""
    inner = getattr(of, "commands", {})
    for name, one in inner.items():
        yield from commands(one, *path, name)
    if not inner:
        yield path


COMMANDS = list(commands(typer.main.get_command(main.app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_refuses_them_in_words(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ODD).write_text("id\n1\n")
    for given in ([ODD], ["--name", ODD], [f"--reason={ODD}", "1"]):
        monkeypatch.setattr(sys, "argv", ["beegrid", *command, *given])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr().err
        assert ended.value.code == 1
        assert "Not UTF-8" in said and "\\udcff" in said and "rename the file" in said


def test_there_are_commands() -> None:
    assert ("deadletters", "replay") in COMMANDS and ("backup",) in COMMANDS and len(COMMANDS) > 20


def test_no_traceback_from_a_folder_of_such_a_name(tmp_path: Path) -> None:
    """The bytes as a shell gives them, to the program as it is installed; and what names the folder is shown."""
    folder = tmp_path / ODD
    (folder / ".beegrid").mkdir(parents=True)
    (folder / ".beegrid" / "suite.json").write_text("{")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BEEGRID_")}
    environment |= {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}

    def run(*words: bytes) -> tuple[int, str]:
        line = [os.fsencode(sys.executable), b"-m", b"shared.cli.main", *words]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    for words in ([b"reports", b"replay", b"\xff.csv", b"--company", b"suda"], [b"doctor"]):
        status, said = run(*words)
        assert status == 1
        assert "Traceback" not in said, said
        assert "Not UTF-8" in said or "Not readable" in said, said


ODD_CODES = ("../x", "ＡＢ", "a", "a\x01b", "x/y", "A-b")
NAMING = [
    ("systems", "add", "{}"), ("systems", "password", "{}"), ("companies", "add", "{}"), ("companies", "kafka", "{}"),
    ("companies", "remove", "{}"), ("systems", "remove", "{}"),
    ("companies", "check", "{}"), ("systems", "check", "{}"),
    ("companies", "rotate", "{}"), ("keys", "rotate", "signing", "{}"), ("keys", "end-kafka", "{}", "user"),
    ("reports", "replay", "FILE", "--company", "{}"), ("reports", "export", "FILE", "--company", "{}"),
    ("riders", "erase", "--company", "{}", "--number", "1"), ("loadtest", "--company", "{}"),
]  # fmt: skip


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the program as it is installed: (exit status, what it said). Nothing answers at the suite's address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEEGRID_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("BEEGRID_TOKEN", "t")
    monkeypatch.setattr("shared.cli.client.REFUSED_RETRIES_S", 0.0)
    (tmp_path / "FILE").write_text("id\n1\n")

    def run(*words: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["beegrid", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return run


@pytest.mark.parametrize("words", NAMING, ids=" ".join)
def test_what_is_no_code_is_refused_before_anything_is_asked(words: tuple[str, ...], typed: Any) -> None:
    for odd in ODD_CODES:
        status, said = typed(*(odd if word == "{}" else word for word in words))
        assert status == 1 and "No code" in said, (odd, said)


@pytest.mark.parametrize(
    "words",
    [
        ("areas", "discard", "{}"), ("areas", "activate", "{}"), ("areas", "import", "FILE", "--version", "{}"),
        ("deadletters", "list", "--service", "{}"), ("deadletters", "show", "{}", "1"),
        ("deadletters", "replay", "{}", "1", "--reason", "x"), ("deadletters", "discard", "{}", "1", "--reason", "x"),
        ("outbox", "stuck", "list", "--service", "{}"), ("outbox", "stuck", "retry", "{}", "1", "--reason", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_becomes_a_part_of_an_address_is_checked(words: tuple[str, ...], typed: Any) -> None:
    for odd in ("../x", "a\x01b", "x/y"):
        status, said = typed(*(odd if word == "{}" else word for word in words))
        assert status == 1 and ("No such service" in said or "No version" in said), (odd, said)


def test_a_code_in_full_width_is_taken_in_its_plain_form() -> None:
    assert arguments.code("ｄｉｄｉ-２") == "didi-2"
    assert (arguments.code(""), arguments.code(None)) == ("", None)


def test_an_address_that_is_none_and_a_file_that_can_not_be_written_are_named_in_words(
    typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = typed("riders", "export-erased", "/nodir/x.csv")
    assert status == 1 and "/nodir/x.csv" in said
    monkeypatch.setenv("BEEGRID_URL", "http://a\x01b")
    status, said = typed("companies", "list")
    assert status == 1 and "Not an address" in said
