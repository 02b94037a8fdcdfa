"""What a lost server makes clients repeat is written once a minute; another reason, and all else, at once."""

import logging
from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError, SaslAuthenticationFailed

from shared.kit.telemetry import rarely
from shared.kit.telemetry.rarely import Rarely


class Kept(logging.Handler):
    """Keeps what gets through."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(Rarely())

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at_s = [100.0]
    monkeypatch.setattr(rarely.clock, "monotonic_s", lambda: at_s[0])
    return at_s


def said(kept: Kept, name: str, message: Any, *arguments: object) -> None:
    kept.handle(logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, None))


def test_an_outage_of_five_minutes_is_five_lines(now: list[float]) -> None:
    kept, away, so = Kept(), ConnectionRefusedError("refused"), NodeNotReadyError("not ready")
    for _ in range(3_000):
        said(kept, "aiokafka", "Unable connect to node with id %s: %s", 1, away)
        said(kept, "aiokafka.consumer.group_coordinator", "Group Coordinator Request failed: %s", so)
        said(kept, "aiokafka", "Unable to update metadata from %s", [1])
        now[0] += 0.1
    assert len(kept.records) == 5
    assert sum(getattr(record, "repeated", 0) for record in kept.records) > 7_000


def test_another_reason_is_written_at_once(now: list[float]) -> None:
    kept = Kept()
    refused = ConnectionRefusedError("refused")
    for error in (refused, SaslAuthenticationFailed("wrong"), refused):
        said(kept, "aiokafka", 'Unable connect to "%s:%s": %s', "kafka", 9092, error)
    assert [type(record.args[-1]) for record in kept.records if isinstance(record.args, tuple)] == [
        ConnectionRefusedError,
        SaslAuthenticationFailed,
    ]


def test_all_else_is_written_each_time(now: list[float]) -> None:
    kept = Kept()
    for _ in range(3):
        said(kept, "aiokafka.consumer.fetcher", "Not authorized to read from topic %s.", "a")
        said(kept, "services.cases", {"event": "dead_letter", "topic": "a"})
    assert len(kept.records) == 6


def test_the_kit_s_own_by_topic_with_their_number(now: list[float]) -> None:
    kept = Kept()
    for _ in range(5):
        said(kept, "kit", {"event": "fetch_failed", "topic": "a"})
        said(kept, "kit", {"event": "fetch_failed", "topic": "b"})
    assert [record.msg["topic"] for record in kept.records] == ["a", "b"]  # type: ignore[index]  # the kit's own are dicts
    now[0] += 61
    said(kept, "kit", {"event": "fetch_failed", "topic": "a"})
    assert kept.records[-1].msg == {"event": "fetch_failed", "topic": "a", "repeated": 4}
