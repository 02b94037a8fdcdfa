"""People's tokens: genuine, current and for us, or refused."""

import json
import stat
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from shared.devtools.identity import AUDIENCE, ISSUER, Identity
from shared.kit import clock, metrics
from shared.kit.auth import Jwks, JwtVerifier
from shared.kit.problems import ServiceBusy
from shared.kit.refusals import Refusal

KEY = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
SHARED = b"0123456789abcdef0123456789abcdef"


def key_set(folder: Path) -> Path:
    entries = [
        {**OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "ed"},
        {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa", "alg": "RS256"},
        {**RSAAlgorithm.to_jwk(WEAK.public_key(), as_dict=True), "kid": "weak", "alg": "RS256"},
        {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "ec", "alg": "ES256"},
        {**OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "enc", "use": "enc"},
        {"kty": "oct", "kid": "oct", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "alg": "HS256"},
        {"kty": "unknown", "kid": "odd"},
    ]
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": entries}))
    return path


def verifier(folder: Path) -> JwtVerifier:
    return JwtVerifier(Jwks(key_set(folder).as_uri()), issuer=ISSUER, audience=AUDIENCE)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(clock.unix_s())
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "r1", "exp": now + 60, "roles": ["rider", "king"], "areas": ["3301"]}
    return {key: value for key, value in {**base, **changed}.items() if value is not None}


def token(key: Any = KEY, alg: str = "EdDSA", kid: str | None = "ed", **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm=alg, headers={"kid": kid} if kid else None)


async def test_genuine_tokens_of_each_algorithm(tmp_path: Path) -> None:
    check = verifier(tmp_path)
    person = await check.verify(token(name="张三", merchant_id="m1", company="MT"))
    assert (person.kind, person.id, person.roles) == ("person", "r1", frozenset({"rider"}))
    assert (person.areas, person.merchant_id, person.company, person.name) == (("3301",), "m1", "MT", "张三")
    assert (await check.verify(token(areas=["G02-a_1"]))).areas == ("G02-a_1",), "what areas import takes as a code"
    assert (await check.verify(token(RSA, "RS256", "rsa"))).id == "r1"
    assert (await check.verify(token(EC, "ES256", "ec", aud=["other", AUDIENCE]))).id == "r1"
    assert (await check.verify(token(roles=["operator"]))).kind == "operator"


RIDER = "01a22785-91fe-7c3a-a9b6-0a7c1d2e3f40"
AS_ISSUERS_WRITE = [RIDER.upper(), f"urn:uuid:{RIDER}", f"{{{RIDER}}}", RIDER.replace("-", ""), RIDER]


@pytest.mark.parametrize("sub", AS_ISSUERS_WRITE)
async def test_an_id_has_one_form_however_the_issuer_writes_it(tmp_path: Path, sub: str) -> None:
    person = await verifier(tmp_path).verify(token(sub=sub))
    assert (person.id, person.key, person.actor) == (RIDER, f"person:{RIDER}", f"rider:{RIDER}")
    assert person.is_self(UUID(RIDER))
    assert (await verifier(tmp_path).verify(token(sub="W-7"))).id == "W-7", "no UUID: as it is"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 0},
        {"exp": None},
        {"exp": "9999999999"},
        {"iss": "https://else.where"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"nbf": 9_999_999_999},
        {"iat": 9_999_999_999},
        {"roles": "operator"},
        {"areas": ["330114'"]},
        {"areas": [""]},
        {"areas": ["１２"]},
    ],
)
async def test_claims_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        await verifier(tmp_path).verify(token(**changed))
    assert refusal.value.status == 401
    assert "Bearer" in (refusal.value.headers or {})["WWW-Authenticate"]


async def test_leeway_is_half_a_minute(tmp_path: Path) -> None:
    check, now = verifier(tmp_path), int(clock.unix_s())
    assert await check.verify(token(exp=now - 20, nbf=now + 20))
    for late in (token(exp=now - 31), token(nbf=now + 40)):
        with pytest.raises(Refusal):
            await check.verify(late)


