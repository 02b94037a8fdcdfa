"""What one process has under way in a lane, and how much of that one receiver may have.

Counted by each process for itself: replicas have places of their own.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Hashable
from typing import Generic, TypeVar

from shared.kit import clock

K = TypeVar("K", bound=Hashable)

SLOW_S = 1.0
"""An attempt that takes longer, or goes on for longer, is slow."""
_SLOW_MAX = 10_000


class Places(Generic[K]):
    """Attempts under way, each under the keys of those whose places it takes: its target, a channel's kind."""

    def __init__(self, total: int, *, each: int) -> None:
        self.total = total
        self.each = each
        """So many places one target may have."""
        self._taken = 0
        self._began_s: defaultdict[K, list[float]] = defaultdict(list)
        self._took_s: OrderedDict[K, float] = OrderedDict()

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.total - self._taken

    def take(self, *keys: K) -> float:
        """An attempt begins. Returns when, for `give_back`."""
        began_s = clock.monotonic_s()
        self._taken += 1
        for key in keys:
            self._began_s[key].append(began_s)
        return began_s

    def give_back(self, began_s: float, *keys: K) -> None:
        """The attempt has ended, whatever came of it."""
        self._taken -= 1
        for key in keys:
            self._began_s[key].remove(began_s)
            if not self._began_s[key]:
                del self._began_s[key]
            self._learn(key, clock.monotonic_s() - began_s)

    def under_way(self, key: K) -> int:
        """How many attempts of a key are."""
        return len(self._began_s.get(key, ()))

    def oldest_s(self, key: K) -> float:
        """For how long the oldest attempt of a key has been under way; 0 where none is."""
        began_s = self._began_s.get(key)
        return clock.monotonic_s() - min(began_s) if began_s else 0.0

    def busy(self) -> set[K]:
        """The keys that have anything under way."""
        return set(self._began_s)

    def slow(self) -> set[K]:
        """The keys whose attempts take long of late, or are taking long just now."""
        return set(self._took_s) | {key for key in self._began_s if self.oldest_s(key) >= SLOW_S}

    def _learn(self, key: K, took_s: float) -> None:
        """The mean of what attempts took, the last one weighs half: one quick answer among slow ones changes little."""
        mean_s = (self._took_s.pop(key, took_s) + took_s) / 2
        if mean_s >= SLOW_S:
            self._took_s[key] = mean_s
            if len(self._took_s) > _SLOW_MAX:
                self._took_s.popitem(last=False)
