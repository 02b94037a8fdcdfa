"""Problems are data beside their service: the list of them is whole, each is used, and clients find its page."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.devtools.gen import problems_doc
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.modules import service_module
from shared.devtools.kube import routes
from shared.kit import problems as kit
from shared.kit.refusals import Problem
from shared.provision.services import service_names


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    """The page's data, as it would be generated now."""
    return {one["code"]: one for one in json.loads(problems_doc.generate(ROOT).files[problems_doc.DATA])}


@pytest.mark.parametrize(
    ("code", "status", "services"),
    [
        ("unknown_rider", 409, ["intake"]),
        ("malformed_json", 400, []),
        ("not_a_draft", 409, ["routing"]),
        ("company_suspended", 403, ["intake", "notifications", "riders", "tracking"]),
        ("company_missing", 422, ["notifications", "tracking"]),
        ("other_worker", 409, ["cases"]),
        ("sold_out", 409, ["rewards"]),
        ("photo_damaged", 422, ["intake"]),
        ("voucher_used", 409, ["rewards"]),
        ("grid_missing", 422, ["cases"]),
        ("signature_expired", 401, ["intake", "notifications", "riders", "tracking"]),
        ("token_expired", 401, []),
        ("busy", 503, []),
        ("rate_limited", 429, []),
        ("content_too_large", 413, []),
        ("idempotency_unfinished", 409, ["notifications", "rewards", "riders"]),
        ("validation_failed", 422, []),
    ],
)
def test_known_codes_are_listed(listed: dict[str, dict[str, Any]], code: str, status: int, services: list[str]) -> None:
    one = listed[code]
    assert one["status"] == status
    assert set(services) <= {service["name"] for service in one["services"]}
    assert all(one[part]["zh"] and one[part]["en"] for part in ("title", "meaning", "next"))


def test_the_table_lists_the_same(listed: dict[str, dict[str, Any]]) -> None:
    tables = problems_doc.generate(ROOT).files["docs/problems.md"].split(problems_doc.LETTERS)
    rows = [[line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] for table in tables]
    assert rows == [
        sorted(code for code, one in listed.items() if one["status"] is not None),
        sorted(code for code, one in listed.items() if one["letters"] is not None),
    ]


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("unknown_rider", (["inbound.{company}.reports.v1"], True, False)),
        ("idempotency_conflict", (["inbound.{company}.reports.v1"], False, False)),
        ("rider_erased", (["inbound.{company}.reports.v1", "inbound.{company}.riders.v1"], False, False)),
        ("external_id_mismatch", (["inbound.{company}.reports.v1", "inbound.{company}.riders.v1"], True, True)),
        ("validation_failed", ([], True, True)),
        ("unreadable_batch", ([], True, True)),
        ("handler_failed", ([], False, False)),
        ("grid_missing", (["routing.report-routed.v1"], True, False)),
    ],
)
def test_what_dead_letters_may_come_again(listed: dict[str, dict[str, Any]], code: str, again: tuple[Any, ...]) -> None:
    letters = listed[code]["letters"]
    assert (list(letters["topics"]), letters["same_number"], letters["same_id"]) == again


def test_no_letter_is_listed_that_only_requests_meet(listed: dict[str, dict[str, Any]]) -> None:
    assert listed["sold_out"]["letters"] is None and listed["rider_not_allowed"]["letters"] is None


DECLARING = {name: module for name in service_names(ROOT) if (module := service_module(name, "problems"))}
"""By service; a new one may refuse with what stands before its routes alone."""


def named(module: object) -> dict[str, Problem]:
    return {name: one for name, one in vars(module).items() if isinstance(one, Problem)}


@pytest.mark.parametrize("module", [kit, *DECLARING.values()])
def test_a_problem_is_named_as_its_code(module: object) -> None:
    assert {name: one.code for name, one in named(module).items()} == {name: name.lower() for name in named(module)}


def unused(folder: Path, names: list[str], declaring: Path) -> list[str]:
    """Names that stand nowhere but where they are declared."""
    text = "".join(one.read_text("utf-8") for one in sorted(folder.rglob("*.py")) if one != declaring)
    text += re.sub(r"^\w+ = .*$", "", declaring.read_text("utf-8"), flags=re.MULTILINE)  # tuples there are uses
    return [name for name in names if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("service", DECLARING)
def test_a_service_refuses_with_all_that_it_declares(service: str) -> None:
    declaring = ROOT / f"services/{service}/problems.py"
    found = unused(declaring.parent, list(named(DECLARING[service])), declaring)
    assert found == [], "drop what is used nowhere; what a dependency such as Idempotent refuses with needs no line"


def test_the_kit_or_a_service_refuses_with_all_that_the_kit_declares() -> None:
    declaring = ROOT / "shared/kit/problems.py"
    declared = unused(declaring.parent, list(named(kit)), declaring)
    assert unused(ROOT / "services", declared, declaring) == []


def test_an_unused_problem_is_seen(tmp_path: Path) -> None:
    declaring = tmp_path / "problems.py"
    declaring.write_text("USED = Problem()\nUNUSED = Problem()\nOTHER = Problem()\nSOME = (\n    OTHER,\n)\n", "utf-8")
    (tmp_path / "api.py").write_text("raise problems.USED()\n", "utf-8")
    assert unused(tmp_path, ["USED", "UNUSED", "OTHER"], declaring) == ["UNUSED"]


def test_two_problems_of_one_code_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Problem("sold_out", 409, "没有了", "Gone", "换一种。", "Choose another.")
    real = service_module

    def also_there(service: str, name: str) -> object:
        return SimpleNamespace(X=other) if (service, name) == ("cases", "problems") else real(service, name)

    monkeypatch.setattr(problems_doc, "service_module", also_there)
    with pytest.raises(ValueError, match=r"declared twice, differently: .'sold_out'"):
        problems_doc.problems(ROOT)


def test_the_front_door_leads_to_the_page() -> None:
    assert [route.service for route in routes.table(ROOT) if route.takes("/problems/busy")] == ["tracking"]
