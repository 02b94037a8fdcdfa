"""What the suite takes to start and while nothing happens: as `make demo` starts it, with all services and the door."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.devtools.bench.sides import cpu_s
from shared.devtools.infra.ports import free_port
from shared.devtools.suite import Suite, running_suite
from shared.kit import clock

MIB = 1024**2
SETTLE_S = 10.0
"""Statistics of the first seconds, compilers and first rounds of everything are no rest."""
LOOK_S = 15.0


@dataclass(frozen=True)
class Rest:
    """`start_s`: until the front door answers. `cores` and `pss_mib`: all services together, servers apart; `by_part`:
    cores of each of the servers, and of all services."""

    start_s: float
    cores: float
    pss_mib: float
    by_part: dict[str, float]


def rest(folder: Path, settle_s: float = SETTLE_S, look_s: float = LOOK_S) -> Rest:
    """Start everything on servers of its own, wait, look, stop. Blocks. Raises InfraError where it doesn't start."""
    began_s = clock.monotonic_s()
    with running_suite(folder, port=free_port(), persistent=False) as suite:
        start_s = clock.monotonic_s() - began_s
        time.sleep(settle_s)
        suite.check()
        before, since_s = _cpu_s(suite), clock.monotonic_s()
        time.sleep(look_s)
        after, took_s = _cpu_s(suite), clock.monotonic_s() - since_s
        memory = pss_mib(family(process.pid for process in suite.services.values()))
    used = {name: round((after[name] - before[name]) / took_s, 4) for name in after}
    return Rest(round(start_s, 2), used["services"], round(memory, 1), used)


def _cpu_s(suite: Suite) -> dict[str, float]:
    infra = suite.installation.infra
    servers = {"postgres": infra.postgres, "kafka": infra.kafka, "valkey": infra.valkey, "caddy": suite.front_door}
    found = {name: cpu_s(server.pid) for name, server in servers.items() if server is not None}
    members = family(process.pid for process in suite.services.values())
    return {**found, "services": sum(_own_cpu_s(process) for process in members)}


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """These processes, what they have started, and what they were forked from, up to this one and without it."""
    found: dict[int, psutil.Process] = {}
    here = psutil.Process()
    above = {here.pid, *(process.pid for process in here.parents())}
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True), *process.parents()):
            if one.pid not in above and one.pid > 1:
                found[one.pid] = one
    return list(found.values())


def pss_mib(processes: Iterable[psutil.Process]) -> float:
    """Proportional memory: a page that several share counts once between them. Elsewhere than on Linux the resident."""
    total = 0
    for process in processes:
        full = process.memory_full_info()
        total += getattr(full, "pss", full.rss)
    return total / MIB


def _own_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
