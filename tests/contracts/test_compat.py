"""The gate against breaking changes lets additions pass and nothing else."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.devtools import compat
from shared.devtools.gen.schemas import FOLDER, schema_of
from shared.events.case_changed import CASE_CHANGED
from shared.events.registry import topics

Schema = dict[str, Any]
Change = Callable[[Schema], object]


def _optional(schema: Schema) -> None:
    schema["properties"]["street"] = {"type": "string", "default": ""}


def _nullable(schema: Schema) -> None:
    schema["$defs"]["Actor"]["properties"]["phone"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}


def _with_format(schema: Schema) -> None:
    schema["properties"]["street_id"] = {"type": "string", "format": "uuid", "pattern": "^[0-9a-f-]+$", "default": ""}


def _words(schema: Schema) -> None:
    schema["properties"]["kind"] |= {"description": "code of the kind", "title": "Sort", "examples": ["part-01001"]}
    schema["description"] = "other words"


FINE: dict[str, Change] = {
    "nothing": lambda schema: None,
    "optional field": _optional,
    "optional field of a part": _nullable,
    "optional field with format": _with_format,
    "words": _words,
}


def _removed_required(schema: Schema) -> None:
    del schema["properties"]["kind"]
    schema["required"].remove("kind")


def _new_required(schema: Schema) -> None:
    schema["properties"]["street"] = {"type": "string"}
    schema["required"].append("street")


def _renamed(schema: Schema) -> None:
    schema["properties"]["remark"] = schema["properties"].pop("note")


BREAKING: dict[str, Change] = {
    "removed field": _removed_required,
    "removed optional field": lambda schema: schema["properties"].pop("note"),
    "renamed field": _renamed,
    "new required field": _new_required,
    "optional becomes required": lambda schema: schema["required"].append("note"),
    "required becomes optional": lambda schema: schema["required"].remove("kind"),
    "type": lambda schema: schema["properties"]["kind"].update(type="integer"),
    "items' type": lambda schema: schema["properties"]["alternatives"]["items"].update(type="integer"),
    "enum narrowed": lambda schema: schema["properties"]["state"]["enum"].remove("returned"),
    "enum widened": lambda schema: schema["properties"]["state"]["enum"].append("lost"),
    "null no longer allowed": lambda schema: schema["properties"].update(department={"type": "string"}),
    "null newly allowed": lambda schema: schema["properties"].update(kind={"type": ["string", "null"]}),
    "narrower range": lambda schema: schema["properties"]["lng"].update(maximum=90),
    "wider range": lambda schema: schema["properties"]["lng"].update(maximum=360),
    "format": lambda schema: schema["properties"]["case_id"].update(format="date-time"),
    "format removed": lambda schema: schema["properties"]["case_id"].pop("format"),
    "format added": lambda schema: schema["properties"]["kind"].update(format="uuid"),
    "pattern of a part": lambda schema: schema["$defs"]["CaseReport"]["properties"]["company"].update(pattern="^x$"),
    "default": lambda schema: schema["properties"]["note"].update(default="–"),
    "field of a part": lambda schema: schema["$defs"]["Actor"]["properties"].pop("name"),
    "object closed": lambda schema: schema.update(additionalProperties=False),
    "partition key": lambda schema: schema.update({"x-partition-key": "grid_code"}),
}


def changed(change: Change) -> tuple[Schema, Schema]:
    """The real schema of a busy topic, and a copy with the change."""
    old = schema_of(CASE_CHANGED)
    new = copy.deepcopy(old)
    change(new)
    return old, new


@pytest.mark.parametrize("name", FINE)
def test_an_addition_passes(name: str) -> None:
    assert compat.problems_of(*changed(FINE[name])) == []


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_named(name: str) -> None:
    assert compat.problems_of(*changed(BREAKING[name])) != []


@pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)
def test_every_topic_can_grow_and_cannot_lose(topic: Any) -> None:
    schema = schema_of(topic)
    grown = copy.deepcopy(schema)
    grown["properties"]["new_word"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert compat.problems_of(schema, grown) == []
    for name in schema["properties"]:
        shrunk = copy.deepcopy(schema)
        del shrunk["properties"][name]
        if name in shrunk.get("required", []):
            shrunk["required"].remove(name)
        assert compat.problems_of(schema, shrunk) != [], name


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose main branch has one schema, and a checked-out branch."""
    monkeypatch.delenv("BEEGRID_COMPAT_BASE", raising=False)  # of the tree that is tested
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "cases.case-changed.v1.json").write_text(json.dumps(schema_of(CASE_CHANGED)))
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "start")
    git(tmp_path, "checkout", "--quiet", "-b", "work")
    return tmp_path


def save(root: Path, schema: Schema, name: str = "cases.case-changed.v1") -> None:
    (root / FOLDER / f"{name}.json").write_text(json.dumps(schema))


def test_against_main(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compat.main(["--root", str(repository)]) == 0
    save(repository, changed(_optional)[1])
    save(repository, changed(_removed_required)[1], "new.topic.v1")
    assert compat.main(["--root", str(repository)]) == 0
    save(repository, changed(_new_required)[1])
    assert compat.main(["--root", str(repository)]) == 1
    assert "/properties/street" in capsys.readouterr().out


def test_a_committed_change_is_still_compared_with_main(repository: Path) -> None:
    save(repository, changed(_new_required)[1])
    git(repository, "commit", "--quiet", "-am", "break it")
    assert compat.main(["--root", str(repository)]) == 1


def test_on_main_the_last_commit_counts(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "main")
    save(repository, changed(_removed_required)[1])
    assert compat.main(["--root", str(repository)]) == 1
    git(repository, "commit", "--quiet", "-am", "break it")
    assert compat.main(["--root", str(repository)]) == 1
    assert compat.main(["--root", str(repository), "--base", "HEAD"]) == 0


def test_a_topic_that_is_gone(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / FOLDER / "cases.case-changed.v1.json").unlink()
    assert compat.main(["--root", str(repository)]) == 1
    assert "the topic is gone" in capsys.readouterr().out


def test_an_unknown_base_is_no_success(repository: Path) -> None:
    assert compat.main(["--root", str(repository), "--base", "nowhere"]) == 2


def test_a_contract_renewed_on_purpose_may_change_once(repository: Path) -> None:
    topic = "cases.case-changed.v1"
    save(repository, changed(_new_required)[1])
    assert compat.main(["--root", str(repository)]) == 1
    assert compat.main(["--root", str(repository), "--renew", topic]) == 0
    assert compat.main(["--root", str(repository)]) == 0
    save(repository, changed(_removed_required)[1])
    assert compat.main(["--root", str(repository)]) == 1
