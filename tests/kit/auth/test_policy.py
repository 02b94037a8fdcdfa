"""Deny by default: no route without a policy, and nobody past one that doesn't let them in."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Request

from shared.devtools.identity import Identity
from shared.kit.auth import (
    AnyOf,
    Authenticator,
    Caller,
    CityOperator,
    Company,
    Department,
    Dispatcher,
    GridWorker,
    Jwks,
    JwtVerifier,
    Merchant,
    MissingPolicy,
    Operator,
    Person,
    Policy,
    Principal,
    Public,
    Rider,
    Verifier,
    allow,
    policies,
    policy_router,
    signed_headers,
)
from shared.kit.auth.principal import ROLES
from shared.kit.http import Unlimited
from shared.kit.http.app import create_app
from shared.kit.http.limits import Allowance
from shared.kit.problems import too_many
from shared.kit.refusals import Refusal
from tests.kit.web import MT_NEW, Keys, Well, app_of, bearer, client_of

NAMED: dict[str, Policy] = {
    "public": Public,
    "person": Person,
    "company": Company,
    "rider": Rider,
    "grid_worker": GridWorker,
    "dispatcher": Dispatcher,
    "department": Department,
    "verifier": Verifier,
    "merchant": Merchant,
    "operator": Operator,
    "rider-or-company": AnyOf(Rider, Company),
}
OFFICES = AnyOf(GridWorker, Verifier)


def routes() -> APIRouter:
    router = policy_router()
    for name, policy in NAMED.items():

        async def who(caller: Caller) -> dict[str, Any]:
            return {"key": caller.key, "actor": caller.actor}

        router.add_api_route(f"/v1/{name}", allow(policy)(who), methods=["GET"], name=name)

    @router.post("/v1/signed")
    @allow(Company)
    async def signed(body: dict[str, int], caller: Caller) -> str:
        return caller.company_code

    @router.post("/v1/upload")
    @allow(Company, body_max=100_000)
    async def upload(request: Request) -> int:
        return len(await request.body())

    return router


def admitted(policy: Policy, role: str) -> bool:
    if role == "company":
        return policy in (Public, Company, NAMED["rider-or-company"])
    if role == "nobody":
        return policy is Public
    return policy in (Public, Person) or role in policy.roles


async def test_matrix_of_policies_and_callers(tmp_path: Path) -> None:
    identity = Identity.open(tmp_path)
    async with client_of(app_of([routes()], tmp_path)) as client:
        for (name, policy), role in product(NAMED.items(), [*sorted(ROLES), "none", "company", "nobody"]):
            headers = bearer(identity.token("u1", "某", [role]))
            if role == "company":
                headers = signed_headers(company="MT", secret=MT_NEW, method="GET", target=f"/v1/{name}")
            if role == "nobody":
                headers = {}
            answer = await client.get(f"/v1/{name}", headers=headers)
            if admitted(policy, role):
                assert answer.status_code == 200, (name, role, answer.text)
            else:
                impossible = role == "nobody" or (role == "company") != (policy is Company)
                assert answer.status_code == (401 if impossible else 403), (name, role, answer.text)
                if answer.status_code == 401:
                    assert answer.headers["www-authenticate"]


async def test_a_role_is_no_way_for_another(tmp_path: Path) -> None:
    """What a handler sees of somebody with two roles is what its policy lets in, whoever they are besides."""
    router = policy_router()
    asked = {"mixed": AnyOf(Rider, CityOperator), "anybody": AnyOf(Person, CityOperator), "offices": OFFICES}
    for name, policy in asked.items():

        async def who(caller: Caller) -> dict[str, Any]:
            return {"roles": sorted(caller.roles), "kind": caller.kind, "key": caller.key, "G1": caller.covers("G1")}

        router.add_api_route(f"/v1/{name}", allow(policy)(who), methods=["GET"], name=name)
    identity = Identity.open(tmp_path)
    both = ["operator", "rider", "verifier"]
    async with client_of(app_of([router], tmp_path)) as client:

        async def seen(path: str, *areas: str) -> tuple[list[str], str, bool]:
            answer = await client.get(path, headers=bearer(identity.token("u1", "某", both, areas)))
            assert answer.status_code == 200, answer.text
            found = answer.json()
            assert found["key"] == "person:u1", "the same person, whatever the route lets in"
            return found["roles"], found["kind"], found["G1"]

        assert await seen("/v1/mixed") == (["operator", "rider"], "operator", True)
        assert await seen("/v1/mixed", "G2") == (["rider"], "person", False)
        assert await seen("/v1/anybody", "G2") == (["rider", "verifier"], "person", False)
        assert await seen("/v1/anybody") == (both, "operator", True)
        assert await seen("/v1/offices") == (["verifier"], "person", False)
        assert await seen("/v1/offices", "G1") == (["verifier"], "person", True)


async def test_a_signed_read_that_is_sent_again_is_answered_again(tmp_path: Path) -> None:
    signed = signed_headers(company="MT", secret=MT_NEW, method="GET", target="/v1/company")
    async with client_of(app_of([routes()], tmp_path)) as client:
        answers = [await client.get("/v1/company", headers=signed) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert not any("idempotency-replayed" in one.headers for one in answers), "with what is so now"
    assert answers[0].json() == answers[1].json() == {"key": "company:MT", "actor": "company:MT"}


def test_route_without_policy_fails_at_import() -> None:
    router = policy_router()
    with pytest.raises(MissingPolicy, match="/v1/open"):

        @router.get("/v1/open")
        async def opened() -> None: ...


def test_policy_above_the_route_decorator_fails() -> None:
    router = policy_router()
    with pytest.raises(MissingPolicy):

        @allow(Public)
        @router.get("/v1/open")
        async def opened() -> None: ...


def test_two_policies_fail() -> None:
    with pytest.raises(MissingPolicy, match="two"):

        @allow(Public)
        @allow(Rider)
        async def opened() -> None: ...


def test_plain_router_is_refused(tmp_path: Path) -> None:
    plain = APIRouter()

    @plain.get("/v1/open")
    async def opened() -> None: ...

    with pytest.raises(MissingPolicy, match="/v1/open"):
        app_of([plain], tmp_path)
    nested = policy_router()
    nested.include_router(plain)
    with pytest.raises(MissingPolicy, match="/v1/open"):
        app_of([nested], tmp_path)


def test_route_added_later_is_seen_by_the_table(tmp_path: Path) -> None:
    app = app_of([routes()], tmp_path)
    app.add_api_route("/v1/late", lambda: None)
    with pytest.raises(MissingPolicy, match="/v1/late"):
        policies(app)


def test_prefixes_and_doubles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPolicy, match="prefix"):
        policy_router(prefix="/v1")
    outer = policy_router()
    outer.include_router(routes(), prefix="/v2")
    with pytest.raises(MissingPolicy, match="prefix"):
        app_of([outer], tmp_path)
    with pytest.raises(MissingPolicy, match="twice"):
        app_of([routes(), routes()], tmp_path)


def test_company_routes_need_a_key_ring(tmp_path: Path) -> None:
    jwt = JwtVerifier(Jwks(Identity.open(tmp_path).jwks_url), issuer="i", audience="a")
    with pytest.raises(MissingPolicy, match="key ring"):
        create_app(
            title="t",
            version="1",
            health=Well(),
            routers=[routes()],
            auth=Authenticator(jwt),
            limiter=Unlimited(),
            body_max=1,
        )


def test_any_of_public_is_refused() -> None:
    with pytest.raises(MissingPolicy):
        AnyOf(Public, Rider)


def test_table_and_openapi(tmp_path: Path) -> None:
    app = app_of([routes()], tmp_path)
    table = {(line.method, line.path): line.policy for line in policies(app)}
    assert table["GET", "/v1/rider-or-company"] == "rider|company"
    assert table["GET", "/metrics"] == "public"
    document = app.openapi()
    assert app.openapi() is document
    both = document["paths"]["/v1/rider-or-company"]["get"]
    assert both["x-policy"] == "rider|company"
    assert both["security"] == [{"bearer": []}, {"companySignature": []}]
    assert document["paths"]["/v1/public"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"bearer", "companySignature"}
    assert {"401", "403", "422", "429", "503"} <= both["responses"].keys()
    assert list(both["responses"]["401"]["content"]) == ["application/problem+json"]
    assert "/livez" not in document["paths"]
    assert "HTTPValidationError" not in str(document)


async def test_unauthenticated_bodies_are_never_parsed(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        answer = await client.post("/v1/signed", content=b"{broken", headers={"content-type": "application/json"})
    assert answer.status_code == 401


async def test_signed_form_is_verified_over_the_exact_bytes(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        request = client.build_request("POST", "/v1/upload", files={"photo": b"\xff\xd8" + b"x" * 5_000})
        body = request.read()
        request.headers.update(
            signed_headers(company="MT", secret=MT_NEW, method="POST", target="/v1/upload", body=body)
        )
        answer = await client.send(request)
    assert answer.json() == len(body) > 5_000


async def test_two_identities_at_once(tmp_path: Path) -> None:
    token = Identity.open(tmp_path).token("u1", "某", ["rider"])
    signed = signed_headers(company="MT", secret=MT_NEW, method="GET", target="/v1/rider-or-company")
    async with client_of(app_of([routes()], tmp_path)) as client:
        answer = await client.get("/v1/rider-or-company", headers=bearer(token) | signed)
    assert answer.json()["code"] == "two_identities"


class Counting:
    """Refuses what was counted more than twice."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] > 2:
            raise too_many(9)
        return Allowance(True, 2, 2 - self.counts[key], 3, 0)


