"""The list of problem codes is complete: what can't be read from the code is an error with file and line."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from shared.devtools.gen import problems_doc
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.problem_codes import EXEMPT, Exempt, Made, Reader, Unreadable
from shared.devtools.kube import routes
from shared.kit.http import problems
from shared.kit.http.problems import from_status

MAKERS = "from shared.kit.http.problems import ApiProblem, bad_request, conflict, from_status, not_found\n"


def read(tmp_path: Path, *services: str, exempt: dict[str, Exempt] | None = None) -> set[Made]:
    """What is found in services made of these texts, beside the kit's own module of problems."""
    kit = tmp_path / "shared/kit/http"
    kit.mkdir(parents=True, exist_ok=True)
    (kit / "problems.py").write_text(Path(problems.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    for number, text in enumerate(services):
        folder = tmp_path / f"services/s{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "api.py").write_text(MAKERS + dedent(text), encoding="utf-8")
    own = {place: one for place, one in EXEMPT.items() if place.startswith("shared/kit/http/problems.py")}
    return {
        made for made, place in Reader(tmp_path, {**own, **(exempt or {})}).all() if "services" in place.module.name
    }


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    """The page's data, made anew."""
    return {one["code"]: one for one in json.loads(problems_doc.generate(ROOT).files[problems_doc.DATA])}


@pytest.mark.parametrize(
    ("code", "statuses", "item", "services"),
    [
        ("unknown_rider", [422], True, ["intake"]),
        ("malformed_json", [400], False, []),
        ("not_a_draft", [409], False, ["routing"]),
        ("company_suspended", [403], True, ["intake", "riders"]),
        ("company_missing", [422], False, ["notifications", "tracking"]),
        ("other_worker", [409], True, ["cases"]),
        ("sold_out", [409], False, ["rewards"]),
        ("photo_damaged", [422], False, ["intake"]),
        ("voucher_used", [409], False, ["rewards"]),
        ("signature_expired", [401], False, []),
        ("token_expired", [401], False, []),
        ("busy", [503], False, []),
        ("rate_limited", [429], False, []),
        ("content_too_large", [413], False, []),
        ("idempotency_unfinished", [409], False, ["notifications", "rewards", "riders"]),
        ("validation_failed", [422], True, []),
    ],
)
def test_known_codes_are_listed(
    listed: dict[str, dict[str, Any]], code: str, statuses: list[int], item: bool, services: list[str]
) -> None:
    one = listed[code]
    assert (one["statuses"], one["item"]) == (statuses, item)
    assert [service["name"] for service in one["services"]] == services
    assert one["titles"] and one["meanings"] and one["next"]


def test_the_table_tells_the_same(listed: dict[str, dict[str, Any]]) -> None:
    table = problems_doc.generate(ROOT).files["docs/problems.md"]
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == sorted(listed)


FOUND = {
    "a literal": ('raise conflict("a", "甲 / A")', {Made("a", 409, "甲 / A")}),
    "by name": ('raise ApiProblem(code="a", title="甲 / A", status=418)', {Made("a", 418, "甲 / A")}),
    "a status": ("raise from_status(405)", {Made("method_not_allowed", 405, "不支持的方法 / Method not allowed")}),
    "extras": ('raise conflict("a", "甲 / A", **{"b": 1})', {Made("a", 409, "甲 / A")}),
    "a helper": (
        """
        def no(code, title="甲 / A"):
            return conflict(code, title)
        raise no("a")
        raise no(code="b", title="乙 / B")
        """,
        {Made("a", 409, "甲 / A"), Made("b", 409, "乙 / B")},
    ),
    "an object": (
        """
        class No(Exception):
            def __init__(self, code: str) -> None:
                self.code = code
        TITLES = {"a": "甲 / A", "b": "乙 / B"}
        STATUS = {"b": 404}
        def work() -> None:
            raise No("a")
        def more() -> None:
            raise No("b")
        def told() -> None:
            try:
                work()
            except No as no:
                raise ApiProblem(STATUS.get(no.code, 409), no.code, TITLES[no.code]) from no
        """,
        {Made("a", 409, "甲 / A"), Made("b", 404, "乙 / B")},
    ),
    "keys of the titles": (
        """
        TITLES = {"a": "甲 / A", "b": "乙 / B"}
        def told(why: str) -> None:
            reason = why.strip()
            raise conflict(reason, TITLES[reason])
        """,
        {Made("a", 409, "甲 / A"), Made("b", 409, "乙 / B")},
    ),
}


@pytest.mark.parametrize("form", FOUND)
def test_codes_are_found_in_every_form(tmp_path: Path, form: str) -> None:
    text, expected = FOUND[form]
    assert read(tmp_path, text) == expected


UNREADABLE = {
    "made at run time": ('raise conflict(f"a_{__name__}", "甲 / A")', 2),
    "from a call": ('import os\nraise conflict(os.name.lower(), "甲 / A")', 3),
    "a title at run time": ('raise conflict("a", input())', 2),
    "two values": (
        'def f(x):\n    code = "a"\n    if x:\n        code = "b"\n    raise conflict(code, "甲 / A")',
        6,
    ),
    "among others": ('GIVEN = ("a", "甲 / A")\nraise conflict(*GIVEN)', 3),
    "a method's parameter": (
        'class A:\n    def f(self, code: str) -> None:\n        raise conflict(code, "甲 / A")',
        4,
    ),
    "through a helper": ('def no(code):\n    return conflict(code, "甲 / A")\nraise no(input())', 4),
    "a status at run time": ("raise from_status(int(input()))", 2),
    "passed on": ("from functools import partial\nno = partial(conflict, 'a')", 3),
    "under another name": ("no = conflict\nraise no('a', '甲 / A')", 2),
}


@pytest.mark.parametrize("form", UNREADABLE)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, form: str) -> None:
    text, line = UNREADABLE[form]
    with pytest.raises(Unreadable, match=rf"^services/s0/api\.py:{line}: "):
        read(tmp_path, text, 'raise conflict("b", "乙 / B")')


def test_a_title_without_both_languages_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no title of the form"):
        read(tmp_path, 'raise conflict("a", "only English")')


def test_an_exemption_tells_the_codes_and_is_needed(tmp_path: Path) -> None:
    made = Made("a", 409, "甲 / A")
    exempt = {"services/s0/api.py::f": Exempt("seeded", (made,))}
    assert read(tmp_path, 'def f(x):\n    raise conflict(x.lower(), "甲 / A")', exempt=exempt) == {made}
    with pytest.raises(Unreadable, match="is exempt and needn't be"):
        read(tmp_path, 'raise conflict("a", "甲 / A")', exempt=exempt)


def test_a_code_does_not_depend_on_pythons_phrases() -> None:
    assert [from_status(status).code for status in (413, 422)] == ["content_too_large", "unprocessable_entity"]


def test_the_front_door_leads_to_the_page() -> None:
    assert [route.service for route in routes.table(ROOT) if route.takes("/problems/busy")] == ["tracking"]
