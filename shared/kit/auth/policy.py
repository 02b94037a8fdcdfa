"""Deny by default: a route says who may call it, or the process doesn't start.

    router = policy_router()

    @router.get("/v1/cases/{case_id}")
    @allow(AnyOf(GridWorker, Dispatcher))
    async def read_case(case_id: UUID, caller: Caller) -> CaseOut: ...

A policy decides about the kind of caller. Which rows it may see is the handler's: `caller.covers(area)`, `is_self(id)`.
"""

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response

from shared.kit.auth.jwt import JwtVerifier
from shared.kit.auth.principal import ANONYMOUS, ROLES, Principal
from shared.kit.auth.replay import ReplayGuard
from shared.kit.auth.signature import SignatureVerifier, is_signed
from shared.kit.http.limits import Allowance, Limiter
from shared.kit.http.middleware import allow_body, allow_time
from shared.kit.http.problems import ApiProblem, bad_request, forbidden, not_json, problem_responses, unauthorized

_MARK = "__beegrid_rule__"
_BEARER, _SIGNATURE = "bearer", "companySignature"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class MissingPolicy(TypeError):
    """A route was declared without a policy, or with one that this app can't enforce."""


@dataclass(frozen=True)
class Policy:
    """Who may call a route.

    `roles`: a token with any of these; `any_person`: any valid token; `company`: a signature; `public`: everybody.
    """

    name: str
    roles: frozenset[str] = frozenset()
    any_person: bool = False
    company: bool = False
    public: bool = False

    @property
    def person(self) -> bool:
        """Whether a token can satisfy it."""
        return self.any_person or bool(self.roles)

    def admits(self, principal: Principal) -> bool:
        """The decision itself."""
        if self.public:
            return True
        if principal.kind == "company":
            return self.company
        return principal.kind in ("person", "operator") and (self.any_person or bool(self.roles & principal.roles))


def AnyOf(*policies: Policy) -> Policy:
    """Whoever one of the policies admits. Public can't be one of them: it would hide the others."""
    if len(policies) < 2 or any(policy.public for policy in policies):
        raise MissingPolicy("AnyOf takes two or more policies, none of them Public")
    return Policy(
        "|".join(policy.name for policy in policies),
        frozenset[str]().union(*(policy.roles for policy in policies)),
        any(policy.any_person for policy in policies),
        any(policy.company for policy in policies),
    )


def _role(name: str) -> Policy:
    if name not in ROLES:
        raise MissingPolicy(f"unknown role {name}")
    return Policy(name, frozenset({name}))


Public = Policy("public", public=True)
Person = Policy("person", any_person=True)
Company = Policy("company", company=True)
Rider = _role("rider")
GridWorker = _role("grid_worker")
Dispatcher = _role("dispatcher")
Department = _role("department")
Verifier = _role("verifier")
Merchant = _role("merchant")
Operator = _role("operator")


@dataclass(frozen=True)
class Rule:
    """A route's policy and what else is enforced before its body is read. `body_max` in bytes."""

    policy: Policy
    body_max: int | None = None
    limited: bool = True
    timeout_s: float | None = None


def allow(
    policy: Policy, *, body_max: int | None = None, limited: bool = True, timeout_s: float | None = None
) -> Callable[[Endpoint], Endpoint]:
    """Declares who may call the route; stands directly above the function, below the router's decorator."""

    def mark(endpoint: Endpoint) -> Endpoint:
        if hasattr(endpoint, _MARK):
            raise MissingPolicy(f"{endpoint.__name__} has two policies")
        setattr(endpoint, _MARK, Rule(policy, body_max, limited, timeout_s))
        return endpoint

    return mark


