"""What is judged by, whoever asks: kinds, days, areas, and what a process knows of rules and budgets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from services.points.earning.memory import Memory
from services.points.earning.words import Why, why
from shared.catalog import Catalogue
from shared.kit.areas import NO_MAP, AreaTree

WORDS_MAX = 10_000
"""Rules and reasons whose words a process remembers."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What points are calculated by. `tree`: the map as the process has it now."""

    catalogue: Catalogue
    zone: ZoneInfo
    """Where a day begins."""
    tree: Callable[[], AreaTree] = lambda: NO_MAP
    memory: Memory = field(default_factory=Memory)

    def why(self, rule: str | None, reason: str | None = None, said: str | None = None) -> Why:
        """Which rule has decided, and why, for people; without a reason the rule alone.

        `said`: what an office has said beside the reason. Its words are remembered nowhere.
        """
        if said is not None:
            return why(self.memory.known.rules.sets, rule, reason, said)
        words = self.memory.words
        if (found := words.get((rule, reason))) is None:
            if len(words) >= WORDS_MAX:
                words.clear()
            found = words[rule, reason] = why(self.memory.known.rules.sets, rule, reason)
        return found
