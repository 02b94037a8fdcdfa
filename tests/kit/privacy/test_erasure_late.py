"""What comes of an erased rider and can't take effect: neither the letter nor its event has what the rider said."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from shared.devtools.gen.examples import examples_of
from shared.devtools.installation import Installation
from shared.events.case_changed import CASE_CHANGED
from shared.events.envelope import Envelope, to_headers
from shared.events.personal import ERASED_WORDS, personal_paths
from shared.events.registry import AnyTopic, topics
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit import clock
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.ids import new_id
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial, Status
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.work import Event, OutboxRow, Record, Work, begin
from shared.kit.postgres.db import Connection, Pool
from shared.kit.privacy import letters_of_erased
from shared.kit.privacy.erasure import Erasure, Leaver
from shared.provision.postgres import owner_role
from tests.kit.hosting import Host
from tests.support import settings_of

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
ROOMY = Bounds(1 << 40, 1 << 30)
CANARY, PLACE = "canary77123", 30.1234567
OURS = [topic for topic in topics() if letters_of_erased.is_about_riders(topic)]
# From what docs/data-map.md says of events, whatever the kit makes of it.
NAMINGS = [(topic, ".".join(path)) for topic in OURS for path, mark in personal_paths(topic.model) if mark.sort == "id"]
EVERY_NAMING = pytest.mark.parametrize(("topic", "naming"), NAMINGS, ids=[f"{t.name}-{at}" for t, at in NAMINGS])
_offsets = itertools.count()


@pytest.fixture
async def pool(installation: Installation, pool_for: Callable[[str], Awaitable[Pool]]) -> AsyncIterator[Pool]:
    """Routing's schema, empty before and after: any would do."""
    owner = await asyncpg.connect(installation.dsn("routing", owner_role))
    empty = "TRUNCATE counters, dead_letters, erased_riders, parked_keys, inbox, outbox, routes, unroutable"
    await owner.execute(empty)
    yield await pool_for("routing")
    await owner.execute(empty)
    await owner.close()


async def nothing(_conn: Connection, _leavers: Sequence[Leaver]) -> None:
    """A service without tables of its own."""


async def erase(pool: Pool, rider: UUID) -> None:
    """Until the service is done with them."""
    erasure = Erasure(lambda: pool, 0.0, nothing, None)
    async with pool.acquire() as conn, conn.transaction():
        await erasure.take(conn, [Leaver(rider, "erased:" + "0" * 40, NOW)])
    while await erasure.settle():
        pass
    assert await pool.fetchval("SELECT done_at IS NOT NULL FROM erased_riders WHERE rider_id = $1", rider)


def naming_them(topic: AnyTopic, rider: UUID, naming: str | None = None) -> dict[str, Any]:
    """An event of the topic that names the rider in that field, with everything that erasure takes away to be found."""
    naming = naming or next(at for one, at in NAMINGS if one is topic)
    examples = [dict(one.payload) for one in examples_of(topic)]
    body = max(examples, key=lambda one: len(json.dumps(one)))
    if topic is CASE_CHANGED:
        body |= {"report": None, "actor": None, "note": ""}
    if naming == "report.rider_id":
        body["report"] = next(one["report"] for one in examples if one.get("report")) | {"rider_id": str(rider)}
    elif naming == "actor.id":
        body |= {"note": CANARY, "actor": {"id": str(rider), "name": CANARY, "role": "rider"}}
    else:
        body |= {naming: str(rider)}
        body |= {name: CANARY for name in ("text", "external_id") if name in topic.model.model_fields}
        if topic is not CASE_CHANGED:  # whose words those are, its other fields say
            marks = personal_paths(topic.model)
            body |= {path[0]: CANARY for path, mark in marks if mark.sort == "words" and len(path) == 1}
    if "photos" in body:
        body["photos"] = [{"photo_id": str(new_id()), "media_type": "image/jpeg", "caption": CANARY}]
    return body | {name: PLACE for name in ("lng", "lat") if name in topic.model.model_fields}


async def bury(pool: Pool, topic: str, body: Any, status: Status) -> tuple[int, list[OutboxRow]]:
    record = Record(topic, 0, next(_offsets), b"key", orjson.dumps(body), (("ce_id", b"x"),), 1)
    burial = Burial(record, None, status, "handler_failed", f"ValueError: {CANARY}", 1)
    async with pool.acquire() as conn, conn.transaction():
        published = await dead_letters.bury(conn, [burial], consumer="routing", now=NOW, bounds=ROOMY)
        return int(await conn.fetchval("SELECT max(id) FROM dead_letters")), published


