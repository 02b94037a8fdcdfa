"""What a body costs follows its size: never its size times what its sender chooses."""

import itertools
import json
import string
import time
import tracemalloc
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.outside import Words
from shared.kit.auth import Public, allow, policy_router
from shared.kit.consuming import decode
from shared.kit.consuming.decode import Decoder, Unreadable
from shared.kit.http import events, problems
from shared.kit.http.events import StatedEvent, StatedEvents
from shared.kit.http.items import EACH, Malformed
from shared.kit.messaging import json_bounds
from shared.kit.messaging.cloudevents import BATCHED, STRUCTURED
from shared.kit.messaging.work import Record
from shared.kit.privacy import named_riders
from tests.kit.web import app_of, client_of

ANSWER_BYTES_MAX = 4_000
PLACE = "inbound.suda.reports.v1"


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    words: str = ""


class Things(BaseModel):
    model_config = ConfigDict(extra="forbid")
    things: Annotated[list[Annotated[Thing, EACH]], Field(max_length=500)]


class Numbers(BaseModel):
    numbers: Annotated[list[int], Field(max_length=50_000)]


def things_of(folder: Path) -> FastAPI:
    router = policy_router()

    @router.post("/v1/thing")
    @allow(Public, event=True)
    async def one(body: Thing, stated: StatedEvent) -> int:
        return 1

    @router.post("/v1/things")
    @allow(Public, events="things")
    async def many(body: Things, stated: StatedEvents) -> list[list[str] | None]:
        return [
            [each["kind"] for each in thing.refusal.extras["errors"]] if isinstance(thing, Malformed) else None
            for thing in body.things
        ]

    @router.post("/v1/numbers")
    @allow(Public)
    async def numbers(body: Numbers) -> int:
        return len(body.numbers)

    return app_of([router], folder, body_max=2_000_000)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return things_of(tmp_path)


def members(count: int) -> dict[str, int]:
    names = map("".join, itertools.product(string.ascii_letters, repeat=4))
    return dict.fromkeys(itertools.islice(names, count), 1)


async def answer_of(app: FastAPI, path: str, body: Any, kind: str = "application/json") -> tuple[int, bytes, float]:
    """Status, answer, and the processor's seconds that it took."""
    raw = json.dumps(body).encode()
    async with client_of(app) as client:
        began = time.process_time()
        answer = await client.post(path, content=raw, headers={"content-type": kind})
        return answer.status_code, answer.content, time.process_time() - began


def event(data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "17", "source": "/a", "type": "x", "data": data}


@pytest.mark.parametrize("kind", ["plain", "event", "attributes", "list", "things"])
async def test_a_body_of_unknown_members_costs_what_any_body_of_its_size_does(app: FastAPI, kind: str) -> None:
    many = members(100_000)
    _, _, ordinary_s = await answer_of(app, "/v1/numbers", {"numbers": [1_000_000] * 50_000, "more": [1] * 50_000})
    path, body, of = {
        "plain": ("/v1/thing", many, "application/json"),
        "event": ("/v1/thing", event(many), STRUCTURED),
        "attributes": ("/v1/thing", event({}) | many, STRUCTURED),
        "list": ("/v1/things", {"things": [many]}, "application/json"),
        "things": ("/v1/things", [event(many)], BATCHED),
    }[kind]
    status, answer, took_s = await answer_of(app, path, body, of)
    assert status == 422, answer[:500]
    assert f"more than {json_bounds.MEMBERS_MAX} members" in answer.decode()
    assert len(answer) < ANSWER_BYTES_MAX
    assert took_s < 10 * ordinary_s, (took_s, ordinary_s)


async def test_errors_are_counted_and_twenty_listed(app: FastAPI) -> None:
    status, answer, _ = await answer_of(app, "/v1/thing", members(250))
    problem = json.loads(answer)
    assert (status, len(problem["errors"]), problem["detail"]) == (422, 20, "250 field(s) not acceptable")


async def test_errors_too_many_to_be_named_are_one(app: FastAPI) -> None:
    _, _, ordinary_s = await answer_of(app, "/v1/numbers", {"numbers": [1_000_000] * 50_000})
    status, answer, took_s = await answer_of(app, "/v1/numbers", {"numbers": ["nothing"] * 50_000})
    problem = json.loads(answer)
    assert (status, problem["detail"]) == (422, "50000 field(s) not acceptable")
    assert [(one["field"], one["kind"]) for one in problem["errors"]] == [("body", json_bounds.TOO_MANY)]
    assert took_s < 10 * ordinary_s, (took_s, ordinary_s)


