"""Deny by default: a route says who may call it, or the process doesn't start.

    router = policy_router()

    @router.get("/v1/cases/{case_id}")
    @allow(AnyOf(GridWorker, Dispatcher))
    async def read_case(case_id: UUID, caller: Caller) -> CaseOut: ...

A policy decides about the kind of caller, and leaves the handler only the roles that it lets in. Which rows those may
see is the handler's: `caller.covers(area)`, `is_self(id)`.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response

from shared.kit.auth import documents
from shared.kit.auth.address import Address
from shared.kit.auth.jwt import JwtVerifier
from shared.kit.auth.key_ring import Ask
from shared.kit.auth.once import Handle, answered_once
from shared.kit.auth.principal import ANONYMOUS, Principal
from shared.kit.auth.replay import ReplayGuard
from shared.kit.auth.signature import SignatureVerifier, content_hash, is_signed
from shared.kit.auth.who import MissingPolicy, Policy
from shared.kit.http.body_models import bound_errors, items_max
from shared.kit.http.encodings import unpacked
from shared.kit.http.events import plain
from shared.kit.http.limits import Allowance, Limiter
from shared.kit.http.middleware import allow_body, allow_time, weigh_json
from shared.kit.http.problems import not_taken, refusal_responses, unauthorized
from shared.kit.problems import (
    BUSY,
    CREDENTIALS_MALFORMED,
    CREDENTIALS_MISSING,
    FORBIDDEN,
    INTERNAL_ERROR,
    MALFORMED_EVENT,
    TOO_MANY_ITEMS,
    TWO_IDENTITIES,
    ServiceBusy,
    company_suspended,
)
from shared.kit.refusals import Problem, Refusal, refused_by

_MARK = "__beegrid_rule__"
_READS = frozenset({"GET", "HEAD"})
OVERLOADED_S = 5
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """A route's policy and what else is enforced before its body is read. `body_max` in bytes, as sent and unpacked.

    `event`, `events`: which CloudEvents it takes, see shared/kit/http/events.py.
    """

    policy: Policy
    body_max: int | None = None
    limited: bool = True
    timeout_s: float | None = None
    answer_kept: bool = True
    event: bool = False
    events: str | None = None
    refuses: tuple[Problem, ...] = ()
    writes: bool = False


def allow(
    policy: Policy,
    *,
    body_max: int | None = None,
    limited: bool = True,
    timeout_s: float | None = None,
    answer_kept: bool = True,
    event: bool = False,
    events: str | None = None,
    refuses: Iterable[Problem] = (),
    writes: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declares who may call the route; stands directly above the function, below the router's decorator.

    `answer_kept` False: the answer has a secret, so that a signed request sent again is refused instead of answered.
    `event`: one CloudEvent may be sent as well; `events`: a batch of them, whose data becomes this list of the body.
    `refuses`: with what the handler does, beside what stands before it. `writes`: it publishes events, so that it is
    refused as busy, unread, while Kafka takes none and they pile up.
    """

    def mark(endpoint: Endpoint) -> Endpoint:
        if hasattr(endpoint, _MARK):
            raise MissingPolicy(f"{endpoint.__name__} has two policies")
        bound_errors(endpoint)
        setattr(
            endpoint,
            _MARK,
            Rule(policy, body_max, limited, timeout_s, answer_kept, event, events, tuple(refuses), writes),
        )
        return endpoint

    return mark


