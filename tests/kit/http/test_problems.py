"""Every refusal is a problem, and none repeats what was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import asyncpg
import pytest
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.kit.auth import Public, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.problem_schema import CODES, merged, problem_schemas
from shared.kit.http.problems import document, validation_refusal
from shared.kit.problems import ServiceBusy
from shared.kit.refusals import Fault, Member, Problem
from tests.kit.web import app_of, client_of

OUT_OF_STOCK = Problem(
    "out_of_stock", 409, "库存不足", "Out of stock", "等待补货。", "Wait for new stock.",
    members=(Member("left", str, "of the last delivery"), Member("places", list[Fault], "where there are some")),
)  # fmt: skip
TOO_OLD = Problem(
    "too_old", 409, "过期", "Too old", "换一件。", "Take another.", members=(Member("left", str, "of its days"),)
)
PHONE, PLACE = "13800138000", "武汉市江汉区某某路18号"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")
    phone: str = Field(pattern=r"^\+")
    place: str
    age: int = 1
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None

    @field_validator("place")
    @classmethod
    def _known(cls, value: str) -> str:
        raise ValueError(f"{value} is unknown")  # a careless validator

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if value.get("age") == 77_777:
            raise ValueError(f"no {value}")
        return value


def routes() -> APIRouter:
    router = policy_router()

    @router.post("/v1/people")
    @allow(Public, refuses=(OUT_OF_STOCK,))
    async def add(person: Person, attempt: Idempotent) -> None:
        return None

    @router.post("/v1/pets")
    @allow(Public, body_max=8_000)
    async def pet(pet: Dog) -> None:
        return None

    @router.get("/v1/boom")
    @allow(Public)
    async def boom() -> None:
        raise RuntimeError(PHONE)

    @router.get("/v1/away/{how}")
    @allow(Public)
    async def away(how: str) -> None:
        raise {
            "refused": ConnectionRefusedError(),
            "late": TimeoutError(),
            "closed": asyncpg.ConnectionDoesNotExistError("x"),
            "busy": ServiceBusy("full", 7),
            "undeclared": OUT_OF_STOCK(left="none"),
        }[how]

    @router.get("/v1/sold-out")
    @allow(Public)
    async def sold_out() -> None:
        raise OUT_OF_STOCK(left=0)

    @router.get("/v1/slow")
    @allow(Public)
    async def slow() -> None:
        await asyncio.sleep(30)

    @router.get("/v1/list")
    @allow(Public)
    async def listing(limit: Annotated[int, Query(ge=1)]) -> int:
        return limit

    @router.post("/v1/echo")
    @allow(Public)
    async def echo(request: Request) -> int:
        return len(await request.body())

    @router.post("/v1/photo")
    @allow(Public, body_max=5_000)
    async def photo(request: Request) -> int:
        return len(await request.body())

    return router


async def problem(folder: Path, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
    async with client_of(app_of([routes()], folder, timeout_s=0.3)) as client:
        answer = await client.request(method, path, **options)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert body["title"]
    assert body["detail"]
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code, body, answer.headers


@pytest.mark.parametrize(
    "body",
    [
        {"phone": PHONE, "place": PLACE},
        {"phone": PHONE, "place": PLACE, PHONE: PLACE},
        {"phone": {"x": PHONE}, "place": [PLACE]},
        {"phone": "+1", "place": PLACE, "pet": {"kind": PHONE}},
        {"phone": PHONE, "place": PLACE, "age": 77_777},
        {"phone": PHONE, "place": "x", "age": PHONE + "x"},
    ],
)
async def test_validation_lists_fields_and_echoes_nothing(tmp_path: Path, body: dict[str, Any]) -> None:
    status, answer, _ = await problem(tmp_path, "POST", "/v1/people", json=body)
    assert (status, answer["code"]) == (422, "validation_failed")
    assert answer["errors"]
    assert all(set(one) == {"field", "problem", "kind"} for one in answer["errors"])
    text = json.dumps(answer, ensure_ascii=False)
    assert PHONE not in text
    assert PLACE not in text


async def test_validation_names_the_field(tmp_path: Path) -> None:
    _, answer, _ = await problem(tmp_path, "GET", "/v1/list?limit=0")
    assert answer["errors"] == [
        {"field": "query.limit", "problem": "Input should be greater than or equal to 1", "kind": "greater_than_equal"}
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"phone": "' + PHONE.encode(), "at character 10"),
        (b'{"phone": "\xff"}', "UTF-8"),
        (b'{"phone": 1' + b"0" * 5_000 + b"}", "digits"),
        (b"[" * 7_000, "nested"),
    ],
)
async def test_what_is_no_json_is_called_so(tmp_path: Path, content: bytes, said: str) -> None:
    headers = {"content-type": "application/json"}
    status, answer, _ = await problem(tmp_path, "POST", "/v1/pets", content=content, headers=headers)
    assert (status, answer["code"]) == (400, "malformed_json")
    assert said in answer["detail"]
    assert PHONE not in json.dumps(answer)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_json_under_another_name_is_415(tmp_path: Path, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    content = json.dumps({"phone": "+1", "place": PLACE}).encode()
    status, answer, _ = await problem(tmp_path, "POST", "/v1/people", content=content, headers=headers)
    assert (status, answer["code"]) == (415, "unsupported_media_type")


async def test_the_document_names_limits_and_refusals_of_bodies(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    people = paths["/v1/people"]["post"]
    assert {"400", "413", "415"} <= people["responses"].keys()
    assert people["requestBody"]["description"].startswith("At most 1,000 bytes")
    assert paths["/v1/pets"]["post"]["requestBody"]["description"].startswith("At most 8,000 bytes")
    assert "400" not in paths["/v1/list"]["get"]["responses"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PUT", "/v1/people", 405, "method_not_allowed"),
        ("GET", "/v1/boom", 500, "internal_error"),
        ("GET", "/v1/sold-out", 409, "out_of_stock"),
        ("GET", "/v1/away/refused", 503, "busy"),
        ("GET", "/v1/away/late", 503, "busy"),
        ("GET", "/v1/away/closed", 503, "busy"),
        ("GET", "/v1/away/busy", 503, "busy"),
        ("GET", "/v1/slow", 503, "busy"),
    ],
)
async def test_statuses(tmp_path: Path, method: str, path: str, status: int, code: str) -> None:
    got, answer, headers = await problem(tmp_path, method, path)
    assert (got, answer["code"]) == (status, code)
    assert PHONE not in json.dumps(answer)
    if status == 503:
        assert int(headers["retry-after"]) >= 1
    if status == 405:
        assert headers["allow"] == "POST"


async def chunks(count: int, pulled: list[int]) -> AsyncIterator[bytes]:
    for at in range(count):
        pulled.append(at)
        yield b"x" * 400


@pytest.mark.parametrize(("path", "fits", "too_many"), [("/v1/echo", 2, 3), ("/v1/photo", 12, 13)])
async def test_body_limit_with_and_without_announced_length(
    tmp_path: Path, path: str, fits: int, too_many: int
) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        assert (await client.post(path, content=b"x" * 400 * fits)).json() == 400 * fits
        assert (await client.post(path, content=chunks(fits, []))).json() == 400 * fits
        announced = await client.post(path, content=b"x" * 400 * too_many)
        chunked = await client.post(path, content=chunks(too_many, []))
        json_route = await client.post(
            "/v1/people", content=chunks(3, []), headers={"content-type": "application/json"}
        )
    for answer in (announced, chunked, json_route):
        assert answer.status_code == 413
        assert answer.json()["code"] == "content_too_large"
        assert answer.headers["connection"] == "close"


async def test_announced_excess_is_refused_unread(tmp_path: Path) -> None:
    pulled: list[int] = []
    async with client_of(app_of([routes()], tmp_path)) as client:
        answer = await client.post("/v1/echo", content=chunks(9, pulled), headers={"content-length": "3600"})
    assert answer.status_code == 413
    assert pulled == []


async def test_an_answer_that_its_route_does_not_declare_is_noticed(tmp_path: Path) -> None:
    app = app_of([routes()], tmp_path)
    found: list[tuple[str, str]] = []
    app.state.undeclared = lambda route, code: found.append((route, code))
    async with client_of(app) as client:
        assert (await client.get("/v1/away/busy")).json()["code"] == "busy"
        assert (await client.get("/v1/away/undeclared")).json()["code"] == "out_of_stock"
    assert found == [("GET /v1/away/{how}", "out_of_stock")]


@pytest.mark.parametrize("extra", ["status", "lefts"])
def test_a_refusal_says_nothing_that_its_problem_does_not_declare(extra: str) -> None:
    with pytest.raises(ValueError, match=extra):
        OUT_OF_STOCK(**{extra: 200})


def test_no_problem_declares_what_every_document_has() -> None:
    with pytest.raises(ValueError, match="status"):
        Problem("a", 409, "甲", "A", "乙。", "B.", members=(Member("status", str, "x"),))


def test_the_schema_has_the_members_with_their_codes() -> None:
    schemas = problem_schemas([OUT_OF_STOCK, TOO_OLD])
    properties = schemas["Problem"]["properties"]
    assert properties["left"]["type"] == "string"
    assert (
        properties["left"]["description"] == "of its days (with `too_old`); of the last delivery (with `out_of_stock`)"
    )
    assert properties["places"]["items"] == {"$ref": "#/components/schemas/Fault"} and "Fault" in schemas
    assert properties["code"][CODES] == ["out_of_stock", "too_old"] and "enum" not in properties["code"]
    assert "left" not in schemas["Problem"]["required"]


def test_the_suites_schema_unites_those_of_services() -> None:
    one, other = (problem_schemas([problem])["Problem"] for problem in (OUT_OF_STOCK, TOO_OLD))
    assert merged([one, other]) == problem_schemas([OUT_OF_STOCK, TOO_OLD])["Problem"]
    assert merged([one, one]) == one


def test_one_name_has_one_type() -> None:
    other = Problem("z", 409, "甲", "A", "乙。", "B.", members=(Member("left", int, "in all"),))
    with pytest.raises(ValueError, match="left has two types"):
        problem_schemas([OUT_OF_STOCK, other])


@pytest.mark.parametrize(
    "wrong",
    [
        ("Out of stock", 409, "库存不足", "Out of stock", "等待补货。", "Wait."),
        ("out_of_stock", 200, "库存不足", "Out of stock", "等待补货。", "Wait."),
        ("out_of_stock", 409, "", "Out of stock", "等待补货。", "Wait."),
        ("out_of_stock", 409, "库存不足", "Out of stock", "等待补货。", ""),
    ],
)
def test_a_problem_says_all_in_both_languages(wrong: tuple[str, int, str, str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"no problem|both languages"):
        Problem(*wrong)


async def test_the_document_lists_what_a_route_and_its_dependencies_refuse_with(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        refused = (await client.get("/openapi.json")).json()["paths"]["/v1/people"]["post"]["responses"]
    assert refused["409"]["description"] == "`out_of_stock`, `idempotency_conflict`, `idempotency_unfinished`"
    assert refused["409"]["content"]["application/problem+json"]["example"]["title"] == "库存不足 / Out of stock"


def test_extras_with_braces() -> None:
    assert document(OUT_OF_STOCK("{oops}", left="{0}"))["detail"] == "{oops}"


def test_sender_made_locations_are_hidden() -> None:
    error = {"type": "extra_forbidden", "loc": ("body", PHONE, 3, "kind"), "msg": "Extra inputs are not permitted"}
    assert document(validation_refusal([error]))["errors"][0]["field"] == "body.[key].3.kind"


async def test_a_refusal_needs_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is scarce none can be started, and just then most is refused."""

    async def none_left(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("anyio.to_thread.run_sync", none_left)
    for method, path, expected in (("GET", "/v1/sold-out", 409), ("GET", "/nowhere", 404), ("POST", "/v1/people", 422)):
        status, _, _ = await problem(tmp_path, method, path)
        assert status == expected
