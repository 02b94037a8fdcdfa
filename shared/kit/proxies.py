"""Whose address a request comes from, when proxies stand in front.

A proxy appends the address that it was called from to X-Forwarded-For; what stands left of that may be invented. So the
list is read from the right: past proxies that we trust, to the first address that is none of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

UNKNOWN = "unknown"
_IPV6_PREFIX = 64  # what one customer of a network gets: within it addresses cost nothing
_HOPS_MAX = 32
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose X-Forwarded-For is believed; without any, nobody's is."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From addresses and networks, separated by commas. Raises ValueError for anything else."""
        return cls(tuple(ip_network(part.strip()) for part in text.split(",") if part.strip()))

    def trusts(self, address: Address) -> bool:
        """Whether the address is one of the proxies."""
        return any(address in network for network in self.networks)

    def caller(self, peer: str | None, forwarded: Iterable[str]) -> str:
        """The caller's address.

        Args:
            peer: the other end of the connection; None where there is none (a socket file).
            forwarded: the values of all X-Forwarded-For headers, in order.
        """
        here = _address(peer or "")
        if here is None:
            return peer or UNKNOWN
        if self.trusts(here):
            hops = [hop for line in forwarded for hop in line.split(",")][-_HOPS_MAX:]
            for hop in reversed(hops):
                before = _address(hop)
                if before is None:
                    break  # words that no proxy writes: whoever handed them on is as near as we come
                here = before
                if not self.trusts(here):
                    break
        return str(here)


def bucket(address: str) -> str:
    """What limits count an address under: itself, or an IPv6 address' network of 64 bits."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), _IPV6_PREFIX), strict=False))
    return address if found is None else str(found)


def _address(text: str) -> Address | None:
    """An address as proxies write it: alone, with a port, or in brackets. IPv4 written as IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
