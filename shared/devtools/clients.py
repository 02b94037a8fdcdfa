"""`python -m shared.devtools.clients`: whether clients generated from docs/openapi.json as it is have been tried.

`make clients` downloads generators and compilers' packages for minutes, so no change waits for it, and what makes a
generator stumble would be found by those who integrate. So each language that has passed leaves a hash of the document
in PASSED, which nothing else writes. Words are left out of it: no generator stumbles over a better sentence.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from shared.cli.whole_files import whole_text
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import SUITE

PASSED = ROOT / "tests/clients/passed.json"
NEEDED = ("python", "typescript")
"""What every machine can try that has Node."""
OTHERS = ("go", "java")
"""Tried where their tools are; said aloud where that was with an older document."""
_WORDS = ("description", "summary")


def mark(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that two documents share only where generators see the same in them."""
    said = json.dumps(_without_words(document), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _without_words(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_words(one) for one in node]
    if not isinstance(node, dict):
        return node
    # beside a schema an example is one of words; a field may be called so, too, and is no text then
    shown = ("example", "examples") if "schema" in node else ()
    return {
        name: _without_words(one)
        for name, one in node.items()
        if not (name in _WORDS and isinstance(one, str)) and name not in shown and not name.startswith("x-")
    }


def current() -> str:
    """Of the document as it is."""
    return mark(json.loads((ROOT / SUITE).read_text("utf-8")))


def passed() -> dict[str, str]:
    """Language → mark of the document with which it passed last."""
    found: dict[str, str] = json.loads(PASSED.read_text("utf-8")) if PASSED.exists() else {}
    return found


def record(language: str) -> None:
    """Note that a language's client has been generated from the document as it is, compiled, and has read answers."""
    with whole_text(PASSED) as target:
        target.write(json.dumps({**passed(), language: current()}, indent=2, sort_keys=True) + "\n")


def faults(now: str, marks: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Languages that have to be tried again, and those that should be where their tools are."""
    return [one for one in NEEDED if marks.get(one) != now], [one for one in OTHERS if marks.get(one) != now]


def main() -> int:
    """Exit status 1 where the document has changed since a language that is needed has passed."""
    needed, others = faults(current(), passed())
    if others:
        print(f"skipped: clients in {', '.join(others)} were generated from an older document", file=sys.stderr)
    for one in needed:
        print(f"{SUITE} has changed since a client in {one} was generated from it and read answers")
    return 1 if needed else 0


if __name__ == "__main__":
    sys.exit(main())
