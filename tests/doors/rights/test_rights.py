"""Every role's token, in areas of every kind, and companies' signatures, against every route of every service.

What a route's policy refuses is refused by one guard, before the body is read: that this guard stands there is shown
once for each kind of caller and route, with a request; for the other callers the policy itself is asked. Whoever passes
the policy sends a request.
"""

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.installation import Installation
from shared.kit.auth import Policy, Principal, Signer, policies, signed_headers
from shared.kit.auth.key_ring import Ask
from shared.kit.auth.policy import rules
from shared.kit.auth.principal import ANONYMOUS, ROLES
from shared.kit.ids import new_id
from shared.kit.service import running
from shared.provision.services import service_names
from tests.doors.rights.lines import PUBLIC, Line, Rights, place_of, rights_of, table_of, to
from tests.doors.rights.world import CITY, COMPANY, DISTRICT, NEIGHBOUR, OTHER_DISTRICT, OWN, World
from tests.support import client_of, service_of

PLACES: dict[str, tuple[str, ...]] = {
    "own": (OWN,),
    "district": (DISTRICT,),
    "city": (CITY,),
    "neighbour": (NEIGHBOUR,),  # its code is how the own one begins
    "other district": (OTHER_DISTRICT, "G100"),
    "no area of the map": ("33010", "G"),
    "none": (),
}
HOLDS = ("own", "district", "city")
COMPANIES = {"self": COMPANY, "foreign": "other"}
SECRET = b"of both companies" * 2
Who = tuple[str, str]


class _Keys:
    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        return Signer([SECRET] if company in COMPANIES.values() else [])


