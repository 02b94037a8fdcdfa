"""Which calls were too long without their waits for the disk, read from a log as Postgres writes it."""

import asyncpg
import pytest

from shared.devtools.bench import slow_calls
from shared.devtools.bench.slow_calls import Calls, read, too_many
from shared.devtools.infra.postgres import start_postgres
from shared.devtools.infra.watchdog import Guard

LOG = """\
2026-11-29 17:00:00.000 UTC [7] aged_points_app@aged query -42 LOG:  duration: 542.500 ms  plan:
\tQuery Text: SELECT 1
\tNested Loop  (cost=0.84..9.14 rows=1 width=40) (actual rows=1.00 loops=1)
\t  Buffers: shared hit=20 read=40
\t  I/O Timings: shared read=500.250 write=2.250
\t  ->  Index Scan  (cost=0.42..4.44 rows=1 width=8) (actual rows=1.00 loops=1)
\t        I/O Timings: shared read=300.000
2026-11-29 17:00:01.000 UTC [7] aged_points_app@aged query -42 LOG:  duration: 130.000 ms  plan:
\tQuery Text: SELECT 1
\tSort  (cost=0.84..9.14 rows=1 width=40) (actual rows=1.00 loops=1)
\t  I/O Timings: temp read=90.000 write=30.000
2026-11-29 17:00:02.000 UTC [8] aged_cases_app@aged query 7 LOG:  checkpoint starting
""".splitlines(keepends=True)


def test_waits_for_tables_are_taken_off_and_those_for_a_spilled_sort_are_not() -> None:
    found = read(LOG)
    assert list(found) == [("aged_points_app", -42)]
    assert found["aged_points_app", -42].own_ms == pytest.approx([40.0, 130.0])


@pytest.mark.parametrize(
    ("max_ms", "calls", "own_ms", "wrong"),
    [
        (99.0, 1, None, False),
        (542.5, 10, [40.0], False),
        (542.5, 99, [140.0], True),
        (542.5, 100, [140.0], False),
        (542.5, 199, [140.0, 101.0], True),
        (150.0, 10, None, True),
    ],
    ids=["short", "the disk", "one of few", "one of a hundred", "two", "a COPY, of which the log says nothing"],
)
def test_what_is_too_long(max_ms: float, calls: int, own_ms: list[float] | None, wrong: bool) -> None:
    assert too_many(max_ms, calls, None if own_ms is None else Calls(own_ms)) is wrong


async def test_a_server_writes_what_is_read() -> None:
    guard = Guard()
    try:
        server = start_postgres(guard, settings=slow_calls.SETTINGS)
        conn = await asyncpg.connect(server.admin_url)
        await conn.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n")
        await conn.fetch("SELECT sum(n), pg_sleep($1::float) FROM t", 0.15)
        await conn.close()
        server.stop()
        with server.spec.log.open(encoding="utf-8") as log:
            found = read(log)
    finally:
        guard.close()
    assert {role for role, _ in found} == {"postgres"}
    assert any(ms >= 150 for calls in found.values() for ms in calls.own_ms)
