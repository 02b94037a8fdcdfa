"""The checker of promise 1. Pure: three collections in, what is wrong with them out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from tests.promises.support.kafka import Stored

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record of a topic, in the topic's order within its key."""

    event_id: str
    key: str
    version: int
    partition: int


def arrivals(records: Iterable[Stored]) -> list[Arrival]:
    """Records by their CloudEvents headers."""
    return [
        Arrival(
            record.headers["ce_id"].decode(),
            record.key.decode(),
            int(record.headers["ce_aggregateversion"]),
            record.partition,
        )
        for record in records
    ]


def delivery_problems(
    accepted: Set[tuple[str, int]], arrived: Iterable[Arrival], table: Mapping[str, int]
) -> list[str]:
    """What contradicts "a 2xx means the event reaches Kafka; versions of one aggregate arrive in order".

    Args:
        accepted: (key, version) that were acknowledged to a client.
        arrived: the topic from its beginning.
        table: version of each aggregate in its service's own table.
    """
    first: dict[str, Arrival] = {}
    for arrival in arrived:
        first.setdefault(arrival.event_id, arrival)
    versions: dict[str, list[int]] = defaultdict(list)
    places: dict[str, set[int]] = defaultdict(set)
    for arrival in first.values():
        versions[arrival.key].append(arrival.version)
        places[arrival.key].add(arrival.partition)
    there = {(arrival.key, arrival.version) for arrival in first.values()}
    problems = {
        "lost: acknowledged to a client and not in the topic": sorted(accepted - there),
        "lost: in the table and not in the topic": [
            (key, n) for key, last in table.items() for n in range(1, last + 1) if (key, n) not in there
        ],
        "never committed, and in the topic": [
            (key, n) for key, seen in versions.items() for n in seen if n > table.get(key, 0)
        ],
        "two events of one version": [(key, seen) for key, seen in versions.items() if len(set(seen)) < len(seen)],
        "out of order": [(key, seen) for key, seen in versions.items() if seen != sorted(seen)],
        "on several partitions": [(key, seen) for key, seen in places.items() if len(seen) > 1],
    }
    return [f"{what}: {len(found)}, e.g. {found[:SHOWN]}" for what, found in problems.items() if found]
