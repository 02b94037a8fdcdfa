"""Three years of a city, for whoever wants to see how the suite behaves then.

    .venv/bin/python -m shared.devtools.aged --keep DIR     a Postgres data folder of its own, loaded once
    .venv/bin/python -m shared.devtools.aged                into the running suite of `make up`

`make bench AGED=5000000 GROUND=DIR` measures on such a folder, again and again. Takes some 5 kB of disk a report. A
running suite is loaded with its indexes in place, which takes several times as long; it must be on one's own machine:
its address and administrator are taken from .beegrid/suite.json. Import the demo city's map first, so that its grids
have their names (`.venv/bin/python -m shared.synthetic.city`).
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from shared.cli.client import Client, CliError, find_suite
from shared.cli.reports import city_zone
from shared.devtools.aged.ground import prepare
from shared.devtools.aged.load import Occupied, OnProgress, Size, load
from shared.devtools.infra.errors import InfraError
from shared.devtools.up import STATE
from shared.kit import clock
from shared.provision.postgres import other_database

REPORTS = 5_000_000


def main() -> int:
    """Exit status 1 where there is no such suite or folder, or it has another aged city already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=REPORTS)
    parser.add_argument("--keep", type=Path, help="a folder for a Postgres of its own")
    options = parser.parse_args()
    console = Console()
    began_s = clock.monotonic_s()
    try:
        with Progress(console=console) as progress:
            bar = progress.add_task(f"{options.reports:,} 条上报 / reports", total=None)

            def on_progress(done: int, all_: int) -> None:
                progress.update(bar, completed=done, total=all_)

            if options.keep is not None:
                prepare(options.keep, options.reports, on_progress)
            else:
                _load_running(options.reports, on_progress)
    except (Occupied, InfraError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    except (CliError, KeyError, OSError) as error:
        console.print(f"[red]没有本机的系统 / No suite of this machine's own: {error}[/red]; make up")
        return 1
    console.print(f"已装入 / loaded in {clock.monotonic_s() - began_s:.0f} s; beegrid recount checks it")
    return 0


def _load_running(reports: int, on_progress: OnProgress) -> None:
    suite = find_suite()
    facts = suite.facts
    url = other_database(facts["postgres_admin_url"], facts["postgres_database"])
    sealing_key = json.loads((STATE / "secrets.json").read_text())["sealing_key"]
    zone = city_zone(Client(suite.url, suite.token))
    asyncio.run(load(url, sealing_key, Size(reports, clock.now()), on_progress, zone=zone))


if __name__ == "__main__":
    sys.exit(main())
