"""What the suite takes to start and while nothing happens: as `make demo` starts it, with all services and the door."""

import asyncio
import time
from pathlib import Path
from typing import Any

from shared.devtools.infra.ports import free_port
from shared.devtools.resting import resting, used_s
from shared.devtools.suite import running_suite
from shared.kit import clock

SETTLE_S = 10.0
"""Statistics of the first seconds, compilers and first rounds of everything are no rest."""
LOOK_S = 15.0
SERVERS = ("Postgres", "Kafka", "Valkey", "Caddy")


def rest(folder: Path, settle_s: float = SETTLE_S, look_s: float = LOOK_S) -> dict[str, Any]:
    """Start everything on servers of its own, wait, look, stop. Blocks. Raises InfraError where it doesn't start.

    `start_s`: until the front door answers; `cpu_s`: what servers and services have used by then, which a busy
    machine changes little. `cores` and `pss_mib`: all services together, servers apart; `by_part`:
    cores of each of the servers, and of all services.
    """
    began_s = clock.monotonic_s()
    with running_suite(folder, port=free_port(), persistent=False) as suite:
        start_s = clock.monotonic_s() - began_s
        cpu_s = used_s(suite)
        time.sleep(settle_s)
        suite.check()
        found = asyncio.run(resting(suite, look_s))
    servers = {name.lower(): found.parts[name].cores for name in SERVERS if name in found.parts}
    used = {name: round(cores, 4) for name, cores in {**servers, "services": found.cores}.items()}
    idle = {"cores": used["services"], "pss_mib": round(found.pss_mib, 1), "by_part": used}
    return {"start_s": round(start_s, 2), "cpu_s": round(cpu_s, 1), "idle": idle}
