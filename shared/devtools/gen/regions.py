"""Parts of files that people write, which are generated: lines between `>>> NAME` and `<<< NAME` in comments.

A person edits everything around them; `make gen` writes what is between them, with the indentation of the first mark.
"""

import re
from collections.abc import Mapping
from textwrap import indent


class NoRegion(ValueError):
    """A file lacks a mark that a generator looks for, or has it twice."""


def filled(text: str, bodies: Mapping[str, str], file: str) -> str:
    """The text with each region's body in place; bodies are unindented and end with a newline.

    Raises:
        NoRegion: a region isn't there exactly once.
    """
    for name, body in bodies.items():
        marks = re.compile(
            rf"^(?P<indent>[ \t]*)(?P<first>[^\n]*>>> {name}\b[^\n]*\n)(?:.*?\n)??(?P<last>[ \t]*[^\n]*<<< {name}\b)",
            re.MULTILINE | re.DOTALL,
        )
        found = list(marks.finditer(text))
        if len(found) != 1:
            raise NoRegion(f"{file}: {len(found)} regions `>>> {name}` … `<<< {name}`, not one")
        [one] = found
        lines = indent(body, one["indent"])
        text = text[: one.start()] + one["indent"] + one["first"] + lines + one["last"] + text[one.end() :]
    return text