@dataclass(frozen=True)
class Authenticator:
    """The verifiers of an app. Without `signatures` and `replay` it can't have routes for companies."""

    jwt: JwtVerifier
    signatures: SignatureVerifier | None = None
    replay: ReplayGuard | None = None
    erased: Callable[[str], Awaitable[bool]] | None = None
    """Whether a rider's id is on the list of those who left: their tokens outlive them at the issuer."""

    async def principal(self, request: Request, policy: Policy, ask: Ask | None = None) -> Principal:
        """Who asks, as far as the policy cares. `ask`: before a company is looked up that nothing is known of.

        Raises the problems of the verifiers and of `ask`, and 400 for two identities at once.
        """
        if policy.public:
            return ANONYMOUS
        token, signed = _bearer(request), is_signed(request)
        if token is not None and signed:
            raise TWO_IDENTITIES("a token or a signature, not both")
        if signed and policy.company:
            return await self._company(request, ask)
        if token is not None and policy.person:
            return await self.jwt.verify(token)
        challenge = 'Bearer realm="beegrid"' if policy.person else 'StandardWebhooks realm="beegrid"'
        raise unauthorized(CREDENTIALS_MISSING, f"needs {_needs(policy)}", challenge)

    async def check_erased(self, principal: Principal) -> None:
        """Raises the 403 problem for a rider who left. Asks the database: after the limits."""
        if self.erased is not None and principal.has("rider") and await self.erased(principal.id):
            raise FORBIDDEN("the rider's data was erased")

    async def _company(self, request: Request, ask: Ask | None) -> Principal:
        if self.signatures is None or self.replay is None:
            raise MissingPolicy("a route for companies, and no key ring")  # create_app refuses this before
        principal, request.state.signed = await self.signatures.verify(request, ask)
        return principal


class PolicyRoute(APIRoute):
    """A route that authenticates, authorises and limits before FastAPI reads the body or runs a dependency.

    Raises:
        MissingPolicy: the endpoint has no `@allow`.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        rule = getattr(endpoint, _MARK, None)
        if not isinstance(rule, Rule):
            raise MissingPolicy(f"{path}: put @allow(<policy>) on {endpoint.__qualname__}")
        self.rule = rule
        policy = rule.policy
        security = documents.security(policy)
        options["openapi_extra"] = {
            "x-policy": policy.name,
            "security": security,
            **(options.get("openapi_extra") or {}),
        }
        super().__init__(path, endpoint, **options)
        self.refuses = tuple(dict.fromkeys(self._refuses()))
        self.responses = {**refusal_responses(self.refuses), **self.responses}

    @property
    def takes_json(self) -> bool:
        """Whether its body is JSON."""
        return self.body_field is not None

    @property
    def takes_body(self) -> bool:
        """Whether it has a body at all: of JSON, or one that it describes itself."""
        return self.takes_json or "requestBody" in (self.openapi_extra or {})

    def _refuses(self) -> Iterator[Problem]:
        """All that it may refuse with: what stands before the handler, the handler, and what that depends on."""
        writes = not (self.methods or _READS) <= _READS
        yield from documents.refusals_before(
            self.rule.policy, writes=writes, body=self.takes_body, json=self.takes_json
        )
        if self.rule.event or self.rule.events:
            yield MALFORMED_EVENT
        if items_max(self.endpoint, self.rule.events):
            yield TOO_MANY_ITEMS
        yield from self.rule.refuses
        pending = [self.dependant]
        for one in pending:
            yield from refused_by(one.call)
            pending += one.dependencies
        # whatever it does: ours may break, and what it needs may be away
        yield from (INTERNAL_ERROR, BUSY)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the guard."""
        handler, rule = super().get_route_handler(), self.rule
        takes_json, takes_body, events_max = self.takes_json, self.takes_body, items_max(self.endpoint, rule.events)

        async def guarded(request: Request) -> Response:
            if rule.body_max is not None:
                allow_body(request.scope, rule.body_max)
            if rule.timeout_s is not None:
                allow_time(request.scope, rule.timeout_s)
            allowance = await _admit(request, rule)
            if takes_json and _has_body(request) and not _says_json(request):
                raise not_taken("application/json")
            if takes_body:
                request = await _opened(request)
            if takes_json or "idempotency-key" in request.headers:
                body = await request.body()  # kept by the request: a form would else be consumed before it is hashed
                if takes_json:
                    weigh_json(request.scope, body)
            if takes_json:
                request = await plain(request, event=rule.event, events=rule.events, items_max=events_max)
            response = await _handle(request, rule, handler)
            if allowance is not None:
                response.headers.update(allowance.headers())
            return response

        return guarded


