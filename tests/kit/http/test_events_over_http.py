"""CloudEvents over HTTP: what a route sees of them, and what is refused with the attribute's name."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.auth import Public, allow, policy_router
from shared.kit.consuming.decode import Decoder
from shared.kit.http.events import StatedEvent, StatedEvents
from shared.kit.messaging.cloudevents import BATCHED, STRUCTURED
from shared.kit.messaging.work import Event, Record
from tests.kit.web import app_of, client_of

PLACE = "inbound.suda.reports.v1"
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


class Thing(BaseModel):
    words: str


class Things(BaseModel):
    things: Annotated[list[Thing | None], Field(max_length=100)]


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    router = policy_router()

    @router.post("/v1/thing")
    @allow(Public, event=True)
    async def one(body: Thing, stated: StatedEvent) -> list[str | None]:
        return [body.words, str(stated.id_at(PLACE)), stated.traceparent]

    @router.post("/v1/things")
    @allow(Public, events="things")
    async def many(body: Things, stated: StatedEvents) -> list[list[str | None]]:
        words = [thing and thing.words for thing in body.things]
        return [[*words], [one.refusal and one.refusal.detail for one in stated]]

    @router.post("/v1/other")
    @allow(Public)
    async def other(body: dict[str, Any]) -> int:
        return len(body)

    return app_of([router], tmp_path, body_max=100_000)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


def event(**changes: Any) -> dict[str, Any]:
    whole = {"specversion": "1.0", "id": "17", "source": "/a", "type": "report", "data": {"words": "x"}, **changes}
    return {name: value for name, value in whole.items() if value is not ...}


async def send(client: httpx.AsyncClient, path: str, body: Any, kind: str, **headers: str) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=raw, headers={"content-type": kind, **headers})


def on_kafka(value: Any, *headers: tuple[str, bytes]) -> str:
    """The id of the same event on the company's topic."""
    report = {
        "external_id": "1", "rider": "7", "kind": "part-01001", "occurred_at": "2026-05-01T12:00:00+08:00",
        "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"},
    }  # fmt: skip
    body = json.dumps({**value, "data": report} if value else report).encode()
    [found] = Decoder(INBOUND_REPORTS, "").decode([Record(PLACE, 0, 7, b"", body, headers)])
    assert isinstance(found, Event)
    return str(found.id)


async def test_one_event_is_its_data_and_has_the_id_that_it_has_on_kafka(client: httpx.AsyncClient) -> None:
    whole = await send(client, "/v1/thing", event(traceparent=TRACE), f"{STRUCTURED}; charset=utf-8")
    coded = event(data=..., data_base64=base64.b64encode(b'{"words": "x"}').decode())
    again = await send(client, "/v1/thing", coded, STRUCTURED)
    headers = {"ce-id": "17", "ce-source": "%2Fa", "ce-specversion": "1.0", "ce-type": "report"}
    binary = await send(client, "/v1/thing", {"words": "x"}, "application/json", **headers)
    expected = on_kafka(event(), ("content-type", STRUCTURED.encode()))
    assert expected == on_kafka(None, ("ce_id", b"17"), ("ce_source", b"/a"))
    assert whole.json() == ["x", expected, TRACE], whole.text
    assert again.json()[:2] == binary.json()[:2] == ["x", expected]
    other = await send(client, "/v1/thing", event(source="/b"), STRUCTURED)
    assert other.json()[1] != expected
    assert (await send(client, "/v1/thing", {"words": "x"}, "application/json")).json() == ["x", "None", None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ...}, "attribute id is missing"), ({"source": ""}, "source is empty"), ({"id": "x" * 201}, "id has"),
        ({"specversion": "0.3"}, "specversion"), ({"time": "nonsense"}, "time is no time"), ({"data": ...}, "data"),
        ({"id": "\ud800"}, "id has a null"), ({"id": 10**30}, "attribute id is neither"),
        ({"datacontenttype": "text/csv"}, "datacontenttype"), ({"data": ..., "data_base64": "eA=="}, "no JSON"),
        ({"\ud800": 1.5}, "attribute [name] is neither"),
        ({"source": "/a\x1f7"}, "source has a control"), ({"id": "7\x1f1"}, "id has a control"),
        ({"subject": "a\nb"}, "subject has a control"), ({"id": "7\x85"}, "id has a control"),
    ],
)  # fmt: skip
async def test_what_is_no_event_is_refused_and_costs_no_other(
    change: dict[str, Any], said: str, client: httpx.AsyncClient
) -> None:
    alone = await send(client, "/v1/thing", event(**change), STRUCTURED)
    assert (alone.status_code, alone.json()["code"]) == (400, "malformed_event")
    assert said in alone.json()["detail"]
    among = await send(client, "/v1/things", [event(), event(**change), event()], BATCHED)
    assert among.json()[0] == ["x", None, "x"]
    assert said in among.json()[1][1]
    assert among.json()[1][::2] == [None, None]


