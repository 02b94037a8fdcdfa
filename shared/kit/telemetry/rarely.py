"""What a lost server makes clients say again and again: said at once, then once a minute, with how often it was meant.

While Kafka is away each consumer of a process tries ten times a second and complains of each try, which buries whatever
else a log has to say and fills a disk overnight.
"""

import logging
import re
from dataclasses import dataclass

from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, StaleMetadata

from shared.kit import clock

EVERY_S = 60.0
AIOKAFKA = "aiokafka"
NO_REASON = (AIOKAFKA,)
CONSEQUENCES = (NodeNotReadyError, KafkaConnectionError, StaleMetadata)
"""What comes of a broker that is away; why it is, an earlier line has said."""
OURS = frozenset({"relay_round_failed", "relay_producer_dropped", "fetch_failed", "consumer_waits"})
"""Events of the kit that a lost server repeats; those of one topic are counted by themselves."""
OF_AIOKAFKA = re.compile(
    r"Unable connect to|Unable to (update|request) metadata|Group Coordinator Request failed|FindCoordinator Request"
    r"|Error sending|Marking the coordinator dead|Heartbeat|OffsetCommit failed|LeaveGroup request failed"
    r"|Failed (fetch|to commit)|Attempt to fetch offsets|Cannot send|Could not send|Auto offset commit failed"
)


@dataclass(slots=True)
class _Said:
    at_s: float
    kept_back: int = 0


class Rarely(logging.Filter):
    """On a handler. The line that is let through again has `repeated`: how many like it there were since the last."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._said: dict[tuple[str, ...], _Said] = {}
        self._last: tuple[str, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        key = _key(record)
        if key is None:
            return True
        if key == NO_REASON:  # a consequence of what was said last
            key = self._last or NO_REASON
        elif key[0] == AIOKAFKA:
            self._last = key
        now_s = clock.monotonic_s()
        said = self._said.get(key)
        if said is not None and now_s - said.at_s < self._every_s:
            said.kept_back += 1
            return False
        self._said[key] = _Said(now_s)
        if said is not None and said.kept_back:
            if isinstance(record.msg, dict):
                record.msg = {**record.msg, "repeated": said.kept_back}
            else:
                record.repeated = said.kept_back
        return True


def _key(record: logging.LogRecord) -> tuple[str, ...] | None:
    """What lines have in common that are one complaint; None: each is written.

    Another reason is another complaint: a broker that comes back and refuses the password must not be missed.
    """
    if isinstance(record.msg, dict):
        event = record.msg.get("event")
        return (str(event), str(record.msg.get("topic", ""))) if event in OURS else None
    if record.name.split(".")[0] == AIOKAFKA and OF_AIOKAFKA.match(str(record.msg)):
        arguments = record.args if isinstance(record.args, tuple) else ()
        errors = [one for one in arguments if isinstance(one, BaseException) and not isinstance(one, CONSEQUENCES)]
        reasons = [type(one).__name__ for one in errors]
        return (AIOKAFKA, *reasons)
    return None