async def test_forgeries(tmp_path: Path) -> None:
    good = token()
    head, body, signature = good.split(".")
    forged = [
        token(Ed25519PrivateKey.generate()),  # another key under a known id
        token(kid="nobody"),
        token(kid=None),
        token(WEAK, "RS256", "weak"),
        token(kid="enc"),
        token(SHARED, "HS256", "oct"),
        token(SHARED, "HS256", "ed"),  # the public key's id with a shared-secret algorithm
        token(RSA, "PS256", "rsa"),
        jwt.encode(claims(), None, algorithm="none", headers={"kid": "ed"}),  # type: ignore[arg-type]  # on purpose
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body[:-2]}xx.{signature}",
        "not.a.token",
        "",
        "x" * 9_000,
        "a.b.c.d.e",
    ]
    check = verifier(tmp_path)
    assert await check.verify(good)
    for one in forged:
        with pytest.raises(Refusal) as refusal:
            await check.verify(one)
        assert refusal.value.status == 401, one


async def test_unknown_key_ids_fetch_once_and_new_keys_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, calls = [json.loads(key_set(tmp_path).read_text())], []

    def serve(request: httpx.Request) -> httpx.Response:
        calls.append(request.url)
        return httpx.Response(200, json=served[-1])

    offset = [0.0]
    real = clock.monotonic_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: real() + offset[0])
    keys = Jwks("https://issuer/jwks", client=httpx.AsyncClient(transport=httpx.MockTransport(serve)))
    check = JwtVerifier(keys, issuer=ISSUER, audience=AUDIENCE)
    fresh = Ed25519PrivateKey.generate()
    for _ in range(20):
        with pytest.raises(Refusal):
            await check.verify(token(fresh, kid="new"))
    assert len(calls) == 1
    served.append({"keys": [{**OKPAlgorithm.to_jwk(fresh.public_key(), as_dict=True), "kid": "new"}]})
    offset[0] += 11
    assert await check.verify(token(fresh, kid="new"))
    with pytest.raises(Refusal):
        await check.verify(token())  # withdrawn by the issuer
    await keys.aclose()


async def test_issuer_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = key_set(tmp_path)
    check = JwtVerifier(Jwks(path.as_uri()), issuer=ISSUER, audience=AUDIENCE)
    assert await check.verify(token())
    path.unlink()
    real = clock.monotonic_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: real() + 4_000)
    assert await check.verify(token())  # the keys at hand stay in use
    with pytest.raises(ServiceBusy):
        await JwtVerifier(Jwks(path.as_uri()), issuer=ISSUER, audience=AUDIENCE).verify(token())
    assert metrics.JWKS_FAILURES_IN_A_ROW._value.get() > 0
    key_set(tmp_path)
    monkeypatch.setattr(clock, "monotonic_s", lambda: real() + 4_011)
    assert await check.verify(token())
    assert metrics.JWKS_FAILURES_IN_A_ROW._value.get() == 0, "which ends the alert"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": []}', '{"keys": {"a": 1}}', '{"keys": [1, null]}'])
async def test_useless_key_sets(tmp_path: Path, content: str) -> None:
    (tmp_path / "jwks.json").write_text(content)
    keys = Jwks((tmp_path / "jwks.json").as_uri())
    with pytest.raises(ServiceBusy):
        await keys.key("ed")


async def test_key_sets_that_are_huge_or_redirect() -> None:
    answers = [
        httpx.Response(200, content=b" " * 300_000),
        httpx.Response(302, headers={"location": "http://x/"}),
        httpx.Response(500),
    ]
    for answer in answers:
        transport = httpx.MockTransport(lambda _request, answer=answer: answer)
        keys = Jwks("https://issuer/jwks", client=httpx.AsyncClient(transport=transport))
        with pytest.raises(ServiceBusy):
            await keys.key("ed")


@pytest.mark.parametrize("url", ["http://issuer/jwks", "ftp://issuer/jwks", "/etc/passwd", "data:application/json,{}"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Jwks(url)


async def test_dev_issuer(tmp_path: Path) -> None:
    identity = Identity.open(tmp_path / "id")
    again = Identity.open(tmp_path / "id")
    assert stat.S_IMODE((tmp_path / "id" / "signing_key.pem").stat().st_mode) == 0o600
    assert '"d"' not in (tmp_path / "id" / "jwks.json").read_text()
    check = JwtVerifier(Jwks(identity.jwks_url), issuer=ISSUER, audience=AUDIENCE)
    person = await check.verify(again.token("m", "店员", ["merchant"], areas=["330114"], merchant_id="m-1"))
    assert (person.merchant, person.areas) == ("m-1", ("330114",))
    with pytest.raises(Refusal) as refusal:
        await check.verify(identity.token("m", "店员", ["merchant"], ttl_s=-40))
    assert refusal.value.code == "token_expired"
