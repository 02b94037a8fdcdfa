"""Odd values in every field of every event: taken and stored, or a dead letter that names the field. Nothing stops."""

import copy
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.intake.usecases.reports import take_events
from services.riders.usecases import take_submissions
from shared.catalog import Catalogue
from shared.devtools.gen.examples import examples_of
from shared.devtools.installation import Installation
from shared.events.envelope import Envelope, to_headers
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.inbound_riders import INBOUND_RIDERS
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience
from shared.kit import clock
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.consuming.decode import Decoder
from shared.kit.ids import new_id
from shared.kit.messaging.cloudevents import STRUCTURED
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool
from tests.full import FULL
from tests.kit.hosting import Host
from tests.support import emptied, settings_of

LONG = 1_000_000
ODD: list[Any] = [
    "\x00", "a\x00b", "\ud800", "a\udfff", "\u202e", "\u2028", "𠮷👷🏽", "", " ", "x" * 3_000, "x,y{}", 2**63,
    -(2**63) - 1, 10**30, str(10**30), float("nan"), float("inf"), float("-inf"), True, None, [], {}, ["\x00"],
    {"\x00": "\ud800"},
]  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=80), st.integers(), st.floats(), st.booleans(), st.none(),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Co"]), min_size=1, max_size=8),
    st.integers(min_value=2**63),
    st.recursive(st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)  # fmt: skip
COMPANY = "odd-inc"
EVERY_TOPIC = pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)
Place = tuple[str | int, ...]
_offsets = count()


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where an example has a scalar, or nothing yet."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*at, name))
    if not isinstance(value, dict):
        yield at