async def test_limits_count_the_principal_and_guesses_the_address(tmp_path: Path) -> None:
    limiter, identity = Counting(), Identity.open(tmp_path)
    async with client_of(app_of([routes()], tmp_path, limiter=limiter)) as client:
        mine = bearer(identity.token("r1", "某", ["rider"]))
        assert (await client.get("/v1/rider", headers=mine)).status_code == 200
        answer = await client.get("/v1/rider", headers=mine)
        assert answer.status_code == 200
        assert answer.headers["ratelimit"] == '"default";r=0;t=3'
        refused = await client.get("/v1/rider", headers=bearer(identity.token("r1", "某", ["rider"])))
        other = await client.get("/v1/rider", headers=bearer(identity.token("r2", "某", ["rider"])))
        guesses = [(await client.get("/v1/rider", headers=bearer("guess"))).status_code for _ in range(4)]
        probes = [(await client.get("/livez")).status_code for _ in range(4)]
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["retry-after"] == "9"
    assert other.status_code == 200
    assert guesses == [401, 401, 429, 429]
    assert probes == [200] * 4


async def test_a_suspended_company_is_counted_and_its_request_is_good_again_later(tmp_path: Path) -> None:
    limiter, keys, target = Counting(), Keys(), "/v1/signed"
    keys.suspended.add("MT")
    signed = signed_headers(company="MT", secret=MT_NEW, method="POST", target=target, body=b"{}")
    forged = signed_headers(company="MT", secret=b"nobody's", method="POST", target=target, body=b"{}")
    kind = {"content-type": "application/json"}
    async with client_of(app_of([routes()], tmp_path, keys=keys, limiter=limiter)) as client:
        refused = await client.post(target, content=b"{}", headers=signed | kind)
        assert (refused.status_code, refused.json()["code"]) == (403, "company_suspended")
        assert limiter.counts == {"company:MT": 1}
        assert (await client.post(target, content=b"{}", headers=forged | kind)).json()["code"] == "signature_invalid"
        keys.suspended.clear()
        good = await client.post(target, content=b"{}", headers=signed | kind)
        assert (good.status_code, good.json()) == (200, "MT") and "idempotency-replayed" not in good.headers


def test_policies_admit_only_their_kind_of_caller() -> None:
    company, rider = Principal("company", "MT", "MT"), Principal("person", "r", roles=frozenset({"rider"}))
    assert Company.admits(company)
    assert not any(policy.admits(company) for policy in (Person, Rider, Operator, AnyOf(Rider, Operator)))
    assert not Company.admits(rider)
    assert not Operator.admits(rider)
    assert not Rider.admits(Principal("anonymous", "", roles=frozenset({"rider"})))


def test_principal_areas_and_selves() -> None:
    worker = Principal("person", "w1", roles=frozenset({"grid_worker"}), areas=("330114001",))
    assert worker.covers("330114001002003")
    assert not worker.covers("330114002002003")
    assert not Principal("person", "w1").covers("330114")
    assert Principal("operator", "o1").covers("330114")
    assert not Principal("operator", "o1", areas=("4201",)).covers("330114")
    assert worker.is_self("w1")
    assert not Principal("company", "w1", company="w1").is_self("w1")
    with pytest.raises(Refusal):
        _ = Principal("person", "p", company="MT").company_code  # works for it, doesn't speak for it
    with pytest.raises(Refusal):
        _ = worker.merchant
