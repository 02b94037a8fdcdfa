"""Only the company itself speaks for a company: every way to be refused, beside the one to be accepted."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.types import Message

from shared.kit import clock
from shared.kit.auth import CachedKeyRing, SealBroken, Sealer, SignatureVerifier, Signer, signed_headers
from shared.kit.refusals import Refusal
from tests.kit.web import ELE, MT_NEW, MT_OLD, Keys

BODY = b'{"external_id": "r-1"}'
TARGET = "/v1/reports"


def request_of(
    headers: dict[str, str],
    body: bytes = BODY,
    method: str = "POST",
    target: str = TARGET,
    more: list[tuple[str, str]] | None = None,
) -> Request:
    path, _, query = target.partition("?")

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in [*headers.items(), *(more or [])]]
    return Request(
        {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": raw,
            "server": ("kit", 80),
        },
        receive,
    )


def headers_of(secret: bytes = MT_NEW, company: str = "MT", **options: object) -> dict[str, str]:
    given: dict[str, object] = {"method": "POST", "target": TARGET, "body": BODY, **options}
    return signed_headers(company=company, secret=secret, **given)  # type: ignore[arg-type]  # a test's shorthand


async def code_of(request: Request, keys: Keys | None = None) -> str:
    try:
        principal, request_id = await SignatureVerifier(keys or Keys()).verify(request)
    except Refusal as problem:
        challenge = (problem.headers or {}).get("WWW-Authenticate", "")
        return (
            problem.code if problem.status == 400 or "StandardWebhooks" in challenge else f"{problem.code} unchallenged"
        )
    assert principal.kind == "company"
    assert request_id
    return f"ok {principal.company_code}"


async def test_both_keys_of_a_rotation_sign() -> None:
    assert await code_of(request_of(headers_of(MT_NEW))) == "ok MT"
    assert await code_of(request_of(headers_of(MT_OLD))) == "ok MT"


async def test_the_standard_library_of_companies_signs_alike() -> None:
    # the library takes the wall clock's digits as UTC
    at = datetime.fromtimestamp(int(clock.unix_s()), UTC)
    signature = Webhook(MT_NEW).sign("msg_12345678", at, BODY.decode())
    headers = {
        "beegrid-company": "MT",
        "webhook-id": "msg_12345678",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    assert await code_of(request_of(headers)) == "ok MT"


async def test_revoked_key() -> None:
    keys = Keys()
    keys.by_company["MT"].remove(MT_OLD)
    assert await code_of(request_of(headers_of(MT_OLD)), keys) == "signature_invalid"
    assert await code_of(request_of(headers_of(MT_NEW)), keys) == "ok MT"


async def test_another_companys_key_and_an_unknown_company() -> None:
    assert await code_of(request_of(headers_of(ELE))) == "signature_invalid"
    assert await code_of(request_of(headers_of(company="NEW"))) == "signature_invalid"
    # the key that stands in for an unknown company's must not open anything
    assert await code_of(request_of(headers_of(b"\x00" * 32, company="NEW"))) == "signature_invalid"


@pytest.mark.parametrize(
    ("offset_s", "code"),
    [
        (-360, "signature_expired"),
        (-301, "signature_expired"),
        (-290, "ok MT"),
        (290, "ok MT"),
        (302, "signature_expired"),
        (360, "signature_expired"),
    ],
)
async def test_time(offset_s: int, code: str) -> None:
    assert await code_of(request_of(headers_of(timestamp=int(clock.unix_s()) + offset_s))) == code


@pytest.mark.parametrize("at", range(len(BODY)))
async def test_one_byte_changed(at: int) -> None:
    changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
    assert await code_of(request_of(headers_of(), changed)) == "signature_invalid"


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h | {"webhook-id": h["webhook-id"] + "x"},
        lambda h: h | {"webhook-timestamp": str(int(h["webhook-timestamp"]) - 1)},
        lambda h: h | {"beegrid-company": "ELE"},
        lambda h: h | {"webhook-signature": "v1," + base64.b64encode(b"x" * 32).decode()},
        lambda h: h | {"webhook-signature": "v1," + h["webhook-signature"][3:11]},
    ],
)
async def test_headers_changed(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    assert await code_of(request_of(change(headers_of()))) == "signature_invalid"


@pytest.mark.parametrize(
    "request_id",
    ["1", "evt.2026-11-29.1", "evt.17900.5", "urn:uuid:0192f0c1-9c4e-7d3a-8a52-3a1f0b6a7c11", "a/b+c==", "m" * 128],
)
async def test_ids_of_all_senders(request_id: str) -> None:
    assert await code_of(request_of(headers_of() | headers_of(request_id=request_id))) == "ok MT"


async def test_a_signature_is_of_one_id_and_one_body() -> None:
    """Dots in an id: what was signed can't be cut at another one, so that it would be a request of its own."""
    now = int(clock.unix_s())
    signed = headers_of(request_id=f"evt.{now}", timestamp=now + 1)
    cut = signed | {"webhook-id": "evt", "webhook-timestamp": str(now)}
    assert await code_of(request_of(cut, f"{now + 1}.".encode() + BODY)) == "ok MT", "the same bytes"
    assert await code_of(request_of(signed)) == "signature_malformed", "so that the first one is none"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", ""),
        ("webhook-id", "a b"),
        ("webhook-id", "é"),
        ("webhook-id", ""),
        ("webhook-id", "m" * 129),
        ("webhook-id", "evt.1790000000"),
        ("webhook-id", "evt.001790000000.1"),
        ("beegrid-company", "M T"),
        ("webhook-signature", "v1,???"),
        ("webhook-signature", "v2,AAAA"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,é"),
    ],
)
async def test_malformed(name: str, value: str) -> None:
    assert await code_of(request_of(headers_of() | {name: value})) == "signature_malformed"


