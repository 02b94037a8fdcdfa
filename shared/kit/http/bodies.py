"""How many bytes of request bodies a process holds at once: what comes beyond is refused, never what memory allows.

Bytes count as they arrive and until the request is answered. Nobody waits for room: whoever waited would hold what has
arrived already. Where there is none left, the address that holds most loses a body that is still arriving, so that a
few senders who stop in the middle keep nobody out who sends less.

A body whose signature must still be checked is a stranger's: they all have half of the room, one address a quarter, so
that the other half is always there for senders who are known. What strangers send for nothing (a false signature, a
body that never ends) counts against their address, which is refused by its headers once it has wasted too much.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from shared.kit import clock, metrics
from shared.kit.problems import too_many

JSON_ELEMENT_BYTES = 56
"""What an element of a list or object costs as a Python object, beside its own characters."""
WASTED_MAX = 64_000_000
"""Bytes that an address may send for nothing at once."""
WASTED_FORGIVEN_PER_S = 500_000
WASTED_LEAST = 64_000
"""What the shortest body counts that came to nothing: it has held a connection as long as a large one."""
_ADDRESSES_MAX = 20_000


class BodiesFull(HTTPException):
    """503 while a body is being read. An HTTPException, since FastAPI turns anything else raised there into 400."""

    def __init__(self, detail: str = "too many bytes are being received") -> None:
        super().__init__(503, detail, headers={"Retry-After": "2", "Connection": "close"})


@dataclass(eq=False)
class Body:
    """What one request holds. `cut` ends the request where another one needs the room."""

    address: str
    cut: Callable[[], None]
    held: int = 0
    known: bool = True
    """Whether nothing is left to prove of who sends it."""
    arriving: bool = True
    was_cut: bool = False


@dataclass
class _Share:
    """What one address holds: all of it, and what of it is strangers'."""

    held: int = 0
    strange: int = 0
    bodies: set[Body] = field(default_factory=set)


class BodyBudget:
    """`bytes_max` of one process; one address holds at most half of them, strangers half, a stranger a quarter."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.share_max = bytes_max // 2
        self.strange_max = bytes_max // 2
        self.strange_share_max = bytes_max // 4
        self._held = 0
        self._strange = 0
        self._shares: dict[str, _Share] = {}
        self._wasted: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, body: Body, size: int) -> None:
        """Counts bytes of a body. Raises BodiesFull where there is no room for them, nor anybody who holds more."""
        share = self._shares.setdefault(body.address, _Share())
        while not self._fits(body, share, size):
            greedy = None if self._is_greedy(body, share, size) else self._greediest(body, share, size)
            if greedy is None:
                self._drop_empty(body.address)
                metrics.HTTP_BODIES_REFUSED.inc()
                raise BodiesFull
            self.give_back(greedy)
            greedy.was_cut = True
            greedy.cut()
            metrics.HTTP_BODIES_REFUSED.inc()
        share.bodies.add(body)
        self._add(body, share, size)

    def give_back(self, body: Body) -> None:
        """The reverse of all that was taken for a body."""
        share = self._shares.get(body.address)
        if share is None or body not in share.bodies:
            return
        self._add(body, share, -body.held)
        share.bodies.discard(body)
        self._drop_empty(body.address)

    def know(self, body: Body, known: bool) -> None:
        """Says whether the sender of a body is known from here on."""
        if body.known == known:
            return
        share = self._shares.get(body.address)
        if share is not None and body in share.bodies:
            moved = -body.held if known else body.held
            self._strange += moved
            share.strange += moved
        body.known = known

    def check_wasted(self, address: str) -> None:
        """Raises the 429 problem for an address that has sent too much for nothing."""
        if (over := self._wasted_by(address) - WASTED_MAX) > 0:
            raise too_many(1 + int(over / WASTED_FORGIVEN_PER_S))

    def waste(self, address: str, size: int) -> None:
        """Counts bytes that an address sent for nothing. They are forgiven as time passes."""
        wasted = self._wasted_by(address) + max(size, WASTED_LEAST)
        self._wasted[address] = (wasted, clock.monotonic_s())
        self._wasted.move_to_end(address)
        if len(self._wasted) > _ADDRESSES_MAX:
            self._wasted.popitem(last=False)

    def _wasted_by(self, address: str) -> float:
        wasted, at_s = self._wasted.get(address, (0.0, 0.0))
        return max(0.0, wasted - WASTED_FORGIVEN_PER_S * (clock.monotonic_s() - at_s))

    def _fits(self, body: Body, share: _Share, size: int) -> bool:
        if body.was_cut or self._held + size > self.bytes_max or share.held + size > self.share_max:
            return False
        return body.known or (
            self._strange + size <= self.strange_max and share.strange + size <= self.strange_share_max
        )

    def _is_greedy(self, body: Body, share: _Share, size: int) -> bool:
        """Whether it is the address' own share that has no room: then nobody else gives way."""
        if body.was_cut or share.held + size > self.share_max:
            return True
        return not body.known and share.strange + size > self.strange_share_max

    def _greediest(self, body: Body, share: _Share, size: int) -> Body | None:
        """The largest arriving body of the address that holds most, if that is more than this one would hold then."""
        of_all = self._held + size > self.bytes_max

        def holds(one: _Share) -> int:
            return one.held if of_all else one.strange

        for other in sorted(self._shares.values(), key=holds, reverse=True):
            if holds(other) <= holds(share) + size:
                return None
            arriving = [one for one in other.bodies if one.arriving and (of_all or not one.known)]
            if arriving:
                return max(arriving, key=lambda one: one.held)
        return None

    def _add(self, body: Body, share: _Share, size: int) -> None:
        body.held += size
        share.held += size
        self._held += size
        if not body.known:
            share.strange += size
            self._strange += size
        metrics.HTTP_BODY_BYTES.set(self._held)

    def _drop_empty(self, address: str) -> None:
        share = self._shares.get(address)
        if share is not None and not share.bodies:
            del self._shares[address]


def json_weight(body: bytes) -> int:
    """What reading the body as JSON adds, at most: `[[],[],…]` becomes twenty times its size."""
    return JSON_ELEMENT_BYTES * (body.count(b",") + body.count(b"[") + body.count(b"{"))