class _NoKafka(contextlib.AbstractAsyncContextManager[None]):
    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def _idle() -> None:
    return None


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A service in this process on real Postgres and Valkey. Nothing here travels over Kafka."""
    name: str = request.param
    made = service_of(installation, name, photo_store_url=f"file://{tmp_path}")
    monkeypatch.setattr(running, "listening", _NoKafka)
    made.relay.run = _idle  # type: ignore[method-assign]  # nothing leaves
    made.key_ring = made.key_ring and _Keys()  # type: ignore[assignment]  # of two companies
    rights_of(name).prepare(made)
    async with client_of(made) as client:
        world = World(made, client, installation.identity)
        await world.settle()
        try:
            yield world
        finally:  # other tests share the schema and know no map
            await world.pool.execute("DELETE FROM known_areas")
            await world.pool.execute("DELETE FROM known_map")


def people() -> Iterator[Who]:
    """Each role in each place; and those whose the object is."""
    for role in sorted(ROLES):
        for place in PLACES:
            yield role, place
        if role in ("rider", "merchant"):
            yield role, "self"
    for place in COMPANIES:
        yield "company", place
    yield "nobody", "none"


def pairs(line: Line) -> Iterator[Who]:
    """People with two roles, where areas or the object's owner decide and where theirs hold nothing of it.

    One of each kind of pair: what two roles give, one of whom the line gives nothing, is the same for most of them.
    """
    seen: set[tuple[tuple[str, bool], ...]] = set()
    for both in itertools.combinations(sorted(ROLES), 2):
        kind = tuple(sorted((line.roles.get(role) or "", role == "operator") for role in both))
        scopes = {scope for scope, _ in kind}
        if kind in seen or "any" in scopes or scopes == {""}:
            continue
        seen.add(kind)
        yield "+".join(both), "other district"
        if "operator" in both:
            yield "+".join(both), "none"


def admits(line: Line, who: Who) -> bool:
    """What the table says: to somebody with two roles, what either of them is given."""
    role, place = who
    if "+" in role:
        return any(admits(line, (one, place)) for one in role.split("+"))
    scope = line.roles.get(role)
    if line.public:
        return True
    if scope in (None, "self"):
        return scope == "self" and place == "self"
    everywhere = role == "operator" and place == "none"
    return scope == "any" or everywhere or place == "city" or (scope == "area" and place in HOLDS)


@dataclass
class Knocking:
    """Everybody at the routes of one service."""

    world: World
    rights: Rights
    tokens: dict[Who, str] = field(default_factory=dict)
    principals: dict[Who, Principal] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)
    guarded: set[tuple[str, str]] = field(default_factory=set)

    async def thing(self, key: str, line: Line) -> str:
        """The object that a route is asked about: another one after each request that may have changed it."""
        if line.needs is None:
            return str(new_id())
        if key not in self.things:
            name, *words = line.needs.split()
            self.things[key] = str(await self.rights.objects[name](self.world, *words))
        return self.things[key]

    def token(self, who: Who) -> str:
        """A person's; that of an object's owner is made for the object."""
        role, place = who
        if who in self.tokens:
            return self.tokens[who]
        own = {"rider": str(self.world.rider), "merchant": "m"}.get(role) if place == "self" else None
        counter = str(self.world.merchant) if place == "self" else str(new_id())
        areas = PLACES.get(place, ())
        roles = role.split("+")
        made: str = self.world.identity.token(own or str(new_id()), "某人", roles, areas, merchant_id=counter)
        if place != "self":
            self.tokens[who] = made
        return made

    async def principal(self, who: Who) -> Principal:
        """Whom the service takes the caller for."""
        if who[0] == "nobody":
            return ANONYMOUS
        if who[0] == "company":
            return Principal(kind="company", id=COMPANIES[who[1]], company=COMPANIES[who[1]])
        if who not in self.principals:
            self.principals[who] = await self.world.app.state.auth.jwt.verify(self.token(who))
        return self.principals[who]

    async def admitted(self, key: str, line: Line, policy: Policy, who: Who) -> bool:
        """Whether the service lets somebody in. Who was refused has changed nothing: the next meets the same object."""
        let_in = await self._let_in(key, line, policy, who)
        if let_in and not key.startswith("GET "):
            self.things.pop(key, None)
        return let_in

    async def _let_in(self, key: str, line: Line, policy: Policy, who: Who) -> bool:
        kind = who[0] if who[0] in ("company", "nobody") else "person"
        if not policy.admits(await self.principal(who)):
            if (key, kind) in self.guarded:
                return False
            self.guarded.add((key, kind))
        thing = await self.thing(key, line)
        answer = await self.send(key, line, who, thing)
        assert answer.status_code < 500 or answer.status_code == 503, (key, who, answer.text)
        if answer.status_code in (401, 403) or (answer.status_code == 404 and (line.needs or line.hides)):
            return False
        if line.shows:
            item = answer.text if "items" not in (line.body or {}) else ""
            refused = any(code in answer.text for code in ('"not_found"', '"forbidden"'))
            return thing in item if item else not refused
        return True

    async def send(self, key: str, line: Line, who: Who, thing: str) -> httpx.Response:
        method, path = key.split(" ")
        while "{" in path:
            head, _, rest = path.partition("{")
            name, _, tail = rest.partition("}")
            number = who[0] == "company" and name == "rider:path"
            path = head + (self.world.number if number else _filled(name, thing)) + tail
        body = json.loads(json.dumps(line.body).replace("{object}", thing)) if method != "GET" else None
        client = self.world.client
        request = client.build_request(method, path, params=line.query, json=body)
        request.headers["idempotency-key"] = new_id().hex
        if who[0] == "company":
            target = request.url.raw_path.decode()
            signing = {"company": COMPANIES[who[1]], "secret": SECRET, "method": method, "target": target}
            request.headers.update(signed_headers(**signing, body=request.content))  # type: ignore[arg-type]  # as named
        elif who[0] != "nobody":
            request.headers["authorization"] = f"Bearer {self.token(who)}"
        return await client.send(request)


def _filled(name: str, thing: str) -> str:
    if name in ("letter_id",):
        return "1"
    return "nonsense" if name.startswith(("code", "token")) else thing


async def wrongs(world: World, rights: Rights) -> list[str]:
    """Where service and declaration differ."""
    found, knocking = [], Knocking(world, rights)
    name, table = world.service.name, table_of(world.service.name, rights)
    by_route = {f"{method} {path}": rule.policy for path, methods, rule in rules(world.app) for method in methods}
    declared = {f"{one.method} {one.path}" for one in policies(world.app)}
    found += [f"{key} has no line in {place_of(name)}" for key in sorted(declared - set(table))]
    found += [f"{key} has a line in {place_of(name)} and isn't there" for key in sorted(set(rights.routes) - declared)]
    for key in sorted(declared & set(table)):
        line = table[key]
        # where areas decide nothing, or a role gets nothing at all, a few places show it
        few = ("own", "city", "none", "self", "foreign")
        alone = [one for one in people() if one[1] in few or line.roles.get(one[0]) not in (None, "any")]
        for who in [*alone, *pairs(line)]:
            if (is_in := await knocking.admitted(key, line, by_route[key], who)) != admits(line, who):
                found.append(f"{key}: {' in '.join(who)} is {'let in' if is_in else 'refused'}")
    return found


@pytest.mark.parametrize("world", service_names(ROOT), indirect=True)
async def test_every_route_gives_what_its_service_says(world: World) -> None:
    found = await wrongs(world, rights_of(world.service.name))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("world", ["cases"], indirect=True)
async def test_a_route_that_forgets_its_areas_and_lines_that_fit_no_route_are_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rights_of("cases")
    keys = ("GET /v1/cases/{case_id}", "POST /v1/cases/{case_id}/claim")
    few = replace(whole, routes={key: whole.routes[key] for key in keys} | {"GET /v1/cases/gone": PUBLIC})
    monkeypatch.setattr("shared.kit.auth.principal.Principal.covers", lambda *_: True)
    found = await wrongs(world, few)
    assert f"{keys[0]}: grid_worker in neighbour is let in" in found
    assert f"{keys[1]}: department in other district is let in" in found
    assert "GET /v1/cases has no line in tests/services/cases/rights.py" in found
    assert "GET /v1/cases/gone has a line in tests/services/cases/rights.py and isn't there" in found
    assert not any(": rider in" in one or ": merchant in" in one for one in found), "what they see hangs on no area"


def test_a_service_that_declares_nothing_is_asked_for_it() -> None:
    with pytest.raises(LookupError, match=r"tests/services/nobody/rights\.py is missing"):
        rights_of("nobody")


def test_an_object_that_nothing_makes_is_found() -> None:
    with pytest.raises(ValueError, match=r"\['case'\]"):
        Rights({"GET /v1/cases/{case_id}": Line(to("any", "rider"), needs="case open")})
