"""Words of companies and files on the operator's screen: shown as they are, whatever they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli import areas, companies, operations, outbox
from shared.cli.client import Client
from shared.cli.main import app
from shared.cli.screen import Cells, Screen, shown, visible
from shared.synthetic.city import feature_collection, grids

ODD = ("[/x]", "\x1b[2J", "[red]", "\u202egnp", "x\\", ":bee:", "a\nb", "\x9b2J")


class Played(Client):
    """A suite in which somebody has chosen every word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def get(self, path: str, params: dict[str, str] | None = None, **_: Any) -> Any:
        """Letters, ranges and refused events of one service."""
        word = self.word
        letter = {
            "id": 1, "topic": "inbound.suda.reports.v1", "partition": 0, "offset": 3, "key": word, "status": "rejected",
            "code": "empty", "detail": word, "attempts": 1, "created_at": "2026-11-29T00:00:00", "content": "kept",
        }  # fmt: skip
        if "/riders/" in path and path.endswith("/dead-letters"):
            return [letter] if "after" not in (params or {}) else []
        if path.endswith("/dead-letters/1"):
            return [{**letter, "value": word, "headers": [[word, word]]}]
        if "/riders/" in path and path.endswith("/stuck"):
            stuck = {"events": 1, "tries": 2, "next_try_at": None, "since": "2026-11-29T00:00:00"}
            return [letter | stuck] if "after" not in (params or {}) else []
        return []

    def pages(self, _path: str) -> Sequence[Any]:
        """The companies."""
        return [{"code": "suda", "name": self.word, "active": True, "version": 1}]

    def post(self, _path: str, _body: Any) -> Any:
        """What came of a replay."""
        return [{"topic": "t", "key": self.word, "ids": [1], "done": False, "detail": self.word}]


COMMANDS = {
    "deadletters list": 0,
    "deadletters show riders 1": 0,
    "deadletters replay riders --reason x --all": 0,
    "deadletters replay riders --reason x --all --apply": 1,
    "outbox stuck list": 0,
    "companies list": 0,
}


@pytest.mark.parametrize("word", ODD)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_ends_a_command_or_reaches_the_terminal(
    command: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (operations, outbox, companies):
        monkeypatch.setattr(module, "connect", lambda: Played(word))
        monkeypatch.setattr(module.out, "_width", 250)
    ran = CliRunner().invoke(app, command.split())
    assert ran.exit_code == COMMANDS[command], ran.exception
    assert not {"\x1b", "\x9b", "\u202e"} & set(ran.output)
    # the content of one letter keeps its lines
    assert (word if "show" in command and "\n" in word else visible(word)) in ran.output


def test_a_map_with_any_code_hears_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas.out, "_width", 250)
    found = feature_collection(grids(2))
    for number, word in enumerate(("[/a]", "\x1b[2J")):
        found["features"][number]["properties"]["code"] = word
    found["features"][2]["properties"]["fictional"] = "[/maybe]"
    (tmp_path / "a.geojson").write_text(json.dumps(found))
    ran = CliRunner().invoke(areas.areas_app, ["import", str(tmp_path / "a.geojson"), "--dry-run"])
    assert ran.exit_code == 1 and isinstance(ran.exception, SystemExit), ran.exception
    assert "Invalid" in ran.output and "[/a]" in ran.output and "[/maybe]" in ran.output
    assert "\x1b" not in ran.output


def test_only_what_is_ours_has_a_style(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(width=80)
    screen.print(f"[red]{shown('[bold]x[/red]')}[/red]")
    screen.print("[/none] \x07\u200b\ud800 is shown")
    table = Cells("key")
    table.add_row("[red]k[/red]:bee:")
    screen.print(table)
    out = capsys.readouterr().out
    for line in ("[bold]x[/red]", "[/none] \\x07\\u200b\\ud800 is shown", "[red]k[/red]:bee:"):
        assert line in out
