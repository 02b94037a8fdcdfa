"""Steps of cases and changes of riders, the same for one seed, whose outcome doesn't hang on the order of cases.

Every case has a day of its own, so no daily cap is reached: which report a cap refuses depends on which case comes
first, and two cases on two partitions have no order. Some cases are of a kind that nobody knows: refused, not retried.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.envelope import Envelope, to_headers
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.events.topic import Topic
from shared.kit.ids import derived_id
from tests.promises.support.kafka import Raw

FIRST_DAY = datetime(2021, 1, 1, 4, tzinfo=UTC)
RIDERS = 40
UNKNOWN_KIND_EVERY = 9
ENDINGS = (["claimed", "handled", "verified", "closed"], ["claimed", "invalidated"], ["closed", "invalidated"])
STATE_AFTER = {"opened": "open", "attached": "open", "invalidated": "invalid"}


def events(seed: int, count: int) -> list[Raw]:
    """That many events, in an order in which each key's versions ascend."""
    rng = random.Random(seed)
    streams = [_case(seed, n, random.Random(f"{seed}-{n}")) for n in range(count // 3)]
    streams += [_rider(seed, n, random.Random(f"{seed}-r{n}")) for n in range(RIDERS)]
    made: list[Raw] = []
    open_streams = streams[:12]
    waiting = iter(streams[12:])
    while open_streams and len(made) < count:
        stream = rng.choice(open_streams)
        event = next(stream, None)
        if event is not None:
            made.append(event)
            continue
        open_streams.remove(stream)
        open_streams += [following] if (following := next(waiting, None)) else []
    assert len(made) == count
    return made


def thrice(raws: Sequence[Raw], rng: random.Random) -> list[Raw]:
    """Every record three times, the second and third anywhere after the first."""
    placed = [(float(at), raw) for at, raw in enumerate(raws)]
    placed += [(at + 0.5 + rng.random() * len(raws), raw) for at, raw in enumerate(raws) for _ in range(2)]
    return [raw for _, raw in sorted(placed, key=lambda pair: pair[0])]


def _record(topic: Topic[Any], body: Any, version: int, at: datetime) -> Raw:
    key = topic.key_of(body)
    event_id = derived_id(topic.name, key, str(version))
    envelope = Envelope(event_id, topic.name, f"/beegrid/{topic.producer}", key, version, at)
    return Raw(topic.name, key, body.model_dump_json().encode(), tuple(to_headers(envelope)))


def _rider_id(seed: int, number: int) -> UUID:
    return derived_id("rider", str(seed), str(number))


def _case(seed: int, number: int, rng: random.Random) -> Iterator[Raw]:
    case_id = derived_id("case", str(seed), str(number))
    opened_at = FIRST_DAY + timedelta(days=number)
    riders = rng.sample(range(RIDERS), 1 + rng.randrange(3))
    reports = tuple(
        CaseReport(
            report_id=derived_id("report", str(case_id), str(n)),
            rider_id=_rider_id(seed, rider),
            company="sf-express",
            ordinal=n + 1,
        )
        for n, rider in enumerate(riders)
    )
    steps = ["opened", *["attached"] * (len(reports) - 1), *rng.choice(ENDINGS)]
    known = 0
    for version, step in enumerate(steps, start=1):
        known += step in ("opened", "attached")
        at = opened_at + timedelta(minutes=version)
        body = CaseChanged(
            case_id=case_id,
            state=STATE_AFTER.get(step, step),
            transition=step,
            kind="no-such-kind" if number % UNKNOWN_KIND_EVERY == 0 else "part-01001",
            level="hazard",
            grid_code="330114001001001",
            department=None,
            lng=120.4,
            lat=30.3,
            report=reports[known - 1] if step in ("opened", "attached") else None,
            report_count=known,
            changed_at=at,
            opened_at=opened_at,
            due_at=opened_at + timedelta(days=1),
        )
        yield _record(CASE_CHANGED, body, version, at)


def _rider(seed: int, number: int, rng: random.Random) -> Iterator[Raw]:
    for version in range(1, 2 + rng.randrange(4)):
        body = RiderChanged(
            rider_id=_rider_id(seed, number),
            company="sf-express",
            external_id=f"r{number}",
            kind="courier",
            consent=True,
            locale="zh",
            active=version == 1 or rng.random() < 0.5,
        )
        yield _record(RIDER_CHANGED, body, version, FIRST_DAY + timedelta(minutes=version))
