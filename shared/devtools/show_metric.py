"""`python -m shared.devtools.show_metric PART…`: samples of the local suite whose names contain a part, by process.

For a look without Prometheus; asks /metrics of every process that .beegrid/suite.json names.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence

from shared.cli.client import CliError, find_suite

TIMEOUT_S = 5
ELSEWHERE = (
    "BEEGRID_URL 所指的平台不在本机：指标请问 Prometheus，或进 Pod 问 :9464/metrics（见 docs/runbooks/README.md）。\n"
    "BEEGRID_URL names a suite elsewhere: ask Prometheus, or a pod at :9464/metrics (docs/runbooks/README.md)."
)


def samples(url: str, parts: Sequence[str]) -> Iterator[str]:
    """Lines of one process; a process that doesn't answer says so."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310 our own address
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, TimeoutError) as error:
        yield f"no answer: {error}"
        return
    yield from (
        line for line in lines if not line.startswith("#") and any(part in line.split("{")[0] for part in parts)
    )


def main() -> int:
    """Exit status 1 where no local suite runs."""
    parts = sys.argv[1:]
    if not parts:
        print(__doc__)
        return 2
    if os.environ.get("BEEGRID_URL"):
        print(ELSEWHERE, file=sys.stderr)
        return 1
    try:
        services = find_suite().facts.get("services", {})
    except CliError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return 1
    try:
        for name, url in sorted(services.items()):
            for line in samples(url, parts):
                print(f"{name:14} {line}", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
    return 0


if __name__ == "__main__":
    sys.exit(main())
