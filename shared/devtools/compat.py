"""`python -m shared.devtools.compat`: a change of the contracts that breaks a reader fails.

Compares shared/events/schemas with those of another commit. Inside one version of a topic only an optional field may be
added; everything else is a new version of the topic beside the old one.

jsoncompat judges the meaning: what was written under the old schema must be readable under the new one, and the
reverse, with closed objects. Tried on every keyword, it says nothing about `format`, `pattern`, `default` and
`uniqueItems`; those, whether an object is closed and the partition key are compared here.

Until the suite is installed somewhere (1.0) a contract may be rewritten in place, on purpose: `--renew <topic>` writes
the digest of its schema as it is now into RENEWED, and whoever does so says it in CHANGELOG.md. The next change of that
schema has another digest and fails again.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsoncompat import check_compat

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.schemas import FOLDER

Schemas = Mapping[str, dict[str, Any]]
RENEWED = "shared/events/renewed.json"

_UNSEEN = ("format", "pattern", "default", "uniqueItems", "additionalProperties")
_FIXED = {"x-topic": "the topic's name", "x-partition-key": "the partition key"}
_WORDS_ONLY = frozenset({"title", "description", "examples"})


class BaseMissing(Exception):
    """The commit to compare with isn't there; the text names it."""


def _closed(node: Any) -> Any:
    """The schema with every object closed, so that a field that nobody declared counts as a difference."""
    if isinstance(node, dict):
        inner = {name: _closed(value) for name, value in node.items()}
        if isinstance(inner.get("properties"), dict) and inner.get("type") == "object":
            inner["additionalProperties"] = False
        return inner
    return [_closed(item) for item in node] if isinstance(node, list) else node


def _opened(node: Any) -> Any:
    """The schema with every object open: who reads an older one leaves out what it doesn't know, or is asked to."""
    if isinstance(node, dict):
        return {
            name: _opened(value) for name, value in node.items() if (name, value) != ("additionalProperties", False)
        }
    return [_opened(item) for item in node] if isinstance(node, list) else node


def _leaves(node: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a schema that has a meaning, with its place."""
    if isinstance(node, dict):
        named = at.endswith(("/properties", "/$defs"))
        for name, value in node.items():
            if named or not (name in _WORDS_ONLY or (name.startswith(("$", "x-")) and name not in ("$ref", "$defs"))):
                yield from _leaves(value, f"{at}/{name}")
    elif isinstance(node, list) and any(isinstance(item, dict) for item in node):
        for number, item in enumerate(node):
            yield from _leaves(item, f"{at}/{number}")
    else:
        yield at, node


def _accepts(old: dict[str, Any], new: dict[str, Any]) -> bool:
    # jsoncompat takes $id for a reference that it would have to fetch
    before, after = ({name: part for name, part in schema.items() if name != "$id"} for schema in (old, new))
    return bool(
        check_compat(json.dumps(_opened(before)), json.dumps(_opened(after)), "serializer")
        and check_compat(json.dumps(_closed(before)), json.dumps(_closed(after)), "deserializer")
    )


def problems_of(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What in the new schema of one topic would break somebody; empty where nothing does."""
    found = [
        f"{words} changed from {old[field]!r} to {new.get(field)!r}"
        for field, words in _FIXED.items()
        if field in old and old[field] != new.get(field)
    ]
    before, after = dict(_leaves(old)), dict(_leaves(new))
    silent = [
        place
        for place in sorted(set(before) | set(after))
        if place.rsplit("/", 1)[-1] in _UNSEEN
        and before.get(place) != after.get(place)
        and (place in before or place.rsplit("/", 1)[0] in {name.rsplit("/", 1)[0] for name in before})
    ]
    found += [f"{place} changed from {before.get(place)!r} to {after.get(place)!r}" for place in silent]
    if not _accepts(old, new):
        changed = [place for place in sorted(set(before) | set(after)) if before.get(place) != after.get(place)]
        found += [
            f"{place}: {before.get(place, 'absent')!r} → {after.get(place, 'absent')!r}"
            for place in changed
            if place not in silent
        ]
        if not found:
            found.append("jsoncompat finds the schemas incompatible")
    return found


def digest(schema: dict[str, Any]) -> str:
    """What tells two schemas apart, whatever words they use."""
    return hashlib.sha256(json.dumps(sorted(_leaves(schema)), sort_keys=True).encode()).hexdigest()[:16]


def renewed(root: Path) -> dict[str, str]:
    """Topics whose contract was rewritten in place, with the digest of the schema that was meant."""
    path = root / RENEWED
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def renew(root: Path, names: Sequence[str]) -> None:
    """Let these topics' schemas be the contract as they are now."""
    now = schemas_now(root)
    meant = {**renewed(root), **{name: digest(now[name]) for name in names}}
    (root / RENEWED).write_text(json.dumps(dict(sorted(meant.items())), indent=2) + "\n", encoding="utf-8")


def breaking_changes(base: Schemas, now: Schemas, meant: Mapping[str, str] | None = None) -> list[str]:
    """One line a breaking change over all topics; a topic that the base doesn't have is new and can break nobody."""
    found = []
    for name, old in sorted(base.items()):
        if name in now and (meant or {}).get(name) == digest(now[name]):
            continue
        if name not in now:
            found.append(f"{name}: the topic is gone; readers need it until its retention is over")
            continue
        found += [f"{name}: {problem}" for problem in problems_of(old, now[name])]
    return found


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],  # noqa: S607  git is found on the PATH like everywhere
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BaseMissing(done.stderr.strip() or f"git {' '.join(arguments)} failed")
    return done.stdout


