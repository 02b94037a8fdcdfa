"""What the running suite costs while nobody asks anything of it.

`python -m shared.devtools.resting [seconds]` says it of the suite that `make up` or `make demo` runs here; `resting` is
the same for whoever has the processes at hand.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.devtools.infra.ports import listens
from shared.devtools.suite import Suite
from shared.devtools.up import STATE
from shared.kit import clock

WINDOW_S = 20.0


@dataclass(frozen=True)
class Part:
    """One process with its children. `wakeups_per_s`: how often the system has had to let it run again."""

    cores: float
    pss_mib: float
    rss_mib: float
    wakeups_per_s: float


@dataclass(frozen=True)
class Resting:
    """All services together; `parts` has each of them, and the servers and the fork server beside them, by name.

    `cores`: share of one core, 0.03 are three percent. `pss_mib`: proportional memory, in which a page that eight
    processes share counts an eighth for each; the services' and that of the process from which they were forked.
    `start_s`: from the command to the last service's readiness; None where it isn't known.
    """

    cores: float
    pss_mib: float
    start_s: float | None
    parts: dict[str, Part]


async def resting(suite: Suite, window_s: float = WINDOW_S) -> Resting:
    """Measure for so long; whoever asks lets the suite settle before. Raises psutil.NoSuchProcess when a part dies."""
    pids = {name: part.pid for name, part in suite.parts().items() if part.running}
    return await _measured(pids, [*suite.services, *FORKED_BY], suite.start_s, window_s)


FORKED_BY = ("fork server",)


def used_s(suite: Suite) -> float:
    """Seconds of CPU that the running parts of a suite have used since their start."""
    return sum(_spent(name, psutil.Process(part.pid))[0] for name, part in suite.parts().items() if part.running)


async def _measured(pids: Mapping[str, int], counted: list[str], start_s: float | None, window_s: float) -> Resting:
    families = {name: psutil.Process(pid) for name, pid in pids.items()}
    before, began_s = {name: _spent(name, one) for name, one in families.items()}, clock.monotonic_s()
    await asyncio.sleep(window_s)
    took_s = clock.monotonic_s() - began_s
    parts = {}
    for name, one in families.items():
        cpu_s, wakeups = (now - then for now, then in zip(_spent(name, one), before[name], strict=True))
        pss_mib, rss_mib = _memory(name, one)
        parts[name] = Part(max(0.0, cpu_s) / took_s, pss_mib, rss_mib, max(0.0, wakeups) / took_s)
    ours = [parts[name] for name in counted if name in parts]
    return Resting(sum(one.cores for one in ours), sum(one.pss_mib for one in ours), start_s, parts)


def _family(name: str, leader: psutil.Process) -> list[psutil.Process]:
    """With its children, as of Postgres; what the fork server has forked counts for itself."""
    return [leader] if name in FORKED_BY else [leader, *leader.children(recursive=True)]


def _spent(name: str, leader: psutil.Process) -> tuple[float, float]:
    """Seconds of CPU and wake-ups so far. A process that has ended meanwhile has had its share before."""
    cpu_s = wakeups = 0.0
    for process in _family(name, leader):
        try:
            times = process.cpu_times()
            cpu_s, wakeups = cpu_s + times.user + times.system, wakeups + process.num_ctx_switches().voluntary
        except psutil.NoSuchProcess:
            if process == leader:
                raise
    return cpu_s, wakeups


def _memory(name: str, leader: psutil.Process) -> tuple[float, float]:
    """PSS and RSS in MiB. Where the system has no PSS (it is Linux's), RSS stands for it."""
    pss = rss = 0
    for process in _family(name, leader):
        try:
            found = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        pss, rss = pss + getattr(found, "pss", found.rss), rss + found.rss
    return pss / 2**20, rss / 2**20


def _listening(urls: Mapping[str, str], launcher: psutil.Process) -> dict[str, int]:
    """The pid of each service, by the port on which it listens."""
    found = {}
    for child in launcher.children(recursive=True):
        for name, url in urls.items():
            if listens(child.pid, int(url.rpartition(":")[2])):
                found[name] = child.pid  # parents come first: the last is the service itself
    return found


def main() -> int:
    """Print it. 1 where no suite runs here."""
    window_s = float(sys.argv[1]) if len(sys.argv) > 1 else WINDOW_S
    try:
        suite = json.loads(Path(STATE / "suite.json").read_text())
    except OSError:
        print("no suite runs here: make up", file=sys.stderr)
        return 1
    pids = _listening(suite["services"], psutil.Process(suite["pid"]))
    fork_server = suite.get("fork_server")
    named = {**pids, **({FORKED_BY[0]: fork_server} if fork_server else {})}
    found = asyncio.run(_measured(named, list(named), suite.get("start_s"), window_s))
    for name, part in sorted(found.parts.items()):
        print(f"{name:14} {part.cores:7.2%} {part.pss_mib:7.0f} MiB {part.wakeups_per_s:6.1f} wake-ups/s")
    start = "" if found.start_s is None else f", start {found.start_s:.1f} s"
    print(f"{'together':14} {found.cores:7.2%} {found.pss_mib:7.0f} MiB{start}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
