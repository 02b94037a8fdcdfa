"""What callers beyond their limit cost the database: nothing."""

import asyncio
import secrets
from collections import Counter
from functools import partial
from pathlib import Path
from typing import cast
from uuid import uuid4

import httpx
import pytest

from shared.devtools.identity import AUDIENCE, ISSUER, Identity
from shared.kit import clock
from shared.kit.auth import (
    NOBODY,
    AnyOf,
    Authenticator,
    CachedKeyRing,
    Caller,
    Company,
    Jwks,
    JwtVerifier,
    ReplayGuard,
    Rider,
    SignatureVerifier,
    Signer,
    allow,
    key_ring,
    policy_router,
    signed_headers,
)
from shared.kit.http import Allowance
from shared.kit.http.app import create_app
from shared.kit.problems import too_many
from shared.kit.refusals import Refusal
from tests.kit.web import ELE, MT_NEW, Seen, Well, bearer, client_of

LIMIT = 5
SECRETS = {"MT": [MT_NEW], "ELE": [ELE]}


class Limited:
    """A limiter that allows LIMIT requests of each key, ever."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        await asyncio.sleep(0)
        if self.counted[key] >= LIMIT:
            raise too_many(9)
        self.counted[key] += 1
        return Allowance(True, LIMIT, LIMIT - self.counted[key], 3, 0)


class Door:
    """An app for companies and riders, with what it asked of its database."""

    def __init__(self, folder: Path, *, with_codes: bool = False) -> None:
        self.limiter = Limited()
        self.loads: list[str] = []
        self.codes_asked = 0
        self.erasures_asked = 0
        self.identity = Identity.open(folder)
        router = policy_router()

        @router.get("/v1/x")
        @allow(AnyOf(Company, Rider))
        async def x(caller: Caller) -> dict[str, str]:
            return {}

        self.ring = CachedKeyRing(self._load, codes=self._codes if with_codes else None)
        verifier = JwtVerifier(Jwks(self.identity.jwks_url), issuer=ISSUER, audience=AUDIENCE)
        guard = cast(ReplayGuard, Seen())
        app = create_app(
            title="kit",
            version="1",
            health=Well(),
            routers=[router],
            auth=Authenticator(verifier, SignatureVerifier(self.ring), guard, erased=self._erased),
            limiter=self.limiter,
            body_max=1_000,
        )
        self.client = client_of(app)

    async def signed(self, company: str, secret: bytes = b"nobody's") -> httpx.Response:
        headers = signed_headers(company=company, secret=secret, method="GET", target="/v1/x")
        return await self.client.get("/v1/x", headers=headers)

    async def _load(self, company: str) -> Signer:
        self.loads.append(company)
        await asyncio.sleep(0)
        return Signer(SECRETS.get(company, ()))

    async def _codes(self) -> set[str]:
        self.codes_asked += 1
        return set(SECRETS)

    async def _erased(self, _rider: str) -> bool:
        self.erasures_asked += 1
        return False


def invented() -> str:
    return secrets.token_hex(8)


async def test_invented_companies_are_looked_up_as_often_as_the_address_may_ask(tmp_path: Path) -> None:
    door = Door(tmp_path)
    got = Counter([(await door.signed(invented())).status_code for _ in range(10 * LIMIT)])
    assert got == {401: LIMIT, 429: 9 * LIMIT}  # a guess counts once
    assert len(door.loads) == LIMIT


async def test_a_rider_beyond_the_limit_is_not_sought_among_the_erased(tmp_path: Path) -> None:
    door = Door(tmp_path)
    mine = bearer(door.identity.token(str(uuid4()), "某", ["rider"]))
    got = Counter([(await door.client.get("/v1/x", headers=mine)).status_code for _ in range(10 * LIMIT)])
    assert got == {200: LIMIT, 429: 9 * LIMIT}
    assert door.erasures_asked == LIMIT
    worker = bearer(door.identity.token(str(uuid4()), "某", ["grid_worker", "operator"]))
    assert (await door.client.get("/v1/x", headers=worker)).status_code == 403
    assert door.erasures_asked == LIMIT


async def test_a_company_does_not_pay_for_others_at_its_address(tmp_path: Path) -> None:
    door = Door(tmp_path, with_codes=True)
    assert (await door.signed("MT", MT_NEW)).status_code == 200  # known from here on
    for _ in range(10 * LIMIT):
        await door.signed(invented())
    assert (await door.signed("MT", MT_NEW)).status_code == 200
    assert (await door.signed("ELE", ELE)).status_code == 200  # known to the database alone
    assert (await door.signed("ELE")).status_code == 429  # not by its name alone
    assert door.codes_asked == 1
    assert (len(door.loads), door.loads.count("MT"), door.loads.count("ELE")) == (LIMIT + 1, 1, 1)
    assert door.limiter.counted["company:MT"] == 2


async def test_a_known_company_is_looked_up_again_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(tmp_path)
    assert (await door.signed("MT", MT_NEW)).status_code == 200
    now_s = clock.monotonic_s() + 60
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    for _ in range(10 * LIMIT):
        await door.signed(invented())
    assert (await door.signed("MT", MT_NEW)).status_code == 200
    assert door.loads.count("MT") == 2


async def test_those_who_ask_at_once_share_a_look_up(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert await asyncio.gather(*(door.ring.signer("MT") for _ in range(50))) == [Signer(SECRETS["MT"])] * 50
    assert await asyncio.gather(*(door.ring.signer("nobody") for _ in range(50))) == [NOBODY] * 50
    assert door.loads == ["MT", "nobody"]


async def test_invented_names_push_no_company_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "COMPANIES_MAX", 10)
    door = Door(tmp_path)
    await door.ring.signer("MT")
    for _ in range(50):
        await door.ring.signer(invented())
    await door.ring.signer("MT")
    assert door.loads.count("MT") == 1
    assert len(door.ring._others) == 10


async def test_a_company_without_keys_any_more_is_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door, has = Door(tmp_path), [[MT_NEW], []]

    async def load(_company: str) -> Signer:
        return Signer(has.pop(0))

    ring = CachedKeyRing(load, ttl_s=0)
    assert (await ring.signer("MT")).keys == [MT_NEW]
    assert (await ring.signer("MT")).keys == []
    door.limiter.counted["address"] = LIMIT
    with pytest.raises(Refusal) as refused:
        await ring.signer("MT", partial(door.limiter.check, "address"))
    assert refused.value.status == 429
