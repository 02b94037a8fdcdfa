"""Where a webhook may go: checked when it is registered and again, on the resolved address, at every attempt."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

URL_LENGTH_MAX = 500
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forbidden(Exception):
    """The URL or the address behind it isn't allowed; the text says why, without the address."""


class Unresolvable(Exception):
    """The name has no address just now."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL and the address to connect to."""

    url: str
    """With the address in the host's place."""
    host: str
    """For the Host header."""
    server_name: str
    """For TLS: the certificate must be this name's."""


class Guard:
    """The rules: scheme, allowed hosts, and private networks that are allowed nevertheless."""

    def __init__(self, *, http_allowed: bool, hosts: Sequence[str], networks_allowed: Sequence[str]) -> None:
        self._schemes = ("https", "http") if http_allowed else ("https",)
        self._hosts = tuple(host.lower().lstrip(".") for host in hosts)
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(one) for one in networks_allowed)

    def check(self, url: str) -> None:
        """Raises Forbidden for what can be known without resolving the name."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as bad:
            raise Forbidden("not a URL") from bad
        host = (parts.hostname or "").lower().rstrip(".")
        if len(url) > URL_LENGTH_MAX or not url.isascii() or any(ord(sign) <= 32 for sign in url):
            raise Forbidden(f"a URL has at most {URL_LENGTH_MAX} ASCII characters and no spaces")
        if parts.scheme not in self._schemes:
            raise Forbidden(f"the scheme must be {' or '.join(self._schemes)}")
        if not host or "@" in parts.netloc or parts.fragment or port == 0:
            raise Forbidden("a URL needs a host and has neither user, password nor fragment")
        if self._hosts and not any(host == one or host.endswith("." + one) for one in self._hosts):
            raise Forbidden("the host isn't on the operator's list")
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return
        self._check_address(literal)

    async def resolve(self, url: str) -> Target:
        """Check the URL, resolve its name once, check every address, and pin the connection to one of them.

        Raises:
            Forbidden: URL or any address isn't allowed.
            Unresolvable: the name has no address now.
        """
        self.check(url)
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unresolvable("the host has no address now") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses:
            raise Unresolvable("the host has no address now")
        for address in addresses:  # one bad address among good ones is an attack, or a mistake: both end here
            self._check_address(address)
        chosen = min(addresses, key=lambda address: address.version)
        literal = f"[{chosen}]" if chosen.version == 6 else str(chosen)
        pinned = parts._replace(netloc=f"{literal}:{port}").geturl()
        return Target(pinned, parts.netloc, host)

    def _check_address(self, address: Address) -> None:
        inner = _embedded(address)
        if any(inner.version == network.version and inner in network for network in self._networks):
            return
        if not inner.is_global or inner.is_multicast or inner.is_reserved or inner.is_unspecified:
            raise Forbidden("the host's address isn't public")


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64): the checks are for where packets arrive."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
