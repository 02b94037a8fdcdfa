"""The hand-written examples beside the contracts: they are documentation, and tests validate them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.schemas import stem
from shared.events.registry import AnyTopic

FOLDER = "shared/events/examples"


@dataclass(frozen=True)
class Example:
    """One example of a body. `payload` is plain JSON."""

    name: str
    summary: str
    payload: dict[str, Any]


def examples_of(topic: AnyTopic, root: Path = ROOT) -> tuple[Example, ...]:
    """All examples of a topic, in the order of its file.

    Raises:
        FileNotFoundError: the topic has no examples yet; the text says which file to write, and what goes into it.
    """
    path = root / FOLDER / f"{stem(topic)}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{FOLDER}/{path.name}: write examples of {topic.name}, a list of {{name, summary, payload}}, one a state"
        )
    return tuple(Example(**item) for item in json.loads(path.read_text(encoding="utf-8")))