def with_odd(topic: AnyTopic, value: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The topic's fullest example, over and over with the value at another place."""
    whole = max((one.payload for one in examples_of(topic)), key=lambda one: len(json.dumps(one)))
    for at in places(whole):
        body = copy.deepcopy(whole)
        inside: Any = body
        for step in at[:-1]:
            inside = inside[step]
        inside[at[-1]] = value
        yield at, body


def raw(topic: AnyTopic, prefix: str, body: dict[str, Any], key: bytes, *, structured: bool = False) -> Any:
    """The record as Kafka gives it."""
    name, headers = topic.name.format(company=COMPANY, service=COMPANY), []
    # a company's key is the body's number, which may be odd here, or there is none
    key_or_none = b"" if topic.audience is Audience.INBOUND else key
    if structured:
        body = {"specversion": "1.0", "id": new_id().hex, "source": "/a", "type": "b", "data": body}
        headers = [("content-type", STRUCTURED.encode())]
    elif topic.audience is not Audience.INBOUND:
        headers = to_headers(Envelope(new_id(), topic.name, "/beegrid/test", "s", 1, clock.now()))
    return SimpleNamespace(
        topic=prefix + name, partition=0, offset=next(_offsets), timestamp=1, key=key_or_none,
        value=json.dumps(body).encode(), headers=headers,
    )  # fmt: skip


def unnamed(topic: AnyTopic, value: Any, *, structured: bool = False) -> Iterator[str]:
    """Where the outcome is neither an event nor a reason that names the field."""
    decoder = Decoder(topic, "p.")
    for at, body in with_odd(topic, value):
        [item] = decoder.decode([decoder.record(raw(topic, "p.", body, b"k", structured=structured))])
        where = ".".join(map(str, at))
        if isinstance(item, Event):
            if any(mark in repr(item.data) for mark in ("nan,", "inf,", "\\ud800", "\\udfff")):
                yield f"{where} takes {value!a:.40}"
        elif item.code == "content_too_large":
            continue
        elif item.code != "validation_failed" or where not in item.detail:
            yield f"{where} with {value!a:.40}: {item.code}: {item.detail[:200]}"


@EVERY_TOPIC
def test_every_field_takes_an_odd_value_or_is_named(topic: AnyTopic) -> None:
    found = [fault for value in [*ODD, "x" * LONG] for fault in unnamed(topic, value)]
    if topic.audience is Audience.INBOUND:
        found += [fault for value in ODD for fault in unnamed(topic, value, structured=True)]
    assert found == []


@pytest.mark.timeout(1_200 if FULL else 60)
@settings(
    max_examples=2_000 if FULL else 15, deadline=None, derandomize=not FULL, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(topic=st.sampled_from(topics()), value=VALUES)
def test_so_does_whatever_can_be_thought_of(topic: AnyTopic, value: Any) -> None:
    assert list(unnamed(topic, value)) == []


Consumer = Callable[..., TopicConsumer]
TABLES = {
    "intake": "known_companies, known_riders, reports, photos",
    "riders": "companies, company_keys, outlets, riders, rider_names",
}


@pytest.fixture
async def consumer(
    installation: Installation, pool_for: Callable[[str], Any]
) -> AsyncIterator[Callable[[str, AnyTopic, Any], Any]]:
    """Makes a consumer of a service without its Kafka: what it does with records is done on the service's schema."""

    async def empty() -> None:
        for service, own in TABLES.items():
            await emptied(installation, service, "inbox", "parked_keys", own)

    async def make(service: str, topic: AnyTopic, handler: Any) -> tuple[TopicConsumer, Pool]:
        pool: Pool = await pool_for(service)
        # that a topic stands still when too many fail alike is another test's: here each record is to be seen
        quick = settings_of(
            installation, service, batch_interval_ms=1, handler_attempts_max=2, letters_alike_max=1_000_000
        )
        return TopicConsumer(Host(service, quick, pool), topic, handler), pool

    await empty()
    yield make
    await empty()


async def take(work: Work, events: Sequence[Event[Any]]) -> None:
    """The handler of a service that takes everything."""


def keys() -> Iterator[bytes]:
    """Each its own; some longer than an index entry, and nothing packs them."""
    for number in count():
        yield os.urandom(10_000) if number % 10 == 7 else b"k%d" % number


async def process(consumer: TopicConsumer, topic: AnyTopic, values: Sequence[Any]) -> int:
    """Hands a consumer every odd record; how many."""
    prefix, key, sent = consumer.decoder._prefix, keys(), 0
    for value in values:
        records = []
        for at, body in with_odd(topic, value):
            if "photos" in body and at[0] != "photos":
                body["photos"] = []  # nobody has uploaded any
            if at != ("external_id",) and "external_id" in body:
                body["external_id"] = f"n{sent + len(records)}"  # each is a report or rider of its own
            records.append(raw(topic, prefix, body, next(key)))
        await consumer.process(records)
        sent += len(records)
    return sent


@EVERY_TOPIC
async def test_what_cannot_be_read_is_buried_and_published(
    topic: AnyTopic, consumer: Callable[[str, AnyTopic, Any], Any]
) -> None:
    hearer, pool = await consumer("intake", topic, take)
    sent = await process(hearer, topic, ODD if FULL else ODD[:4] + ODD[9:12])
    letters = await pool.fetch("SELECT status, code, key, riders FROM dead_letters")
    assert 0 < len(letters) <= sent
    assert {row["code"] for row in letters} == {"validation_failed"}
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic LIKE '%.dlq'") == len(letters)
    assert await pool.fetchval("SELECT count(*) FROM inbox") == sent - len(letters)
    assert topic.audience is Audience.INBOUND or any(len(row["key"]) == 10_000 for row in letters)


async def prepared(pool: Pool, service: str, rider: str) -> None:
    """The company and, in intake, the rider of the examples."""
    if service == "riders":
        await pool.execute(
            "INSERT INTO companies (company_id, code, name, active, version, created_at, changed_at)"
            " VALUES ($1, $2, 'x', true, 1, now(), now())", new_id(), COMPANY,
        )  # fmt: skip
        return
    await pool.execute("INSERT INTO known_companies VALUES ($1, true, '[]', 1)", COMPANY)
    await pool.execute("INSERT INTO known_riders VALUES ($1, $2, $3, 'zh', true, true, 1)", new_id(), COMPANY, rider)


@pytest.mark.parametrize("topic", [INBOUND_REPORTS, INBOUND_RIDERS], ids=lambda topic: topic.name)
async def test_what_companies_send_is_stored_by_the_service_or_refused(
    topic: AnyTopic, consumer: Callable[[str, AnyTopic, Any], Any]
) -> None:
    """A record that the service's own handler or store chokes on would be `handler_failed`: there is none."""
    [service] = topic.consumers
    handler = partial(take_events, Catalogue.load()) if service == "intake" else take_submissions
    hearer, pool = await consumer(service, topic, handler)
    await prepared(pool, service, examples_of(topic)[0].payload.get("rider", ""))
    sent = await process(hearer, topic, [*ODD, *(["x" * LONG] if FULL else [])])
    rows = await pool.fetch("SELECT code, count(*) AS n FROM dead_letters GROUP BY 1")
    codes = {row["code"]: row["n"] for row in rows}
    assert "handler_failed" not in codes and "unreadable" not in codes, codes
    table = "reports" if service == "intake" else "riders"
    kept = await pool.fetchval(f"SELECT count(*) FROM {table}")
    assert kept >= 10, codes
    assert sum(codes.values()) + await pool.fetchval("SELECT count(*) FROM inbox") >= sent


async def test_a_key_longer_than_an_index_entry_parks_like_any_other(
    consumer: Callable[[str, AnyTopic, Any], Any],
) -> None:
    topic = next(one for one in topics() if one.ordered and one.audience is Audience.INTERNAL)
    hearer, pool = await consumer("intake", topic, take)
    long, prefix = os.urandom(10_000), hearer.decoder._prefix
    good = examples_of(topic)[0].payload
    await hearer.process([raw(topic, prefix, {}, long)])
    await hearer.process([raw(topic, prefix, good, long), raw(topic, prefix, good, long[:-1])])
    rows = await pool.fetch("SELECT status, key FROM dead_letters ORDER BY id")
    assert [(row["status"], row["key"]) for row in rows] == [("dead", long), ("parked", long)]
    assert await pool.fetchval("SELECT key FROM parked_keys") == long