def found(row: Mapping[str, Any]) -> Iterator[str]:
    """Where the row has what the rider said, or where they stood."""
    for name, value in row.items():
        text = value.decode(errors="ignore") if isinstance(value, bytes) else str(value)
        yield from (f"{name}: {canary}" for canary in (CANARY, str(PLACE)) if canary in text)


async def letter(pool: Pool, id_: int) -> asyncpg.Record:
    return await pool.fetchrow("SELECT * FROM dead_letters WHERE id = $1", id_)


def test_there_are_such_topics() -> None:
    assert {"intake.report-received.v1", "cases.case-changed.v1", "riders.rider-changed.v1"} <= {t.name for t in OURS}
    named = {at for topic, at in NAMINGS if topic is CASE_CHANGED}
    assert named == {"report.rider_id", "actor.id"}


@EVERY_NAMING
@pytest.mark.parametrize("status", ["dead", "parked", "rejected"])
async def test_a_late_letter_has_nothing_of_an_erased_rider(
    pool: Pool, topic: AnyTopic, naming: str, status: Status
) -> None:
    rider, other = new_id(), new_id()
    await erase(pool, rider)
    late, published = await bury(pool, topic.name, naming_them(topic, rider, naming), status)
    row = await letter(pool, late)
    assert list(found(row)) == []
    assert (row["content"], row["status"], row["detail"], row["riders"]) == ("kept", status, "ValueError", [str(rider)])
    assert len(published) == 1
    assert CANARY.encode() not in published[0].payload + (published[0].headers or b"")
    assert str(PLACE).encode() not in published[0].payload
    theirs, published = await bury(pool, topic.name, naming_them(topic, other, naming), status)
    assert list(found(await letter(pool, theirs))) and list(found({"payload": published[0].payload}))


@EVERY_NAMING
@pytest.mark.parametrize("status", ["dead", "parked", "rejected"])
async def test_an_earlier_letter_loses_it_with_the_erasure(
    pool: Pool, topic: AnyTopic, naming: str, status: Status
) -> None:
    rider = new_id()
    early, _ = await bury(pool, topic.name, naming_them(topic, rider, naming), status)
    assert list(found(await letter(pool, early)))
    await erase(pool, rider)
    assert list(found(await letter(pool, early))) == []


@pytest.mark.parametrize("late", [True, False], ids=["late", "early"])
@pytest.mark.parametrize(
    "changes",
    [{"lng": str(PLACE)}, {"lng": [CANARY]}, {"text": {"a": CANARY}}, {"rider_id": "upper"}, {"photos": CANARY}],
    ids=["a place as text", "a place as list", "words as object", "an id in capitals", "photos as text"],
)
async def test_what_is_no_event_loses_it_too(pool: Pool, changes: dict[str, Any], late: bool) -> None:
    """A record that can't be read is the likeliest letter, and stops neither burial nor erasure."""
    rider = new_id()
    if changes.get("rider_id"):
        changes = {"rider_id": str(rider).upper()}
    body = naming_them(REPORT_RECEIVED, rider) | changes
    if late:
        await erase(pool, rider)
    id_, _ = await bury(pool, REPORT_RECEIVED.name, body, "dead")
    if not late:
        await erase(pool, rider)
    assert list(found(await letter(pool, id_))) == []


async def test_a_consumer_that_lags_writes_nothing_of_them(installation: Installation, pool: Pool) -> None:
    """The whole way: a handler that fails, a successor parked in its batch, and one that comes after the erasure."""
    rider, report = new_id(), naming_them(REPORT_RECEIVED, new_id())
    del report["photos"]
    body = report | {"rider_id": str(rider), "text": CANARY, "external_id": CANARY}

    async def fails(_work: Work, events: Sequence[Event[Any]]) -> None:
        raise ValueError(f"can't take {[event.record.value for event in events]!r}")

    settings = settings_of(installation, "routing", batch_interval_ms=1, handler_attempts_max=2)
    consumer = TopicConsumer(Host("routing", settings, pool), REPORT_RECEIVED, fails)
    await erase(pool, rider)
    for batch in (2, 1):
        await consumer.process([_raw(consumer, body) for _ in range(batch)])
    rows = await pool.fetch("SELECT * FROM dead_letters ORDER BY id")
    assert [row["status"] for row in rows] == ["dead", "parked", "parked"]
    assert [place for row in rows for place in found(row)] == []
    published = await pool.fetch("SELECT payload, headers FROM outbox")
    assert len(published) == 3 and [place for row in published for place in found(row)] == []
    left = ReportReceived.model_validate_json(rows[0]["value"])
    assert (left.rider_id, left.text, left.lng) == (rider, "", 30.1235)  # it can still be replayed


