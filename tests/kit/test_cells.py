"""Cells that a spreadsheet would run are neutral, and come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.cells import neutral, original

FORMULAS = [
    "=1+1",
    '=HYPERLINK("http://x")',
    "+86 call",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\rx",
    "\n=1",
    " =1",
    "＝1＋1",
    "＋1a",
    "－1a",
    "＠x",
    "'=1",
    "+8613800138000",
    "-1",
    "+12.5",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_neutral(cell: str) -> None:
    assert neutral(cell) == "'" + cell
    assert original(neutral(cell)) == cell


@pytest.mark.parametrize(
    "cell", ["", "井盖破损", "suda-r-1", "8613800138000", "12.5", "3=3", "a@b", "'quoted'", "2026-01-01"]
)
def test_what_runs_nowhere_stays(cell: str) -> None:
    assert neutral(cell) == original(cell) == cell


@given(st.text(alphabet="='+-@＝ \t\r\n1a井", max_size=8))
def test_every_cell_comes_back(cell: str) -> None:
    assert original(neutral(cell)) == cell
