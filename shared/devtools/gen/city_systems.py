"""The table of public topics in docs/city-systems.md, from the registry."""

from collections.abc import Sequence
from pathlib import Path

from shared.devtools.gen.files import Generated
from shared.devtools.gen.regions import filled
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience, Latest

PAGE = "docs/city-systems.md"
HEAD = ("topic", "key", "what it says", "kept", "a new reader finds", "schema", "example")


def table(of: Sequence[AnyTopic]) -> str:
    """A row for each public topic, in the order of their names."""
    rows = []
    for topic in sorted((one for one in of if one.audience is Audience.PUBLIC), key=lambda one: one.name):
        what = topic.summary.removesuffix(".")
        late = "all that is so now" if isinstance(topic.kept, Latest) else "what happened lately"
        files = (f"[{kind}](../shared/events/{kind}s/{topic.name}.json)" for kind in ("schema", "example"))
        rows.append((f"`{topic.name}`", f"`{topic.key}`", what, topic.kept.words, late, *files))
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in (HEAD, ("---",) * len(HEAD), *rows)) + "\n"


def generate(root: Path) -> Generated:
    """The page, with the table between its marks."""
    text = (root / PAGE).read_text(encoding="utf-8")
    return Generated(files={PAGE: filled(text, {"public-topics": table(topics())}, PAGE)})