def _raw(consumer: TopicConsumer, body: dict[str, Any]) -> Any:
    headers = to_headers(Envelope(new_id(), REPORT_RECEIVED.name, "/beegrid/test", "s", 1, clock.now()))
    return SimpleNamespace(
        topic=consumer.decoder._prefix + REPORT_RECEIVED.name, partition=0, offset=next(_offsets), timestamp=1,
        key=b"one", value=orjson.dumps(body), headers=headers,
    )  # fmt: skip


async def test_a_step_keeps_its_place_without_the_note(pool: Pool) -> None:
    rider = new_id()
    await erase(pool, rider)
    late, _ = await bury(pool, CASE_CHANGED.name, naming_them(CASE_CHANGED, rider, "actor.id"), "parked")
    left = orjson.loads((await letter(pool, late))["value"])
    assert (left["note"], left["actor"]) == (ERASED_WORDS, {"id": str(rider), "name": "", "role": "rider"})


def _two(reporter: UUID, actor: UUID | str, role: str) -> dict[str, Any]:
    """A step that brings one rider's report and was taken by somebody else."""
    return naming_them(CASE_CHANGED, reporter, "report.rider_id") | {
        "note": CANARY, "actor": {"id": str(actor), "name": "A", "role": role},
    }  # fmt: skip


@pytest.mark.parametrize("role", ["rider", "dispatcher"])
async def test_others_words_stay_where_two_are_named(pool: Pool, role: str) -> None:
    rider, other = new_id(), new_id()
    await erase(pool, rider)
    late, _ = await bury(pool, CASE_CHANGED.name, _two(rider, other, role), "dead")
    left = orjson.loads((await letter(pool, late))["value"])
    assert (left["note"], left["actor"]["name"], left["lng"]) == (CANARY, "A", 30.1235)
    late, _ = await bury(pool, CASE_CHANGED.name, _two(other, rider, role), "dead")
    left = orjson.loads((await letter(pool, late))["value"])
    if role == "rider":
        assert (left["note"], left["actor"]["name"], left["lng"]) == (ERASED_WORDS, "", 30.1235)
    else:  # what staff did under their name is the office's record
        assert (left["note"], left["actor"]["name"], left["lng"]) == (CANARY, "A", PLACE)


@EVERY_NAMING
async def test_a_handler_sees_nothing_of_it(pool: Pool, topic: AnyTopic, naming: str) -> None:
    rider, other = new_id(), new_id()
    await erase(pool, rider)
    seen: list[str] = []

    async def handler(_work: Work, events: Sequence[Event[Any]]) -> None:
        seen.extend(event.data.model_dump_json() for event in events)

    def event(whose: UUID) -> Event[Any]:
        body = naming_them(topic, whose, naming)
        body |= {"photos": []} if "photos" in body else {}
        return Event(new_id(), topic.model.model_validate(body), "k", 1, NOW, Record("t", 0, 0, None, b"", ()))

    async with pool.acquire() as conn, conn.transaction():
        await letters_of_erased.guarding(topic, handler)(await begin(conn), [event(rider), event(other)])
    late, theirs = seen
    assert list(found({"body": late})) == [] and str(rider) in late
    assert list(found({"body": theirs})) and str(other) in theirs


@pytest.mark.parametrize(
    "changes",
    [
        {"report": {"rider_id": "no id"}}, {"report": {}}, {"report": "whole"}, {"report": [["x"]]},
        {"actor": {"id": "no id", "role": "rider"}}, {"actor": {"id": "no id"}}, {"actor": CANARY},
    ],
    ids=json.dumps,
)  # fmt: skip
async def test_a_rider_who_can_not_be_read_has_an_end(pool: Pool, changes: dict[str, Any]) -> None:
    body = naming_them(CASE_CHANGED, new_id()) | {"report": None} | changes
    late, _ = await bury(pool, CASE_CHANGED.name, body, "dead")
    row = await letter(pool, late)
    assert (row["riders"], row["content_until"] is None) == ([], False)


async def test_each_rider_of_a_list_is_found(pool: Pool) -> None:
    """Of records that can't be read: where one model belongs may be several."""
    rider, other = new_id(), new_id()
    body = naming_them(CASE_CHANGED, rider) | {"report": [{"rider_id": str(other)}, {"rider_id": str(rider)}]}
    id_, _ = await bury(pool, CASE_CHANGED.name, body, "dead")
    assert (await letter(pool, id_))["riders"] == sorted([str(rider), str(other)])
    await erase(pool, rider)
    assert list(found(await letter(pool, id_))) == []
