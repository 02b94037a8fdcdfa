"""Three questions an orchestrator asks, each with its own consequence, and the metrics page.

/startupz: has it finished starting? (no: wait)   /readyz: may it get requests now? (no: route around it)
/livez: is it beyond repair? (yes: restart). A lost dependency must not fail it: restarting doesn't bring that back.
"""

import asyncio
from typing import Protocol

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.kit import metrics
from shared.kit.auth.policy import allow, policy_router
from shared.kit.auth.who import Public

_READY_PATIENCE_S = 2.0


class Health(Protocol):
    """What a service answers about itself. The dicts name what is wrong: {} is well, {"kafka": "no leader"} is not."""

    def started(self) -> bool:
        """Whether start-up has finished."""
        ...

    async def ready(self) -> dict[str, str]:
        """What keeps it from serving requests now."""
        ...

    def alive(self) -> dict[str, str]:
        """What only a restart can cure, e.g. a worker that ended."""
        ...


def probes_router(health: Health) -> APIRouter:
    """/startupz, /readyz, /livez (200 or 503, with the reasons) and /metrics."""
    router = policy_router(include_in_schema=False)

    @router.get("/startupz")
    @allow(Public, limited=False)
    async def startupz() -> Response:
        return _answer({} if health.started() else {"startup": "not finished"})

    @router.get("/readyz")
    @allow(Public, limited=False)
    async def readyz() -> Response:
        if not health.started():
            return _answer({"startup": "not finished"})
        try:
            async with asyncio.timeout(_READY_PATIENCE_S):
                return _answer(await health.ready())
        except TimeoutError:
            return _answer({"readiness": f"no answer within {_READY_PATIENCE_S} s"})

    @router.get("/livez")
    @allow(Public, limited=False)
    async def livez() -> Response:
        return _answer(health.alive())

    @router.get("/metrics")
    @allow(Public, limited=False)
    async def metrics_page() -> Response:
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


def _answer(problems: dict[str, str]) -> Response:
    if problems:
        return JSONResponse({"status": "failing", "problems": problems}, 503)
    return JSONResponse({"status": "ok", "problems": {}})
