"""`python -m tests.kit.upload_door <folder> <MB>`: an app that takes uploads, in a process that can't grow much.

Prints its port. The limit is on addresses: what the process has after its start and <MB> more.
"""

import asyncio
import resource
import sys
from pathlib import Path

import uvicorn
from fastapi import Request

from shared.kit.auth import Company, allow, policy_router
from shared.kit.proxies import Proxies
from shared.kit.telemetry.log import configure_logging
from tests.kit.web import app_of

UPLOAD_MAX = 13_000_000


def bound_memory(room_mb: int) -> None:
    """From here on the process gets so much more, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room_mb * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


async def main(folder: Path, room_mb: int) -> None:
    """Serves until it is ended."""
    configure_logging("door", "WARNING", sys.stderr)
    router = policy_router()

    @router.post("/v1/upload")
    @allow(Company, body_max=UPLOAD_MAX, timeout_s=30)
    async def upload(request: Request) -> int:
        return len(await request.body())

    app = app_of([router], folder, proxies=Proxies.parse("127.0.0.1"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, proxy_headers=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    bound_memory(room_mb)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
