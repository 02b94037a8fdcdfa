"""What surrounds every request: id, metrics, time limit, body limit, security headers, the last resort for errors.

Plain ASGI: Starlette's BaseHTTPMiddleware runs the app in another task, which breaks context variables and costs twice.
"""

import asyncio
import contextlib
import re
from functools import partial
from typing import Any, cast

import structlog
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kit import clock, metrics
from shared.kit.http.bodies import BodiesFull, Body, BodyBudget, json_weight
from shared.kit.http.problems import MEDIA_TYPE, BodyTooLarge, document
from shared.kit.ids import new_id
from shared.kit.postgres.db import is_transient
from shared.kit.problems import INTERNAL_ERROR, ServiceBusy
from shared.kit.proxies import Proxies, bucket
from shared.kit.refusals import Refusal

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
STRANGER_PATIENCE_S = 3.0
STRANGER_BYTES_PER_S = 32_000
"""How fast a body must come whose sender is not known yet: a company's server on a poor line is ten times as fast."""
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
    """Counts the body as it arrives, whether or not its length was announced, and ends one that doesn't."""

    def __init__(self, receive: Receive, headers: Headers, bytes_max: int, budget: BodyBudget, body: Body) -> None:
        announced = headers.get("content-length", "")
        self._receive = receive
        self._announced = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        self._budget = budget
        self._body = body
        self._arrived = 0
        self._patience_s = 0.0
        self._blameless = False
        self.unread = self._announced > 0 or "transfer-encoding" in headers
        self.bytes_max = bytes_max

    async def __call__(self) -> Message:
        """The next ASGI message; raises BodyTooLarge as soon as it is certain, before the rest is read, BodiesFull
        where there is no room or what is to come doesn't."""
        self.check_announced()
        message = await (self._next_of_stranger() if self.unread and not self._body.known else self._receive())
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._arrived += size
            self._check(self._arrived)
            self.hold(size)
            self.unread = self._body.arriving = message.get("more_body", False)
        return message

    @property
    def was_cut(self) -> bool:
        """Whether the request was ended so that another one has room."""
        return self._body.was_cut

    def check_announced(self) -> None:
        """Raises BodyTooLarge for a body that says so itself."""
        self._check(self._announced)

    def hold(self, size: int) -> None:
        """Counts bytes until `close`. Raises BodiesFull where there is no room."""
        try:
            self._budget.take(self._body, size)
        except BodiesFull:
            self._blameless = True
            raise

    def hold_objects(self, size: int) -> None:
        """As `hold`. Raises BodyTooLarge for what has no room even alone."""
        if size + self._body.held > self._budget.share_max:
            raise BodyTooLarge(self.bytes_max)
        self.hold(size)

    def hold_unpacked(self, whole: int, size: int) -> None:
        """As `hold`, of a piece that makes the unpacked body `whole` bytes. Raises BodyTooLarge beyond the limit."""
        self._check(whole)
        self.hold(size)

    def doubt(self) -> None:
        """The body is needed to know who sends it. Raises the 429 problem for an address that wasted too many."""
        if self.unread:
            self._budget.check_wasted(self._body.address)
            self._budget.know(self._body, known=False)
            self._patience_s = STRANGER_PATIENCE_S

    def know(self) -> None:
        """The sender has proven who they are."""
        self._budget.know(self._body, known=True)

    def close(self) -> None:
        """The request is answered."""
        if not self._body.known and not self._blameless and not self.was_cut:
            self._budget.waste(self._body.address, self._arrived)
        self._budget.give_back(self._body)

    async def _next_of_stranger(self) -> Message:
        """Whoever sends bytes earns time, up to a full patience; whoever stops has only what is left of it."""
        asked_s = clock.monotonic_s()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError as exc:
            raise BodiesFull("the body came too slowly") from exc
        earned_s = len(message.get("body", b"")) / STRANGER_BYTES_PER_S
        self._patience_s = min(STRANGER_PATIENCE_S, self._patience_s + asked_s - clock.monotonic_s() + earned_s)
        return message

    def _check(self, size: int) -> None:
        if size > self.bytes_max:
            raise BodyTooLarge(self.bytes_max)


def check_announced_body(scope: Scope) -> None:
    """Raises BodyTooLarge where the body's announced length is too much, before any of it is read."""
    meter = scope.get(_BODY_SCOPE_KEY)
    if isinstance(meter, BodyMeter):
        meter.check_announced()


