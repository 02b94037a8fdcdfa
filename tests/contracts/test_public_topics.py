"""docs/city-systems.md has every public topic, and the files that its table names are there."""

import re
from dataclasses import replace

from shared.devtools.gen.city_systems import PAGE, table
from shared.devtools.gen.files import ROOT
from shared.events.registry import topics
from shared.events.topic import Audience, Facts

PUBLIC = [topic for topic in topics() if topic.audience is Audience.PUBLIC]


def test_every_public_topic_has_its_row_with_files_that_are_there() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert PUBLIC
    for topic in PUBLIC:
        [row] = [line for line in text.splitlines() if line.startswith(f"| `{topic.name}` | `{topic.key}` |")]
        assert topic.kept.words in row
        files = re.findall(r"\]\(\.\./(\S+)\)", row)
        assert len(files) == 2 and all((ROOT / file).is_file() for file in files)


def test_a_second_topic_stands_beside_the_first_and_no_internal_one_does() -> None:
    second = replace(PUBLIC[0], name="public.gift-changed.v1", kept=Facts(hours=48), summary="Gifts are given.")
    rows = [line for line in table([*topics(), second]).splitlines() if line.startswith("| `")]
    names = [row.split("`")[1] for row in rows]
    assert names == sorted([*(topic.name for topic in PUBLIC), second.name])
    row = rows[names.index(second.name)]
    assert "what happened lately" in row and "2 d" in row and "all that is so now" in rows[0]