def policy_router(**options: Any) -> APIRouter:
    """An APIRouter whose routes each need `@allow`. Paths are written out in full: there are no prefixes.

    Raises:
        MissingPolicy: a prefix was given.
    """
    if options.get("prefix"):
        raise MissingPolicy("write paths out in full: a prefix would hide them from metrics and search")
    return APIRouter(route_class=PolicyRoute, redirect_slashes=False, **options)


async def current_principal(request: Request) -> Principal:
    """The caller, for handlers."""
    return cast(Principal, request.state.principal)


Caller = Annotated[Principal, Depends(current_principal)]


@dataclass(frozen=True, order=True)
class RoutePolicy:
    """One line of the policy table."""

    path: str
    method: str
    policy: str


def policies(app: FastAPI) -> list[RoutePolicy]:
    """The policy of every method of every route, sorted. Raises MissingPolicy for a route that has none."""
    found: list[RoutePolicy] = []
    for path, methods, rule in rules(app):
        found += [RoutePolicy(path, method, rule.policy.name) for method in methods]
    return sorted(found)


def rules(app: FastAPI) -> Iterator[tuple[str, list[str], Rule]]:
    """Path, methods and rule of every route. Raises MissingPolicy for one that isn't a PolicyRoute."""
    known = getattr(app.state, "unguarded", frozenset[str]())
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = str(context.path)
        if path in known:
            continue
        if not isinstance(route, PolicyRoute):
            raise MissingPolicy(f"{path} is not behind a policy: use policy_router()")
        if path != route.path:
            raise MissingPolicy(f"{path} was included under a prefix: write the path out in full")
        yield path, sorted(route.methods or ()), route.rule


class _State(Protocol):
    auth: Authenticator
    limiter: Limiter
    overloaded: Callable[[], bool]


async def _admit(request: Request, rule: Rule) -> Allowance | None:
    """Sets request.state.principal, or raises. Returns what is left of the caller's rate."""
    state = cast(_State, request.app.state)
    address = Address(request, state.limiter)
    try:
        principal = await state.auth.principal(request, rule.policy, address.check if rule.limited else None)
    except Refusal as refusal:
        if refusal.status == 401 and rule.limited:
            await address.check()  # guessing: there is no principal to count for
        raise
    request.state.principal = rule.policy.narrowed(principal)
    allowance = None
    if rule.limited:
        named = principal.kind != "anonymous"
        allowance = await (state.limiter.check(principal.key) if named else address.check())
    if not rule.policy.admits(principal):
        raise FORBIDDEN(f"needs {_needs(rule.policy)}")
    if principal.suspended:
        raise company_suspended()
    await state.auth.check_erased(principal)
    if rule.writes and state.overloaded():
        raise ServiceBusy("events wait for Kafka", OVERLOADED_S)
    return allowance


async def _handle(request: Request, rule: Rule, handler: Handle) -> Response:
    """The handler's answer; that of a signed request once, and the same again. Limits were asked before: a request
    that they refuse has used no id. A read has no effect: sent again, it is answered with what is so now."""
    signed, replay = getattr(request.state, "signed", None), cast(_State, request.app.state).auth.replay
    if signed is None or replay is None or request.method in _READS:
        return await handler(request)
    return await answered_once(replay, signed, request, handler, keep=rule.answer_kept)


async def _opened(request: Request) -> Request:
    """The request with its body unpacked. Packed again for another attempt, its bytes may differ (gzip has a time in
    it): a signed one is the same request nevertheless."""
    opened = await unpacked(request)
    signed = getattr(request.state, "signed", None)
    if opened is not request and signed is not None:
        request.state.signed = replace(signed, content_hash=content_hash(request, await opened.body()))
    return opened


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _bearer(request: Request) -> str | None:
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token:
        raise unauthorized(CREDENTIALS_MALFORMED, "one Authorization header: Bearer <token>")
    return token.strip()


def _needs(policy: Policy) -> str:
    ways = [policy.name] if not policy.company or policy.person else ["a company's signature"]
    return " or ".join(ways)
