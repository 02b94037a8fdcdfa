"""`python -m shared.devtools.releases [migrations|statements|tests …]`: does the release before still have its ground?

migrations: those that were released are as they were (git alone; part of `make check`).
statements: the former release's SQL on this tree's schema, on a real Postgres.
tests: the former release's tests on this schema; what follows goes to its pytest, tests/services if nothing does.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.suite import start_infra
from shared.devtools.installation import Installation
from shared.devtools.releases import history, schema

BEFORE_THE_FIRST = "no release yet (no tag v<major>.<minor>.<patch>): migrations may still be written over"


def main(arguments: Sequence[str] | None = None) -> int:
    """0: it has, or there is no history to compare with (1 where CI is set). 1: findings, one a line."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.releases", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["migrations", "statements", "tests"], default="migrations")
    parser.add_argument("--root", type=Path, default=ROOT)
    options, rest = parser.parse_known_args(arguments)
    try:
        release, found = history.check(options.root)
    except history.NoHistory as error:
        print(f"skipped: nothing to compare with: {error}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    if release is None:
        print(BEFORE_THE_FIRST)
        return 0
    if options.part == "tests":
        return schema.run_former_tests(options.root, release, rest or ["-n0", "tests/services"])
    if options.part == "statements":
        found = _statements(options.root, release)
    print("\n".join([*found, f"{release}: {len(found)} findings"]))
    return 1 if found else 0


def _statements(root: Path, release: str) -> list[str]:
    former = schema.statements_of(root, release)
    with (
        tempfile.TemporaryDirectory(prefix="beegrid-release-") as name,
        start_infra(brief=True) as infra,
        Installation.fresh(infra, Path(name), "r") as made,
    ):
        return asyncio.run(schema.faults(made, former))


if __name__ == "__main__":
    sys.exit(main())
