"""The calls of statements that took too long, one by one, and for how long each of them waited for the disk.

`pg_stat_statements` keeps a statement's longest call, but of that call nothing else. `auto_explain` writes each call
above a limit into the server's log, with what it waited for blocks of tables. It doesn't see COPY.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

STATEMENT_MS_MAX = 100.0
FORGIVEN = 1 / 100
"""Of a statement's calls may have been longer: one stall of a machine says nothing of a statement that runs often."""
SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "auto_explain.log_min_duration": str(int(STATEMENT_MS_MAX)),
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    # reading the clock for each row would be paid by every statement
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "text",
    "track_io_timing": "on",
    "log_line_prefix": "%m [%p] %u@%d query %Q ",
}
"""What a server needs for it."""
CALL = re.compile(r"\] (?P<role>\S+)@\S+ query (?P<id>-?\d+) LOG:  duration: (?P<ms>[\d.]+) ms  plan:")
WAITED = re.compile(r"^\t+\s*I/O Timings: (?:.*?)shared(?P<times>(?: (?:read|write)=[\d.]+)+)")
TIME = re.compile(r"=([\d.]+)")


@dataclass
class Calls:
    """Too long calls of one statement: ms of each, without its waits for blocks of tables and indexes."""

    own_ms: list[float] = field(default_factory=list)


def read(log: Iterable[str]) -> dict[tuple[str, int], Calls]:
    """By role and query id, from a server's log with SETTINGS."""
    found: defaultdict[tuple[str, int], Calls] = defaultdict(Calls)
    for call, waited_ms in _calls(log):
        found[call["role"], int(call["id"])].own_ms.append(float(call["ms"]) - waited_ms)
    return dict(found)


def too_many(max_ms: float, calls: int, logged: Calls | None) -> bool:
    """Whether a statement was too long, not counting what it waited for the disk, in more than FORGIVEN of its calls.

    What was too long and isn't in the log is one whose waits nobody knows: it counts whole.
    """
    if max_ms <= STATEMENT_MS_MAX:
        return False
    own_ms = logged.own_ms if logged else [max_ms]
    return sum(1 for ms in own_ms if ms > STATEMENT_MS_MAX) > calls * FORGIVEN


def _calls(log: Iterable[str]) -> Iterator[tuple[re.Match[str], float]]:
    """Each call with its waits, ms: the first line of waits below it is the whole plan's."""
    call: re.Match[str] | None = None
    waited_ms: float | None = None
    for line in log:
        if line.startswith("\t"):
            if call and waited_ms is None and (waited := WAITED.match(line)):
                waited_ms = sum(float(one) for one in TIME.findall(waited["times"]))
            continue
        if call:
            yield call, waited_ms or 0.0
        call, waited_ms = CALL.search(line), None
    if call:
        yield call, waited_ms or 0.0
