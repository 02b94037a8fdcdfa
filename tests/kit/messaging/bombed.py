"""Intake's door for companies as a process of its own with as much memory as its pod has: `… <bytes>`."""

import asyncio
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.messaging.work import Event, Work
from shared.kit.service import Service
from shared.kit.service.running import running
from shared.kit.settings import KitSettings


async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
    rows = [(f"{event.company} {event.key}",) for event in events]
    await work.conn.executemany("INSERT INTO effects (key) VALUES ($1)", rows)


async def serve() -> None:
    service = Service("intake", KitSettings(), title="door")
    service.consumes(INBOUND_REPORTS, handle)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(service):
        await stop.wait()


if __name__ == "__main__":
    limit_bytes = int(sys.argv[1])
    # What is written to counts, as in a cgroup; addresses that are only reserved (stacks, arenas) cost a pod nothing.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    asyncio.run(serve())
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), flush=True)
