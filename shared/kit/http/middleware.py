"""What surrounds every request: id, metrics, time limit, body limit, security headers, the last resort for errors.

Plain ASGI: Starlette's BaseHTTPMiddleware runs the app in another task, which breaks context variables and costs twice.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast

import structlog
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kit import clock, metrics
from shared.kit.db import is_transient
from shared.kit.http.problems import MEDIA_TYPE, ApiProblem, BodyTooLarge, ServiceBusy, internal_error
from shared.kit.ids import new_id

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_BODY_SCOPE_KEY = "beegrid.body"
_TIMEOUT_SCOPE_KEY = "beegrid.timeout"
_log = structlog.get_logger(__name__)

# For an API. A page sets its own Content-Security-Policy, which is then left alone
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "Cache-Control": "no-store",
}


class BodyMeter:
    """Counts the body as it arrives, whether or not its length was announced."""

    def __init__(self, receive: Receive, headers: Headers, bytes_max: int) -> None:
        announced = headers.get("content-length", "")
        self._receive = receive
        self._announced = int(announced) if announced.isdecimal() else 0
        self._arrived = 0
        self.bytes_max = bytes_max

    async def __call__(self) -> Message:
        """The next ASGI message; raises BodyTooLarge as soon as it is certain, before the rest is read."""
        self._check(self._announced)
        message = await self._receive()
        if message["type"] == "http.request":
            self._arrived += len(message.get("body", b""))
            self._check(self._arrived)
        return message

    def _check(self, size: int) -> None:
        if size > self.bytes_max:
            raise BodyTooLarge(self.bytes_max)


def allow_body(scope: Scope, bytes_max: int) -> None:
    """Another body limit for the request at hand, before its body is read."""
    meter = scope.get(_BODY_SCOPE_KEY)
    if isinstance(meter, BodyMeter):
        meter.bytes_max = bytes_max


def allow_time(scope: Scope, seconds: float) -> None:
    """Another time limit for the request at hand, counted from now."""
    limit = scope.get(_TIMEOUT_SCOPE_KEY)
    if isinstance(limit, asyncio.Timeout):
        limit.reschedule(asyncio.get_running_loop().time() + seconds)


class _Answer:
    """`send`, watched: status and headers of the answer pass here."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=cast("dict[str, Any]", message))
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._request_id
        await self._send(message)


class RequestMiddleware:
    """The outermost layer of an app. `timeout_s` covers reading the body, the work and sending the answer."""

    def __init__(self, app: ASGIApp, *, body_max: int, timeout_s: float) -> None:
        self._app = app
        self._body_max = body_max
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; other ASGI scopes (lifespan) pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope[_BODY_SCOPE_KEY] = meter = BodyMeter(receive, headers, self._body_max)
        answer = _Answer(send, request_id)
        started_s = clock.monotonic_s()
        metrics.HTTP_IN_FLIGHT.inc()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(scope, meter, answer)
            finally:
                metrics.HTTP_IN_FLIGHT.dec()
                _record(scope, answer.status, clock.monotonic_s() - started_s)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        limit = asyncio.timeout(self._timeout_s)
        scope[_TIMEOUT_SCOPE_KEY] = limit
        try:
            async with limit:
                await self._app(scope, receive, answer)
        except TimeoutError as exc:
            cause = None if limit.expired() else repr(exc)[:200]
            _log.warning("request ran out of time", route=route_of(scope), error=cause)
            if answer.status:
                raise  # half an answer is out: only closing the connection tells the caller so
            await send_problem(ServiceBusy("the time limit of the request passed"), scope, receive, answer)
        except Exception as exc:
            if answer.status:
                raise
            if is_transient(exc):
                _log.warning("request met an outage", route=route_of(scope), error=repr(exc)[:200])
                await send_problem(ServiceBusy("a dependency is away"), scope, receive, answer)
            else:
                _log.error("request failed", route=route_of(scope), exc_info=exc)
                await send_problem(internal_error(), scope, receive, answer)


async def send_problem(problem: ApiProblem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a problem from outside the app's own exception handling."""
    headers: Mapping[str, str] = problem.headers or {}
    response = JSONResponse(problem.marshal(), problem.status, dict(headers), MEDIA_TYPE)
    await response(scope, receive, send)


def route_of(scope: Scope) -> str:
    """The template of the matched route ("/v1/reports/{report_id}"), or "unmatched": never a path, which has ids."""
    return str(getattr(scope.get("route"), "path", None) or "unmatched")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(new_id())


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = route_of(scope)
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    metrics.HTTP_REQUESTS.labels(method, route, str(status or 499)).inc()  # 499: the caller left before an answer
    metrics.HTTP_DURATION.labels(method, route).observe(seconds)