def doubt_body(scope: Scope) -> None:
    """The body at hand is read to know who sends it: until `know_body` it is a stranger's. Raises the 429 problem."""
    meter = scope.get(_BODY_SCOPE_KEY)
    if isinstance(meter, BodyMeter):
        meter.doubt()


def know_body(scope: Scope) -> None:
    """The sender of the body at hand has proven who they are."""
    meter = scope.get(_BODY_SCOPE_KEY)
    if isinstance(meter, BodyMeter):
        meter.know()


def weigh_json(scope: Scope, body: bytes) -> None:
    """Counts what a body will be as objects. Raises BodiesFull, BodyTooLarge where that could never have room."""
    meter, weight = scope.get(_BODY_SCOPE_KEY), json_weight(body)
    if isinstance(meter, BodyMeter):
        meter.hold_objects(weight)


def hold_unpacked(scope: Scope, whole: int, size: int) -> None:
    """Counts a piece of a body that came packed and is `whole` bytes so far. Raises BodyTooLarge, BodiesFull."""
    meter = scope.get(_BODY_SCOPE_KEY)
    if isinstance(meter, BodyMeter):
        meter.hold_unpacked(whole, size)


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


def _cut(scope: Scope) -> None:
    """Ends the request at hand, unless that has begun already."""
    with contextlib.suppress(RuntimeError):
        allow_time(scope, 0.0)


class _Answer:
    """`send`, watched: status and headers of the answer pass here."""

    def __init__(self, send: Send, request_id: str, meter: BodyMeter) -> None:
        self._send = send
        self._request_id = request_id
        self._meter = meter
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=cast("dict[str, Any]", message))
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._request_id
            if self._meter.unread:
                headers["Connection"] = "close"  # what is still unread must not be taken for the next request
        await self._send(message)


class RequestMiddleware:
    """The outermost layer of an app. `timeout_s` covers reading the body, the work and sending the answer."""

    def __init__(self, app: ASGIApp, *, body_max: int, timeout_s: float, proxies: Proxies, budget: BodyBudget) -> None:
        self._app = app
        self._budget = budget
        self._proxies = proxies
        self._body_max = body_max
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; other ASGI scopes (lifespan) pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        peer = scope.get("client")
        caller = self._proxies.caller(peer and peer[0], headers.getlist("x-forwarded-for"))
        scope["client"] = (caller, 0)
        body = Body(bucket(caller), partial(_cut, scope))
        scope[_BODY_SCOPE_KEY] = meter = BodyMeter(receive, headers, self._body_max, self._budget, body)
        answer = _Answer(send, request_id, meter)
        started_s = clock.monotonic_s()
        metrics.HTTP_IN_FLIGHT.inc()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(scope, meter, answer)
            finally:
                meter.close()
                metrics.HTTP_IN_FLIGHT.dec()
                _record(scope, answer.status, clock.monotonic_s() - started_s)

    async def _answer(self, scope: Scope, receive: BodyMeter, answer: _Answer) -> None:
        limit = asyncio.timeout(self._timeout_s)
        scope[_TIMEOUT_SCOPE_KEY] = limit
        try:
            async with limit:
                await self._app(scope, receive, answer)
        except TimeoutError as exc:
            cause = None if limit.expired() else repr(exc)[:200]
            _log.warning("request ran out of time", route=route_of(scope), error=cause, cut=receive.was_cut)
            if answer.status:
                raise  # half an answer is out: only closing the connection tells the caller so
            why = "others needed the room of this body" if receive.was_cut else "the time limit of the request passed"
            await send_problem(ServiceBusy(why), scope, receive, answer)
        except ClientDisconnect:
            _log.debug("caller left", route=route_of(scope))
        except Exception as exc:
            if answer.status:
                raise
            if is_transient(exc):
                _log.warning("request met an outage", route=route_of(scope), error=repr(exc)[:200])
                await send_problem(ServiceBusy("a dependency is away"), scope, receive, answer)
            else:
                _log.error("request failed", route=route_of(scope), exc_info=exc)
                await send_problem(INTERNAL_ERROR(), scope, receive, answer)


async def send_problem(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a refusal from outside the app's own exception handling."""
    response = JSONResponse(document(refusal), refusal.status, refusal.headers, MEDIA_TYPE)
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
