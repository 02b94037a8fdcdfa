"""Whose address a request comes from: a proxy's word counts, nobody else's."""

from pathlib import Path

import httpx
import pytest
from fastapi import Request

from shared.kit.auth import Public, allow, policy_router
from shared.kit.http.limits import Allowance
from shared.kit.proxies import Proxies, bucket
from shared.kit.settings import KitSettings
from tests.kit.web import app_of

BEHIND = Proxies.parse("10.244.0.0/16, 192.0.2.7,fd00:1::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("10.244.3.9", ["203.0.113.5"], "203.0.113.5"),
        ("10.244.3.9", ["198.51.100.1, 203.0.113.5"], "203.0.113.5"),  # what the client wrote itself is left of it
        ("10.244.3.9", ["198.51.100.1", "203.0.113.5, 192.0.2.7"], "203.0.113.5"),  # two proxies, two headers
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),  # no proxy of ours
        ("10.244.3.9", [], "10.244.3.9"),
        ("10.244.3.9", ["10.244.1.1, 10.244.1.2"], "10.244.1.1"),
        ("10.244.3.9", ["198.51.100.1, nonsense"], "10.244.3.9"),
        ("10.244.3.9", ["203.0.113.5:41234"], "203.0.113.5"),
        ("fd00:1::9", ["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2:3::4"),
        ("::ffff:10.244.3.9", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("10.244.3.9", ["198.51.100.1," + "10.244.0.1," * 1_000 + "10.244.0.2"], "10.244.0.1"),
        (None, ["198.51.100.1"], "unknown"),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_the_first_address_from_the_right_that_is_no_proxy(peer: str | None, forwarded: list[str], caller: str) -> None:
    assert BEHIND.caller(peer, forwarded) == caller


def test_without_a_setting_no_header_counts() -> None:
    assert Proxies.parse("").caller("127.0.0.1", ["198.51.100.1"]) == "127.0.0.1"


def test_one_customer_is_one_bucket() -> None:
    assert bucket("2001:db8:1:2::1") == bucket("2001:db8:1:2:ffff::9") != bucket("2001:db8:1:3::1")
    assert bucket("203.0.113.5") != bucket("203.0.113.6")
    assert bucket("::ffff:203.0.113.5") == bucket("203.0.113.5")
    assert bucket("unknown") == "unknown"


def test_a_wrong_setting_ends_the_start() -> None:
    needed = {
        "postgres_dsn": "x", "kafka_bootstrap": "x", "kafka_username": "x", "kafka_password": "x",
        "redis_url": "x", "jwks_url": "x", "sealing_key": "x",
    }  # fmt: skip
    with pytest.raises(ValueError, match="trusted_proxies"):
        KitSettings(**needed, trusted_proxies="10.0.0.1/8")  # type: ignore[arg-type]  # parsed


class Counting:
    """A limiter that shows whom it counted."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def check(self, key: str, per_minute: int | None = None) -> Allowance:
        self.keys.append(key)
        return Allowance(True, 1, 1, 0, 0)


async def test_callers_behind_a_proxy_have_their_own_buckets(tmp_path: Path) -> None:
    router = policy_router()

    @router.get("/v1/open")
    @allow(Public)
    async def opened(request: Request) -> str:
        return request.client.host if request.client else ""

    limiter = Counting()
    app = app_of([router], tmp_path, limiter=limiter, proxies=BEHIND)
    through = httpx.ASGITransport(app, client=("10.244.0.1", 5))
    past = httpx.ASGITransport(app, client=("203.0.113.9", 5))
    async with (
        httpx.AsyncClient(transport=through, base_url="http://kit") as proxy,
        httpx.AsyncClient(transport=past, base_url="http://kit") as stranger,
    ):
        for address in ("203.0.113.1", "203.0.113.2", "2001:db8::1"):
            assert (await proxy.get("/v1/open", headers={"x-forwarded-for": address})).json() == address
        assert (await stranger.get("/v1/open", headers={"x-forwarded-for": "203.0.113.1"})).json() == "203.0.113.9"
    expected = ["203.0.113.1", "203.0.113.2", "2001:db8::/64", "203.0.113.9"]
    assert limiter.keys == [f"address:{one}" for one in expected]
