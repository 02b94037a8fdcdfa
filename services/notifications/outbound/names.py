"""Names to addresses by the system's own resolver, so that one company's name server holds up nobody else's names.

getaddrinfo can't be interrupted: its thread waits for as long as the name's servers let it. So look-ups have threads of
their own, not the process's shared ones, one for each host and one for each company that asks.
"""

import asyncio
import socket
import threading
from collections import OrderedDict

from shared.kit import clock

LOOKUPS_MAX = 32
"""Threads at work at most. A thread that waits for a name server costs little but its place."""
# After a failure nobody asks for the host again for so long, or for as long as the failure took: however slowly a name
# fails, it has a thread for half of the time at most.
FAILED_FOR_S = 2.0
_FAILED_MAX = 1_000


class Unresolvable(Exception):
    """The name has no address just now."""


class LookupsBusy(Exception):
    """The name couldn't be asked for, through no fault of its own; later it can."""


class Resolver:
    """Looks names up for companies. Belongs to one event loop."""

    def __init__(self, lookups_max: int = LOOKUPS_MAX) -> None:
        self._lookups_max = lookups_max
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}
        self._asking: set[str] = set()
        self._failed_until_s: OrderedDict[str, float] = OrderedDict()

    async def addresses(self, host: str, company: str) -> list[str]:
        """All addresses of a host, as text. Whoever asks while it is being asked for gets the same answer.

        Whoever stops waiting leaves the look-up under way: its thread is counted until the system gives up.

        Raises:
            Unresolvable: it has none, or had none a moment ago.
            LookupsBusy: too many look-ups are under way, or one of the company's for another host is.
        """
        if self._failed_until_s.get(host, 0.0) > clock.monotonic_s():
            raise Unresolvable("the host has no address now")
        lookup = self._under_way.get(host)
        if lookup is None:
            if company in self._asking or len(self._under_way) >= self._lookups_max:
                raise LookupsBusy
            lookup = self._begin(host, company)
        found = await asyncio.shield(lookup)
        if not found:
            raise Unresolvable("the host has no address now")
        return found

    def _begin(self, host: str, company: str) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[list[str]] = loop.create_future()
        began_s = clock.monotonic_s()

        def done(found: list[str]) -> None:
            del self._under_way[host]
            self._asking.discard(company)
            if not found:
                self._remember(host, clock.monotonic_s() - began_s)
            lookup.set_result(found)

        def run() -> None:
            found: list[str] = []
            try:
                found = _look_up(host)
            finally:
                if not loop.is_closed():  # the process ends without waiting for names
                    loop.call_soon_threadsafe(done, found)

        thread = threading.Thread(target=run, name="names", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            raise LookupsBusy from error
        self._under_way[host] = lookup
        self._asking.add(company)
        return lookup

    def _remember(self, host: str, took_s: float) -> None:
        self._failed_until_s[host] = clock.monotonic_s() + max(FAILED_FOR_S, took_s)
        self._failed_until_s.move_to_end(host)
        if len(self._failed_until_s) > _FAILED_MAX:
            self._failed_until_s.popitem(last=False)


def _look_up(host: str) -> list[str]:
    """As every other program on the machine does: /etc/hosts, search domains. Empty: no address."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # no such name, no server that answers, no text that could be a name
        return []
    return [str(entry[4][0]) for entry in found]