async def test_modes_are_taken_where_they_belong(client: httpx.AsyncClient) -> None:
    answers = [
        await send(client, "/v1/thing", [event()], BATCHED),
        await send(client, "/v1/things", event(), STRUCTURED),
        await send(client, "/v1/other", event(), STRUCTURED),
        await send(client, "/v1/other", [event()], BATCHED),
    ]
    assert [answer.status_code for answer in answers] == [415] * 4
    assert STRUCTURED in answers[0].json()["detail"] and BATCHED in answers[1].json()["detail"]
    plain = await send(client, "/v1/other", {"a": 1}, "application/json", **{"ce-id": ""})
    assert plain.status_code == 200, "who takes no events reads none of their headers"


async def test_faulty_bodies_and_headers(client: httpx.AsyncClient) -> None:
    answers = [
        (await send(client, "/v1/thing", b"{", STRUCTURED), 400, "malformed_json"),
        (await send(client, "/v1/thing", b"[" * 50_000, STRUCTURED), 400, "malformed_json"),
        (await send(client, "/v1/thing", b"\xff", STRUCTURED), 400, "malformed_json"),
        (await send(client, "/v1/things", event(), BATCHED), 400, "malformed_event"),
        (await send(client, "/v1/thing", event(data={"words": 1}), STRUCTURED), 422, "validation_failed"),
        (await send(client, "/v1/thing", {"words": "x"}, "application/json", **{"ce-id": ""}), 400, "malformed_event"),
        (
            await send(client, "/v1/thing", {"words": "x"}, "application/json", **{"ce-id": "%FF"}),
            400,
            "malformed_event",
        ),
        (
            await send(client, "/v1/things", {"things": []}, "application/json", **{"ce-id": "1"}),
            400,
            "malformed_event",
        ),
    ]
    assert [(one.status_code, one.json()["code"]) for one, *_ in answers] == [
        (status, code) for _, status, code in answers
    ]
    twice = [("content-type", "application/json"), ("ce-id", "1"), ("ce-id", "2")]
    answer = await client.post("/v1/thing", content=b'{"words": "x"}', headers=twice)
    assert "twice" in answer.json()["detail"]


def test_the_document_declares_the_modes(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    assert set(paths["/v1/thing"]["post"]["requestBody"]["content"]) == {"application/json", STRUCTURED}
    assert {one["name"] for one in paths["/v1/thing"]["post"]["parameters"]} == {"ce-id", "ce-source", "ce-specversion"}
    batch = paths["/v1/things"]["post"]["requestBody"]["content"][BATCHED]["schema"]["contentSchema"]
    assert batch["type"] == "array" and batch["items"]["required"][-1] == "data"
    assert set(paths["/v1/other"]["post"]["requestBody"]["content"]) == {"application/json"}
    assert "gzip, deflate" in paths["/v1/other"]["post"]["requestBody"]["description"]
