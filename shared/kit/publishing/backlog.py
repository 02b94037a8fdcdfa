"""What of the outbox a relay has still to read, so that a round walks over no index entry of a row that it deleted.

Deleted rows stay in the index as long as anybody's snapshot may see them, a backup's for hours. But the relay knows
what it has deleted: all up to the highest id that it has read, without the gaps. A gap is an id that was drawn and not
yet committed when a higher one was read; it is asked for in each round, until no transaction that could have drawn it
lives any more.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

# No transaction of a service lives longer (transaction_timeout of its role is 30 s), so an id below one that was seen
# this long ago is committed or will never be.
GAP_ENDS_AFTER_S = 60.0
GAPS_MAX = 500


@dataclass(slots=True)
class Gap:
    """Ids from `low` to `high`, both included, first missed by a read at `since_s`."""

    low: int
    high: int
    since_s: float


class Backlog:
    """Ids above `top`, and the gaps below it. No cursor of what was sent: a gap's row is found whenever it commits."""

    def __init__(self, floor: int) -> None:
        """`floor`: an id up to which all was settled before, by whomever."""
        self.top = floor
        self.gaps: list[Gap] = []

    @property
    def floor(self) -> int:
        """The highest id up to which all is settled; the next leader may begin there."""
        return self.gaps[0].low - 1 if self.gaps else self.top

    def bounds(self) -> tuple[list[int], list[int]]:
        """The gaps' lowest and highest ids."""
        return [gap.low for gap in self.gaps], [gap.high for gap in self.gaps]

    def settled(self, ids: Sequence[int], now_s: float, *, whole: bool) -> None:
        """Note a read at `now_s` whose rows have left the outbox; `ids` ascending. Not `whole`: cut after the last."""
        self._close([id_ for id_ in ids if id_ <= self.top])
        for id_ in ids:
            if id_ > self.top:
                if id_ > self.top + 1:
                    self.gaps.append(Gap(self.top + 1, id_ - 1, now_s))
                self.top = id_
        read_to = self.top if whole else ids[-1]
        self.gaps = [gap for gap in self.gaps if now_s - gap.since_s <= GAP_ENDS_AFTER_S or gap.high > read_to]
        if len(self.gaps) > GAPS_MAX:
            self._join()

    def _close(self, ids: Sequence[int]) -> None:
        """Take ids out of their gaps."""
        for id_ in ids:
            at = bisect_right(self.gaps, id_, key=lambda gap: gap.low) - 1
            if at < 0 or self.gaps[at].high < id_:
                continue
            gap = self.gaps[at]
            parts = (Gap(gap.low, id_ - 1, gap.since_s), Gap(id_ + 1, gap.high, gap.since_s))
            self.gaps[at : at + 1] = [part for part in parts if part.low <= part.high]

    def _join(self) -> None:
        """Make one of two neighbours: to ask for what is settled as well costs little, to forget a gap an event."""
        pairs = [self.gaps[at : at + 2] for at in range(0, len(self.gaps), 2)]
        self.gaps = [Gap(pair[0].low, pair[-1].high, max(gap.since_s for gap in pair)) for pair in pairs]