async def test_an_items_errors_are_bounded_too(app: FastAPI) -> None:
    status, answer, _ = await answer_of(app, "/v1/things", {"things": [members(40), members(250), {}]})
    first, second, third = json.loads(answer)
    assert (status, len(first), second, third) == (200, 20, [json_bounds.TOO_MANY], None)


async def test_a_batch_of_more_events_than_the_route_takes_is_refused_before_one_is_read(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr(events, "read_object", lambda found: read.append(found) or ({}, {}))
    status, answer, _ = await answer_of(app, "/v1/things", [None] * 100_000, BATCHED)
    assert (status, json.loads(answer)["code"], read) == (422, "too_many_items", [])
    assert (await answer_of(app, "/v1/things", [None] * 500, BATCHED))[0] == 200
    assert len(read) == 500


async def test_depth_is_bounded_and_what_is_in_a_text_is_none(app: FastAPI) -> None:
    deep: Any = 1
    for _ in range(json_bounds.DEPTH_MAX + 2):
        deep = [deep]
    status, answer, _ = await answer_of(app, "/v1/thing", {"words": deep})
    assert (status, b"nested more than" in answer) == (422, True)
    assert (await answer_of(app, "/v1/thing", {"words": "[{:" * 1_000}))[0] == 200


def test_the_deepest_shape_that_is_taken_is_taken() -> None:
    found: Any = members(json_bounds.MEMBERS_MAX)
    for _ in range(json_bounds.DEPTH_MAX):
        found = {"inner": found}
    json_bounds.check(found)
    with pytest.raises(json_bounds.Shapeless):
        json_bounds.check([found])


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (members(7_000), ()),
        (event({}) | members(7_000), (("content-type", STRUCTURED.encode()),)),
        (event(members(7_000)), (("content-type", STRUCTURED.encode()),)),
    ],
)
def test_a_companys_record_of_unknown_members_is_refused_by_their_count(
    value: dict[str, Any], headers: tuple[tuple[str, bytes], ...]
) -> None:
    [found] = Decoder(INBOUND_REPORTS, "").decode([Record(PLACE, 0, 7, b"", json.dumps(value).encode(), headers)])
    assert isinstance(found, Unreadable)
    assert f"more than {json_bounds.MEMBERS_MAX} members" in found.detail


def test_a_records_errors_are_counted_where_they_are_many() -> None:
    with pytest.raises(ValidationError) as few:
        Thing.model_validate(members(decode.NAMED_MAX))
    with pytest.raises(ValidationError) as many:
        Thing.model_validate(members(decode.NAMED_MAX + 1))
    assert decode._reason(few.value)[1].startswith("aaaa: Extra inputs")
    assert decode._reason(many.value) == ("validation_failed", "101 fields are not acceptable, too many to name them")


def test_finding_half_a_pair_takes_memory_by_the_bodys_size_however_deep_it_is() -> None:
    body = b'{"a%s":' % (b"a" * 60) * 300 + b"[" + b"1," * 20_000 + b'"\\ud800"]' + b"}" * 300
    tracemalloc.start()
    try:
        where = decode._unstorable(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert where is not None
    assert where.endswith(".20000")
    assert peak < 200 * len(body), peak


def test_a_field_inside_itself_is_read_once() -> None:
    body = b'{"rider":' * 300 + b"[" + b"1," * 1_000 + b"2]" + b"}" * 300
    assert sum(1 for _ in named_riders._numbers(body, frozenset({"rider"}))) <= 1_001
    wrapped = b'{"data_base64":' * 300 + b'["e30=",' + b'"e30=",' * 1_000 + b'"e30="]' + b"}" * 300
    members_of = named_riders._members(wrapped, frozenset({"data_base64"}))
    seen: set[int] = set()
    assert sum(1 for _, value in members_of for _ in named_riders._unwrapped(value, seen)) <= 1_002


def test_a_text_has_characters_and_a_list_has_items() -> None:
    class Said(BaseModel):
        words: Annotated[Words, Field(max_length=5)]
        tags: list[str] = Field(max_length=1)

    with pytest.raises(ValidationError) as found:
        Said.model_validate({"words": "123456", "tags": ["a", "b"]})
    _, reason = decode._reason(found.value)
    refusal = problems.validation_refusal(found.value.errors())
    for said in (reason, str(refusal.extras["errors"])):
        assert "at most 5 characters" in said and "at most 1 item " in said
