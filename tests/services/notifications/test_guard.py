"""Webhooks go to public addresses only, whatever the name says."""

import socket
from typing import Any

import pytest

from services.notifications.outbound.guard import Forbidden, Guard
from services.notifications.outbound.names import Unresolvable

STRICT = Guard(http_allowed=False, hosts=(), networks_allowed=())


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://例子.cn/",
        "https://hooks%2eexample.com/",
        "https://evil.org\\.example.com/",
        "https://hooks..example.com/",
        "https://-hooks.example.com/",
        "https://" + "a" * 64 + ".example.com/",
        "https://" + "a." * 130 + "example.com/",
        "https://example.com/" + "a" * 500,
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
    ],
)
def test_refused_at_registration(url: str) -> None:
    with pytest.raises(Forbidden):
        STRICT.check(url)


def test_taken_at_registration() -> None:
    STRICT.check("https://hooks.example.com:8443/beegrid?x=1")
    STRICT.check("https://8.8.8.8/hook")
    Guard(http_allowed=True, hosts=(), networks_allowed=("127.0.0.0/8",)).check("http://127.0.0.1:9/hook")


def test_the_allow_list_is_of_hosts_and_their_subdomains() -> None:
    guard = Guard(http_allowed=False, hosts=("example.com",), networks_allowed=())
    guard.check("https://example.com/")
    guard.check("https://hooks.EXAMPLE.com/")
    for url in ("https://badexample.com/", "https://example.com.evil.org/"):
        with pytest.raises(Forbidden):
            guard.check(url)


def _resolver(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("addresses", [("10.0.0.5",), ("8.8.8.8", "127.0.0.1"), ("::1",), ("8.8.8.8", "fe80::1%eth0")])
async def test_a_public_name_with_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    _resolver(monkeypatch, *addresses)
    with pytest.raises(Forbidden):
        await STRICT.resolve("https://hooks.example.com/")


async def test_the_connection_is_pinned_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch, "8.8.8.8")
    target = await STRICT.resolve("https://hooks.example.com:8443/a?b=c")
    assert target.url == "https://8.8.8.8:8443/a?b=c"
    assert target.host == "hooks.example.com:8443"
    assert target.server_name == "hooks.example.com"


async def test_a_name_without_address_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch)
    with pytest.raises(Unresolvable):
        await STRICT.resolve("https://hooks.example.com/")


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com:8080/x", "https://8.8.8.8:9443/x", "http://hooks.example.com/x"]
)
def test_ports_that_the_network_shuts_are_refused_at_registration(url: str) -> None:
    guard = Guard(http_allowed=True, hosts=(), networks_allowed=(), ports=(443, 8443))
    with pytest.raises(Forbidden, match="the port must be 443 or 8443"):
        guard.check(url)
    guard.check("https://hooks.example.com/x")
    guard.check("https://hooks.example.com:8443/x")