async def test_missing_or_double_headers() -> None:
    for name in headers_of():
        without = {key: value for key, value in headers_of().items() if key != name}
        assert await code_of(request_of(without)) == "signature_missing"
        assert await code_of(request_of(headers_of(), more=[(name, "other")])) == "signature_missing"


async def test_several_signatures_one_good() -> None:
    headers = headers_of()
    headers["webhook-signature"] = (
        "v0,zz v1," + base64.b64encode(b"y" * 32).decode() + " " + headers["webhook-signature"]
    )
    assert await code_of(request_of(headers)) == "ok MT"


async def test_without_body_the_request_line_is_signed() -> None:
    headers = headers_of(method="GET", target="/v1/riders?page=2", body=b"")
    assert await code_of(request_of(headers, b"", "GET", "/v1/riders?page=2")) == "ok MT"
    for method, target in [("GET", "/v1/riders?page=3"), ("DELETE", "/v1/riders?page=2"), ("GET", "/v1/cases?page=2")]:
        assert await code_of(request_of(headers, b"", method, target)) == "signature_invalid"
    assert await code_of(request_of(headers_of(), BODY, "POST", TARGET + "?to=ELE")) == "query_not_signed"


async def test_key_ring_is_asked_again_after_its_time() -> None:
    answers = [[MT_OLD], [MT_NEW]]

    async def load(_company: str) -> Signer:
        return Signer(answers.pop(0))

    ring = CachedKeyRing(load, ttl_s=60)
    assert (await ring.signer("MT")).keys == [MT_OLD]
    assert (await ring.signer("MT")).keys == [MT_OLD]
    fresh = CachedKeyRing(load, ttl_s=0)
    assert (await fresh.signer("MT")).keys == [MT_NEW]


def test_sealing() -> None:
    sealer = Sealer(base64.b64encode(b"k" * 32).decode())
    sealed = sealer.seal(MT_NEW, "MT", "k1")
    assert sealer.unseal(sealed, "MT", "k1") == MT_NEW
    assert sealed != sealer.seal(MT_NEW, "MT", "k1")
    raw = base64.b64decode(sealed)
    for broken, company, key_id in [
        (sealed, "ELE", "k1"),
        (sealed, "MT", "k2"),
        (sealed[:-8], "MT", "k1"),
        ("", "MT", "k1"),
        ("é", "MT", "k1"),
        (base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode(), "MT", "k1"),
        (base64.b64encode(b"\x02" + raw[1:]).decode(), "MT", "k1"),
    ]:
        with pytest.raises(SealBroken):
            sealer.unseal(broken, company, key_id)
    with pytest.raises(SealBroken):
        Sealer(base64.b64encode(b"j" * 32).decode()).unseal(sealed, "MT", "k1")


def test_several_sealing_keys() -> None:
    old, new = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"j"))
    sealed = Sealer(old).seal(MT_NEW, "MT", "k1")
    announced, changed = Sealer(f"{old},2026-11-22T10:00:00Z.{new}"), Sealer(f"2026-11-22T10:00:00Z.{new},{old}")
    assert announced.resealed(sealed, "MT", "k1") is None, "the first key seals: nothing to do yet"
    assert changed.unseal(sealed, "MT", "k1") == MT_NEW
    fresh = changed.resealed(sealed, "MT", "k1")
    assert fresh is not None
    # whoever has only been given the new key yet reads what the others seal with it
    assert announced.unseal(fresh, "MT", "k1") == MT_NEW
    assert Sealer(new).unseal(fresh, "MT", "k1") == MT_NEW
    with pytest.raises(SealBroken):
        Sealer(new).unseal(sealed, "MT", "k1")
    ids = [key.id for key in changed.keys]
    assert [changed.key_of(one, "MT", "k1") for one in (sealed, fresh)] == [ids[1], ids[0]]
    with pytest.raises(SealBroken):
        changed.key_of(fresh, "MT", "k2")
    assert changed.keys[0].made_at == datetime(2026, 11, 22, 10, tzinfo=UTC) and changed.keys[1].made_at is None
    assert new not in repr(changed.keys)
    for wrong in (f"{old},", f"2026-11-22T10:00:00.{new}", "nonsense." + new):
        with pytest.raises(ValueError):
            Sealer(wrong)
    for bad in ("short", base64.b64encode(b"k" * 16).decode()):
        with pytest.raises(ValueError):
            Sealer(bad)
