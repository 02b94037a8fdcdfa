"""The FastAPI app of a service, with everything around its routes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from shared.kit.auth.documents import SECURITY_SCHEMES
from shared.kit.auth.policy import Authenticator, PolicyRoute, policies, rules
from shared.kit.auth.who import MissingPolicy
from shared.kit.http import events
from shared.kit.http.bodies import BodyBudget
from shared.kit.http.document import dressed
from shared.kit.http.encodings import KNOWN
from shared.kit.http.limits import Limiter
from shared.kit.http.middleware import RequestMiddleware
from shared.kit.http.paging import Cursors
from shared.kit.http.plainly import plainly
from shared.kit.http.probes import Health, probes_router
from shared.kit.http.problem_schema import problem_schemas
from shared.kit.http.problems import REFUSALS, log_undeclared, problem_handler
from shared.kit.problems import OF_THE_FRAMEWORK
from shared.kit.proxies import Proxies
from shared.kit.refusals import Problem
from shared.kit.telemetry.tracing import TracingMiddleware

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
OPENAPI_PATH = "/openapi.json"
BODIES_MAX = 48_000_000
TIMEOUT_S = 4.5  # no caller waits longer than five seconds, whatever is broken behind


def create_app(
    *,
    title: str,
    version: str,
    health: Health,
    routers: Sequence[APIRouter],
    auth: Authenticator,
    limiter: Limiter,
    body_max: int,
    lifespan: Lifespan | None = None,
    timeout_s: float = TIMEOUT_S,
    static: Mapping[str, Path] | None = None,
    proxies: Proxies | None = None,
    bodies_max: int = BODIES_MAX,
    overloaded: Callable[[], bool] = lambda: False,
    cursors: Cursors | None = None,
    sends: Sequence[APIRouter] = (),
) -> FastAPI:
    """An app whose every route is behind a policy. `static`: URL path → folder, public. `proxies`: none are trusted.
    `bodies_max`: bytes of all bodies that are held at once. `overloaded`: whether routes that write are refused now.
    `cursors`: for routes that answer in pages. `sends`: what it sends to others, for its document.

    Raises MissingPolicy for a route without a policy, or for companies' routes without a key ring and a replay guard.
    """
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # FastAPI's pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # what a generated client calls its function
    )
    app.state.auth = auth
    app.state.limiter = limiter
    app.state.overloaded = overloaded
    app.state.cursors = cursors
    app.state.unguarded = frozenset({OPENAPI_PATH, *(static or {})})
    app.state.undeclared = log_undeclared
    app.state.render_problem = handler = problem_handler()

    async def render(request: Request, error: Exception) -> Response:
        """Not in a thread, as a plain function would be: a refusal for want of memory must not need one."""
        return handler(request, error)

    for kind in REFUSALS:
        app.add_exception_handler(kind, render)
    app.include_router(probes_router(health))
    for router in routers:
        app.include_router(router)
    for router in sends:
        app.webhooks.include_router(router)
    for path, folder in (static or {}).items():
        app.mount(path, StaticFiles(directory=folder))
    app.add_middleware(TracingMiddleware)
    # added last: outermost
    app.add_middleware(
        RequestMiddleware,
        body_max=body_max,
        timeout_s=timeout_s,
        proxies=proxies or Proxies(),
        budget=BodyBudget(bodies_max),
    )
    app.openapi = lambda: _openapi(app, body_max)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    _check(app, auth)
    return app


def _check(app: FastAPI, auth: Authenticator) -> None:
    seen: set[tuple[str, str]] = set()
    for line in policies(app):
        if (line.path, line.method) in seen:
            raise MissingPolicy(f"{line.method} {line.path} is declared twice: one of the policies would be ignored")
        seen.add((line.path, line.method))
    for path, _, rule in rules(app):
        if rule.policy.company and (auth.signatures is None or auth.replay is None):
            raise MissingPolicy(f"{path} is for companies, and the app has no key ring or replay guard")


def _problems(app: FastAPI) -> Iterator[Problem]:
    """All that any address of the app may answer with."""
    yield from OF_THE_FRAMEWORK
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, PolicyRoute):
            yield from context.original_route.refuses


def _openapi(app: FastAPI, body_max: int) -> dict[str, Any]:
    """The document, with problems as the body of every refusal, the ways to authenticate and the bodies' limits."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = dressed(
        get_openapi(title=app.title, version=app.version, routes=app.routes, webhooks=app.webhooks.routes)
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas.update(problem_schemas(_problems(app)))
    components["securitySchemes"] = SECURITY_SCHEMES
    for path, methods, rule in rules(app):
        for method in methods:
            if body := document["paths"].get(path, {}).get(method.lower(), {}).get("requestBody"):
                body["description"] = (
                    f"At most {rule.body_max or body_max:,} bytes, also unpacked: Content-Encoding may be {KNOWN}."
                )
                if rule.event or rule.events:
                    operation = document["paths"][path][method.lower()]
                    events.document(operation, schemas, event=rule.event, events=rule.events)
    app.openapi_schema = plainly(document)
    return app.openapi_schema
