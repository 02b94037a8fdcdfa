"""Five hops, intake's outbox → routing → cases → points → notifications, every service its own process.

    python -m shared.devtools.bench [--reports 60000] [--rounds 3] [--only-throughput]
    python -m shared.devtools.bench --only-floor --reports 400 --rounds 1    the floor alone, in seconds
    python -m shared.devtools.bench --aged 5000000 [--ground DIR]    cost of an event at 0 and at so many reports

Beside it the floor: the same hops bare in one process, on the same servers, in turn with the suite. Prints a table,
writes build/bench.json, and fails when any count is not what it must be: a fast wrong run is worthless.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from shared.cli.whole_files import whole_text
from shared.devtools.bench import third_year
from shared.devtools.bench.figures import growth
from shared.devtools.bench.measure import measure_all
from shared.devtools.bench.report import show
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.suite import start_infra
from shared.devtools.installation import ROOT

REPORTS = 60_000
ROUNDS = 3
TURN_REPORTS = 6_000
MANY = 1_000_000
"""From so many reports on, a comparison has several turns."""


def add_growth(out: Path) -> None:
    """Let bench.json say what the comparison beside it has found; nothing where only one of both has run."""
    aged = out.with_name("bench-aged.json")
    if not out.is_file() or not aged.is_file():
        return
    result = json.loads(out.read_text())
    result["growth"] = growth(json.loads(aged.read_text()))
    with whole_text(out) as target:
        target.write(json.dumps(result, indent=1, ensure_ascii=False))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's options, defaults filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, help=f"default {REPORTS:,}; with --aged of each turn, {TURN_REPORTS:,}")
    parser.add_argument(
        "--rounds", type=int, help=f"default {ROUNDS}; with --aged turns of each side, 1 of few reports"
    )
    parser.add_argument("--seconds", type=int, default=8, help="of pgbench, in each round")
    parser.add_argument("--paced-seconds", type=float, default=30.0, help="of each steady load")
    parser.add_argument("--settle-seconds", type=float, default=5.0, help="before that, not counted")
    parser.add_argument("--only-throughput", action="store_true", help="floor and suite in turn, and nothing else")
    parser.add_argument("--only-floor", action="store_true", help="no suite")
    parser.add_argument("--aged", type=int, default=0, help="compare with a suite that has so many reports")
    parser.add_argument("--ground", type=Path, help="where that suite's data are, or are to stay for the next time")
    parser.add_argument(
        "--setting", action="append", default=[], help="NAME=VALUE of Postgres, tried for all services' roles"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    options = parser.parse_args(arguments)
    options.reports = options.reports or (TURN_REPORTS if options.aged else REPORTS)
    options.rounds = options.rounds or (ROUNDS if not options.aged or options.aged >= MANY else 1)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when counts don't reconcile, or with --aged when a goal is missed."""
    options, console = parsed(arguments), Console()
    try:
        if options.aged:
            status = third_year.run(options, console)
            add_growth(options.out)
            return status
        with (
            tempfile.TemporaryDirectory(prefix="beegrid-bench-") as folder,
            start_infra(postgres_settings={"track_commit_timestamp": "on"}, brief=True) as infra,
        ):
            result = asyncio.run(measure_all(infra, Path(folder), options, console))
    except InfraError as error:
        console.print(f"[red]{error}")
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_text(options.out) as target:
        target.write(json.dumps(result, indent=1, ensure_ascii=False, default=str))
    show(result, console)
    console.print(f"{result['counts']}\nwritten: {options.out}")
    return 0 if result["reconciled"] else 1


if __name__ == "__main__":
    sys.exit(main())
