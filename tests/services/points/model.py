"""What a rider's points should do with time, by the words of the rules: lots in a row, spent from the old end."""

from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass
class DayLot:
    """What was earned on one day. `spent` came from it; what is given back goes to where it was last taken."""

    day: date
    points: int = 0
    spent: int = 0
    expired: int = 0

    @property
    def left(self) -> int:
        return self.points - self.spent - self.expired


@dataclass
class Purse:
    """The lots of one rider, oldest first."""

    lots: list[DayLot] = field(default_factory=list)

    def earn(self, day: date, points: int) -> None:
        if not self.lots or self.lots[-1].day < day:
            self.lots.append(DayLot(day))
        self.lots[-1].points += points

    def spend(self, points: int) -> None:
        for lot in self.lots:
            taken = min(lot.left, points)
            lot.spent += taken
            points -= taken
        assert points == 0, "more than there was"

    def give_back(self, points: int) -> None:
        for lot in reversed(self.lots):
            given = min(lot.spent, points)
            lot.spent -= given
            points -= given
        assert points == 0, "more than was spent"

    def expire(self, today: date, valid: timedelta) -> list[int]:
        """Each old lot's rest."""
        gone = []
        for lot in self.lots:
            if lot.day + valid <= today and lot.left:
                gone.append(lot.left)
                lot.expired += lot.left
        return gone

    @property
    def left(self) -> dict[date, int]:
        return {lot.day: lot.left for lot in self.lots if lot.left}
