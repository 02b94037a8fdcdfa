"""`python -m shared.devtools.gen`: write everything that is generated, or prove with --check that it is current."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.devtools.gen.files import LEFT_OVER, ROOT, Generated, differences, write
from shared.kit.about import Misdeclared

# `generate` of each of these modules; docs_pages and kubernetes last, which read what
# the others write
ORDER = (
    "schemas", "asyncapi", "flow", "city_systems", "metrics_doc", "settings_doc", "openapi", "problems_doc",
    "services_doc", "retention_doc", "data_map_doc", "slo", "prometheus", "dashboards", "deployment", "readme_tables",
    "docs_pages", "kubernetes",
)  # fmt: skip
GENERATORS: tuple[Callable[[Path], Generated], ...] = tuple(
    importlib.import_module(f"shared.devtools.gen.{name}").generate for name in ORDER
)


def run(root: Path, *, check: bool, strict: bool) -> int:
    """Write or compare below root. 1 when --check finds a difference, or when --strict and something was skipped."""
    results, changed = [], []
    for generator in GENERATORS:
        results.append(generator(root))
        changed += (differences if check else write)(root, results[-1:])
    for line in changed:
        print(line if check else f"{'removed' if line.endswith(LEFT_OVER) else 'written'}: {line.partition(':')[0]}")
    skipped = [line for generated in results for line in generated.skipped]
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if check and changed:
        print("run `make gen` and commit what it writes", file=sys.stderr)
        return 1
    return 1 if strict and skipped else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.gen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file isn't current")
    parser.add_argument("--strict", action="store_true", help="exit 1 also when something could not be generated")
    parser.add_argument("--root", type=Path, default=ROOT, help="where to write; default: this repository")
    options = parser.parse_args(arguments)
    try:
        return run(options.root.resolve(), check=options.check, strict=options.strict)
    except (FileNotFoundError, Misdeclared) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
