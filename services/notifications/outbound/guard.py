"""Where a webhook may go: checked when it is registered and again, on the resolved address, at every attempt.

Behind a proxy that alone resolves names the operator's list of hosts takes the place of the address's check.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.notifications.outbound.names import Resolver

URL_LENGTH_MAX = 500
# For examples, by a registration that Python's own list hasn't yet
_EXAMPLES = ipaddress.ip_network("3fff::/20")
DEFAULT_PORTS = {"https": 443, "http": 80}
# names as DNS has them, so that nobody reads another host in one than the list was asked about
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forbidden(Exception):
    """The URL or the address behind it isn't allowed; the text says why, without the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL and where to connect to."""

    url: str
    """With the address in the host's place, or with the name that the proxy is asked for."""
    host: str
    """For the Host header."""
    server_name: str
    """For TLS: the certificate must be this name's."""


class Guard:
    """The rules: scheme, allowed hosts and ports, and private networks that are allowed nevertheless.

    `ports`: none named, any. `proxied`: everything leaves through a proxy.
    """

    def __init__(
        self,
        *,
        http_allowed: bool,
        hosts: Sequence[str],
        networks_allowed: Sequence[str],
        ports: Sequence[int] = (),
        proxied: bool = False,
    ) -> None:
        self._by_name = proxied and bool(hosts)
        self._schemes = ("https", "http") if http_allowed else ("https",)
        self._ports = tuple(ports)
        self._hosts = tuple(host.lower().strip(".") for host in hosts)
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(one) for one in networks_allowed)
        self._resolver = Resolver()

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
        if self._ports and (port or DEFAULT_PORTS[parts.scheme]) not in self._ports:
            raise Forbidden(f"the port must be {' or '.join(map(str, self._ports))}")
        if self._hosts and not any(host == one or host.endswith("." + one) for one in self._hosts):
            raise Forbidden("the host isn't on the operator's list")
        literal = _literal(host)
        if literal is not None:
            self._check_address(literal)
        elif not _NAME.fullmatch(host):
            raise Forbidden("the host is no name")

    async def resolve(self, url: str, company: str = "") -> Target:
        """Check the URL, resolve its name once, check every address, and pin the connection to one of them.

        `company`: for whom; of each one look-up is under way at a time.

        With a proxy and a list of hosts nothing is resolved here: often only the proxy can, and what it is asked for
        is a name on the operator's list, whose certificate is checked. Where such a name leads is for the proxy to
        judge, which has to refuse private addresses.

        Raises:
            Forbidden: URL or any address isn't allowed.
            Unresolvable: the name has no address now.
            LookupsBusy: it couldn't be asked for; that says nothing about it.
        """
        self.check(url)
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        # plain http has no certificate that proves whose the host is, which a name without a checked address needs
        if self._by_name and parts.scheme == "https" and _literal(host) is None:
            return Target(parts._replace(netloc=f"{host}:{port}").geturl(), parts.netloc, host)
        found = [host] if _literal(host) is not None else await self._resolver.addresses(host, company)
        addresses = [ipaddress.ip_address(one.partition("%")[0]) for one in found]
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
        if not inner.is_global or inner.is_multicast or inner.is_reserved or inner.is_unspecified or inner in _EXAMPLES:
            raise Forbidden("the host's address isn't public")


def _literal(host: str) -> Address | None:
    """The address that stands in a name's place."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64): the checks are for where packets arrive."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
