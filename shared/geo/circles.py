"""Trees that are none: whoever follows the parents comes back to where they began."""

from collections.abc import Mapping


def circles(parents: Mapping[str, str | None]) -> list[str]:
    """Codes that are above themselves, sorted; `parents`: code → code of the parent, None at a root."""
    found: set[str] = set()
    done: set[str] = set()
    for start in parents:
        line: dict[str, None] = {}
        code: str | None = start
        while code is not None and code not in done and code not in line:
            line[code] = None
            code = parents.get(code)
        if code in line:
            way = list(line)
            found.update(way[way.index(code) :])
        done.update(line)
    return sorted(found)
