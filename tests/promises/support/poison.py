"""Streams with bad records among good ones, and the model that says what must become of each. Pure."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.events.envelope import Envelope, to_headers
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit import clock
from shared.kit.ids import derived_id, new_id
from tests.promises.support.kafka import Raw, Stored

Kind = Literal["good", "malformed_json", "validation_failed", "content_too_large", "raises", "flaky"]
BAD: tuple[Kind, ...] = ("malformed_json", "validation_failed", "content_too_large", "raises", "flaky")
UNREADABLE: frozenset[str] = frozenset({"malformed_json", "validation_failed", "content_too_large"})
TWO_MIB = 2 * 1024 * 1024
SHOWN = 4
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Planned:
    """The `version`-th record of its key."""

    key: UUID
    version: int
    kind: Kind

    def raw(self) -> Raw:
        """The record, as of now."""
        now = clock.now()
        envelope = Envelope(new_id(), REPORT_RECEIVED.name, "/beegrid/intake", str(self.key), self.version, now)
        body = ReportReceived(
            report_id=self.key,
            rider_id=self.key,
            company="sf-express",
            external_id=f"{self.version}",
            kind="part-01001",
            level="hazard",
            lng=120.4,
            lat=30.3,
            accuracy_m=10,
            text=self.kind,
            occurred_at=now,
            received_at=now,
        )
        values = {
            "malformed_json": b"{",
            "validation_failed": b'{"report_id": 7}',
            "content_too_large": b'{"text":"' + b"x" * TWO_MIB + b'"}',
        }
        value = values.get(self.kind) or body.model_dump_json().encode()
        return Raw(REPORT_RECEIVED.name, str(self.key), value, tuple(to_headers(envelope)))


@dataclass(frozen=True, slots=True)
class Letter:
    """What a dead letter says of a record."""

    key: str
    status: str
    code: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One committed effect, in the order of commits; `late_s` after the record was made."""

    key: str
    version: int
    late_s: float


def stream(seed: int, count: int, keys: int, bad: int) -> list[Planned]:
    """`bad` of `count` records are bad, each kind equally often, each on a key of its own, with successors."""
    rng = random.Random(seed)
    names = [derived_id("report", str(seed), str(n)) for n in range(keys)]
    turns = [rng.choice(names) for _ in range(count)]
    kinds: dict[int, Kind] = {}
    for n, name in enumerate(rng.sample(sorted(set(turns)), bad)):
        own = [at for at, key in enumerate(turns) if key == name]
        kinds[rng.choice(own[: max(1, len(own) // 2)])] = BAD[n % len(BAD)]
    versions: dict[UUID, int] = defaultdict(int)
    planned = []
    for at, key in enumerate(turns):
        versions[key] += 1
        planned.append(Planned(key, versions[key], kinds.get(at, "good")))
    return planned


def expected_letters(planned: Sequence[Planned], places: Sequence[tuple[int, int]]) -> dict[Place, Letter]:
    """The permanently bad and everything behind them."""
    blocked: set[UUID] = set()
    letters: dict[Place, Letter] = {}
    for one, (partition, offset) in zip(planned, places, strict=True):
        place = (REPORT_RECEIVED.name, partition, offset)
        if one.key in blocked:
            letters[place] = Letter(str(one.key), "parked", "parked")
        elif one.kind in UNREADABLE or one.kind == "raises":
            letters[place] = Letter(str(one.key), "dead", one.kind if one.kind in UNREADABLE else "handler_failed")
            blocked.add(one.key)
    return letters


def by_key(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Versions of each key, in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for key, version in pairs:
        found[key].append(version)
    return dict(found)


def fault_free(planned: Iterable[Planned]) -> dict[str, list[int]]:
    """What takes effect where nothing fails; what nobody can read is no event."""
    return by_key((str(one.key), one.version) for one in planned if one.kind not in UNREADABLE)


def letter_problems(wanted: Mapping[Place, Letter], stored: Mapping[Place, Letter]) -> list[str]:
    """Dead letters that are missing, too many or described wrongly."""
    problems = {
        "missing": {place: wanted[place] for place in wanted.keys() - stored.keys()},
        "too many": {place: stored[place] for place in stored.keys() - wanted.keys()},
        "other than expected": {
            place: (stored[place], wanted[place])
            for place in wanted.keys() & stored.keys()
            if stored[place] != wanted[place]
        },
    }
    return [f"dead letters {what}: {len(n)}, e.g. {list(n.items())[:SHOWN]}" for what, n in problems.items() if n]


def partner_problems(
    wanted: Mapping[Place, Letter], published: Iterable[Stored], values: Mapping[Place, bytes], prefix: str = ""
) -> list[str]:
    """The `.dlq` topic has the same letters, each record whole and with a reason. The relay may repeat itself."""
    found: dict[Place, Letter] = {}
    problems = []
    for record in published:
        text = {name: value.decode() for name, value in record.headers.items() if name.startswith("dlq-")}
        place = (text["dlq-topic"].removeprefix(prefix), int(text["dlq-partition"]), int(text["dlq-offset"]))
        if place not in values:
            continue  # of another test
        found[place] = Letter(record.key.decode(), text["dlq-status"], text["dlq-code"])
        if not text["dlq-detail"] or text["dlq-consumer"] != "routing" or record.value != values[place]:
            problems.append(f"{place} is published without its reason or content")
    return problems + letter_problems(wanted, found)


def order_problems(effects: Iterable[Effect], wanted: Mapping[str, list[int]]) -> list[str]:
    """Effects that are missing, double or out of order, per key."""
    seen = by_key((one.key, one.version) for one in effects)
    wrong = {key: (seen.get(key, []), wanted.get(key, [])) for key in seen.keys() | wanted.keys()}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    return [f"effects of {len(wrong)} keys, e.g. (seen, expected) {list(wrong.items())[:2]}"] if wrong else []
