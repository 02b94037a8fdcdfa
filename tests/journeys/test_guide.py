"""docs/integrating.md: every block of it is run, in order, as somebody outside would, and prints what stands there."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.devtools.installation import ROOT
from tests.journeys.conftest import Town
from tests.journeys.outside import Outside, a_company, at_the_suite, place_of, shell

GUIDE = (ROOT / "docs/integrating.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>[a-z]+)\n(?P<text>.*?)^```(?:\n```text\n(?P<printed>.*?)^```)?$", re.M | re.S)
MODULE = "afternoon"
QUESTIONS = (
    "Keys, and two versions under different keys", "How long numbers are remembered", "To correct a report",
    "How old a report may be", "Joining after the retention", "Precision and datum",
    "TLS, passwords and their change", "A sandbox company, and how its data go", "Partitions and their growth",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A piece of the guide that is run. `printed`: what it says that comes out, `…` is anything."""

    heading: str
    language: str
    text: str
    printed: tuple[str, ...]


def blocks() -> list[Block]:
    found = []
    for section in re.split(r"^## ", GUIDE, flags=re.M)[1:]:
        heading = section.splitlines()[0]
        for match in BLOCK.finditer(section):
            assert match["language"] in ("console", "python", "sh"), f"{heading}: {match['language']} is not run"
            if match["language"] != "console":
                lines = tuple((match["printed"] or "").splitlines())
                found.append(Block(heading, match["language"], match["text"], lines))
    return found


def fits(line: str, printed: str) -> bool:
    """Whether a printed line is what the guide says."""
    return re.search("^" + ".*".join(map(re.escape, line.split("…"))) + "$", printed) is not None


@pytest.fixture(scope="module")
async def company(town: Town) -> Outside:
    """Whoever reads the guide."""
    made = await a_company(town, "guide")
    made.env["BEEGRID_PLACE"] = place_of(600)
    return made


@pytest.fixture(scope="module")
def folder(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they work."""
    made = at_the_suite(town, tmp_path_factory.mktemp("guide"))
    module = blocks()[0]
    assert not module.printed
    (made / f"{MODULE}.py").write_text(module.text, encoding="utf-8")
    return made


def test_every_question_is_answered_with_an_example() -> None:
    answered = {block.heading for block in blocks() if block.printed}
    assert answered >= set(QUESTIONS)
    assert f"`{MODULE}.py`" in GUIDE


@pytest.mark.parametrize("block", [pytest.param(one, id=one.heading) for one in blocks()[1:]])
async def test_the_guide_says_what_happens(block: Block, company: Outside, folder: Path) -> None:
    command = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-ec", block.text]
    said = (await asyncio.to_thread(shell, command, folder, company.env)).splitlines()
    at = 0
    for line in block.printed:
        while at < len(said) and not fits(line, said[at]):
            at += 1
        assert at < len(said), f"{line!r} isn't in\n" + "\n".join(said)
        at += 1
