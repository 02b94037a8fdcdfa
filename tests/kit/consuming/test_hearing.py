"""A consumer that polls a dead broker learns nothing, and says so."""

from typing import Any, cast

import pytest

from shared.kit.consuming import hearing
from shared.kit.consuming.hearing import UNHEARD_AFTER_S, Hearing

NOW_S = 1_800_000_000.0


class Consumer:
    """Partitions with the broker's last answers, in milliseconds."""

    def __init__(self, **answers: int | None) -> None:
        self._answers = answers

    def assignment(self) -> set[str]:
        return set(self._answers)

    def last_poll_timestamp(self, partition: str) -> int | None:
        return self._answers[partition]


@pytest.mark.parametrize(
    ("consumer", "later_s", "heard", "trouble"),
    [
        (Consumer(a=None, b=None), 1, True, False),  # just started
        (Consumer(a=None, b=None), UNHEARD_AFTER_S + 1, False, True),
        (Consumer(a=int((NOW_S + 100) * 1000), b=None), 101, True, False),
        (Consumer(a=int((NOW_S + 100) * 1000), b=None), 101 + UNHEARD_AFTER_S, False, True),
        (Consumer(), 500, False, False),  # more processes than partitions: nobody speaks to this one
    ],
)
def test_silence(monkeypatch: pytest.MonkeyPatch, consumer: Any, later_s: float, heard: bool, trouble: bool) -> None:
    now = [NOW_S]
    monkeypatch.setattr(hearing.clock, "unix_s", lambda: now[0])
    one = Hearing()
    now[0] += later_s
    assert one.listen(consumer, idle=True) is heard
    assert (one.trouble is not None) is trouble
    assert not trouble or "has not answered" in str(one.trouble)


def test_a_busy_consumer_asks_for_nothing_and_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW_S]
    monkeypatch.setattr(hearing.clock, "unix_s", lambda: now[0])
    one, consumer = Hearing(), cast("Any", Consumer(a=int(NOW_S * 1000)))
    now[0] += 300
    assert not one.listen(consumer, idle=False)
    assert one.trouble is None
    now[0] += UNHEARD_AFTER_S - 1
    assert one.listen(consumer, idle=True)
    now[0] += 2
    assert not one.listen(consumer, idle=True)
    assert one.trouble is not None