def _exists(root: Path, ref: str) -> bool:
    try:
        _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    except BaseMissing:
        return False
    return True


def default_base(root: Path) -> str | None:
    """BEEGRID_COMPAT_BASE, else where this branch left main; on main itself the last commit, or the one before it
    when the tree has no change of its own. None in a repository without commits."""
    if named := os.environ.get("BEEGRID_COMPAT_BASE"):
        return named
    if not _exists(root, "HEAD"):
        return None
    branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD").strip()
    for main in ("origin/main", "main"):
        if _exists(root, main) and branch != "main":
            return _git(root, "merge-base", main, "HEAD").strip()
    if _git(root, "status", "--porcelain", "--", FOLDER).strip() or not _exists(root, "HEAD~1"):
        return "HEAD"
    return "HEAD~1"


def schemas_at(root: Path, ref: str) -> dict[str, dict[str, Any]]:
    """The schemas of a commit by file name without suffix.

    Raises:
        BaseMissing: there is no such commit.
    """
    names = _git(root, "ls-tree", "--name-only", ref, "--", f"{FOLDER}/").split()
    return {
        Path(name).stem: json.loads(_git(root, "show", f"{ref}:{name}")) for name in names if name.endswith(".json")
    }


def schemas_now(root: Path) -> dict[str, dict[str, Any]]:
    """The schemas of the working tree by file name without suffix."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / FOLDER).glob("*.json"))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every breaking change; 1 when there is one, 2 when the base doesn't exist."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.compat", description=__doc__)
    parser.add_argument("--base", help="commit to compare with; default: see default_base")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--renew", metavar="TOPIC", nargs="+", help="rewrite these contracts in place, on purpose")
    options = parser.parse_args(arguments)
    if options.renew:
        renew(options.root, options.renew)
    try:
        base = options.base or default_base(options.root)
        old = {} if base is None else schemas_at(options.root, base)
    except BaseMissing as missing:
        print(f"nothing to compare with: {missing}", file=sys.stderr)
        return 2
    found = breaking_changes(old, schemas_now(options.root), renewed(options.root))
    for line in found:
        print(line)
    if found:
        print("add a new version of the topic beside the old one (docs/adr/0001)", file=sys.stderr)
        return 1
    print(f"{len(old)} schemas of {base or 'no commit'} compared: nothing breaks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