@dataclass(frozen=True)
class Authenticator:
    """The verifiers of an app. Without `signatures` and `replay` it can't have routes for companies."""

    jwt: JwtVerifier
    signatures: SignatureVerifier | None = None
    replay: ReplayGuard | None = None

    async def principal(self, request: Request, policy: Policy) -> Principal:
        """Who asks, as far as the policy cares.

        Raises the problems of the verifiers, and 400 for two identities at once.
        """
        if policy.public:
            return ANONYMOUS
        token, signed = _bearer(request), is_signed(request)
        if token is not None and signed:
            raise bad_request("two_identities", "身份不明确 / Two identities", "a token or a signature, not both")
        if signed and policy.company:
            return await self._company(request)
        if token is not None and policy.person:
            return await self.jwt.verify(token)
        challenge = 'Bearer realm="beegrid"' if policy.person else 'StandardWebhooks realm="beegrid"'
        raise unauthorized("credentials_missing", f"needs {_needs(policy)}", challenge)

    async def _company(self, request: Request) -> Principal:
        if self.signatures is None or self.replay is None:
            raise MissingPolicy("a route for companies, and no key ring")  # create_app refuses this before
        principal, request_id = await self.signatures.verify(request)
        await self.replay.accept(principal.id, request_id)
        return principal


class PolicyRoute(APIRoute):
    """A route that authenticates, authorises and limits before FastAPI reads the body or runs a dependency."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        rule = getattr(endpoint, _MARK, None)
        if not isinstance(rule, Rule):
            raise MissingPolicy(f"{path}: put @allow(<policy>) on {endpoint.__qualname__}")
        self.rule = rule
        policy = rule.policy
        if not policy.public:
            extra = {"x-policy": policy.name, "security": _security(policy), **(options.get("openapi_extra") or {})}
            automatic = problem_responses(401, 403, 422, 429, 503)
        else:
            extra = {"x-policy": policy.name, "security": [], **(options.get("openapi_extra") or {})}
            automatic = problem_responses(422, 429, 503)
        options["openapi_extra"] = extra
        options["responses"] = {**automatic, **(options.get("responses") or {})}
        super().__init__(path, endpoint, **options)
        if self.body_field is not None:
            self.responses = {**problem_responses(400, 413, 415), **self.responses}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the guard."""
        handler, rule = super().get_route_handler(), self.rule
        takes_json = self.body_field is not None

        async def guarded(request: Request) -> Response:
            if rule.body_max is not None:
                allow_body(request.scope, rule.body_max)
            if rule.timeout_s is not None:
                allow_time(request.scope, rule.timeout_s)
            allowance = await _admit(request, rule)
            if takes_json and _has_body(request) and not _says_json(request):
                raise not_json()
            if "idempotency-key" in request.headers:
                await request.body()  # kept by the request: a form would else be consumed before its hash is taken
            response = await handler(request)
            if allowance is not None:
                response.headers.update(allowance.headers())
            return response

        return guarded


def policy_router(**options: Any) -> APIRouter:
    """An APIRouter whose routes each need `@allow`. Paths are written out in full: there are no prefixes."""
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


async def _admit(request: Request, rule: Rule) -> Allowance | None:
    """Sets request.state.principal, or raises. Returns what is left of the caller's rate."""
    state = cast(_State, request.app.state)
    try:
        principal = await state.auth.principal(request, rule.policy)
    except ApiProblem as problem:
        if problem.status == 401 and rule.limited:
            # guessing is limited by address, since there is no principal to count for
            await state.limiter.check(_address_key(request))
        raise
    request.state.principal = principal
    allowance = None
    if rule.limited:
        key = principal.key if principal.kind != "anonymous" else _address_key(request)
        allowance = await state.limiter.check(key)
    if not rule.policy.admits(principal):
        raise forbidden(f"needs {_needs(rule.policy)}")
    return allowance


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _address_key(request: Request) -> str:
    return f"address:{request.client.host if request.client else 'unknown'}"


def _bearer(request: Request) -> str | None:
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token:
        raise unauthorized("credentials_malformed", "one Authorization header: Bearer <token>")
    return token.strip()


def _needs(policy: Policy) -> str:
    ways = [policy.name] if not policy.company or policy.person else ["a company's signature"]
    return " or ".join(ways)


def _security(policy: Policy) -> list[dict[str, list[str]]]:
    ways: list[dict[str, list[str]]] = []
    if policy.person:
        ways.append({_BEARER: []})
    if policy.company:
        ways.append({_SIGNATURE: []})
    return ways


SECURITY_SCHEMES: dict[str, Any] = {
    _BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A person's token."},
    _SIGNATURE: {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks: beegrid-company, webhook-id, webhook-timestamp and webhook-signature "
        "(v1, HMAC-SHA-256 of id.timestamp.body; without a body of the request line). A new webhook-id per attempt.",
    },
}
