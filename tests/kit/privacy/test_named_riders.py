"""Whom a record or request names, found in time and memory that nobody who sends it can choose."""

import base64
import gzip
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from shared.events.personal import number_mark
from shared.kit.auth import Caller, Company, allow, policy_router, signed_headers
from shared.kit.auth.replay import KeptAnswer
from shared.kit.messaging.work import Record
from shared.kit.privacy.letters_of_erased import content_hours, riders_of, riders_of_each
from shared.kit.problems import not_found
from tests.kit.web import MT_NEW, app_of, client_of

LIMIT = 262_144
REPORTS, RIDERS = "inbound.MT.reports.v1", "inbound.MT.riders.v1"
SEVEN = number_mark("MT", "7")


def filled(unit: bytes, head: bytes = b"", tail: bytes = b"", size: int = LIMIT) -> bytes:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def numbers(count: int) -> bytes:
    return b'{"rider":[' + b",".join(b'"%06d"' % n for n in range(count)) + b"]}"


HOSTILE = {
    "a text without end": filled(b"x", b'"rider":"'),
    "escapes without end": filled(b"\\n", b'"rider":"'),
    "lists": filled(b"[],", b"[", b"[]]"),
    "objects": filled(b"{},", b"[", b"{}]"),
    "one rider again and again": filled(b'{"rider":1},', b"[", b"{}]"),
    "numbers": numbers(LIMIT // 9),
    "torn members": filled(b'"rider":1,'),
    "torn names that are escaped": filled(b'"\\u0072ider":1,'),
    "torn escapes": filled(b'"\\"'),
    "colons": filled(b'":1'),
    "spaces": filled(b" ", b'"'),
    "depth": filled(b'{"rider":'),
    "bodies inside": filled(b'"e30=",', b'{"data_base64":[', b"1]}"),
    "a torn body inside": b'{"data_base64":"%s"}' % base64.b64encode(filled(b"x", b'"rider":"', size=190_000)),
    "a member's name of marks out of order": '{{"{}{}":1}}'.format("\u0301" * 60_000, "\u0316" * 60_000).encode(),
    "a torn name of marks out of order": '{{"{}{}":1'.format("\u0301" * 60_000, "\u0316" * 60_000).encode(),
    "characters that become many": ('{"rider":[' + ",".join(f'"{n}{"ﷺ" * 50}"' for n in range(1_000)) + "]}").encode(),
}


def record(value: bytes, topic: str = REPORTS, key: bytes | None = None) -> Record:
    return Record(topic, 0, 0, key, value, ())


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_records_names_are_found_in_little_time_and_memory(kind: str) -> None:
    one = record(HOSTILE[kind])
    started_s = time.process_time()
    riders_of(one)
    assert time.process_time() - started_s < 1.0
    tracemalloc.start()
    try:
        riders_of(one)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 1024 * 1024, peak


@pytest.mark.parametrize("topic", [REPORTS, RIDERS, "inbound.MT.unknown.v9"])
def test_a_record_larger_than_its_topic_takes_is_not_read_and_its_content_has_an_end(topic: str) -> None:
    field = "external_id" if topic == RIDERS else "rider"
    value = json.dumps({field: "7", "text": "x" * LIMIT}).encode()
    assert riders_of(record(value, topic)) == []
    assert content_hours(record(value, topic), []) is not None


def test_of_a_large_registration_the_key_names_its_rider_and_the_content_has_an_end_too() -> None:
    large, small = record(b"x" * (LIMIT + 1), RIDERS, b"7"), record(b"x" * LIMIT, RIDERS, b"7")
    assert (riders_of(large), content_hours(large, [SEVEN])) == ([SEVEN], 72)
    assert (riders_of(small), content_hours(small, [SEVEN])) == ([SEVEN], None)


def test_a_record_of_too_many_numbers_counts_as_one_that_cant_be_read() -> None:
    assert len(riders_of(record(numbers(1_000)))) == 1_000
    assert riders_of(record(numbers(1_001))) == []
    wrapped = [base64.b64encode(b'{"rider":"7"}').decode()] * 1_000
    assert riders_of(record(json.dumps({"data_base64": wrapped}).encode())) == [SEVEN]
    assert riders_of(record(json.dumps({"data_base64": [*wrapped, "e30="]}).encode())) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"rider":"7","text":"cut of',
        '{"text":"cut of","rider":"7',
        '{"text":"a \\" in it","rider" : 7, ',
        '{"a":"open "rider":"7"}',
        '{"\\u0072ider":"\\u0037",',
        '{"ｒｉｄｅｒ ":"７",',
        '{"RIDER":"7"}}',
        '{"%sＲider\u3000":"7"}' % (" " * 200),
        '5" wide {"rider":"7"}',
        '{"rider":"8","a":{"rider":["1",{"x":7}]},"rider":"9"}',
        '{"data_base64":"eyJyaWRlciI6IjciLA==",',
        '{"data_base64":"eyJkYXRhX2Jhc2U2NCI6ImV5SnlhV1JsY2lJNklqY2lmUT09In0="}',
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_name_is_found_in_whatever_form_it_was_sent(body: str, coding: str) -> None:
    assert SEVEN in riders_of(record(body.encode(coding)))


async def test_a_turns_records_are_read_with_room_for_others_between() -> None:
    assert await riders_of_each([record(b'{"rider":"7"}'), record(b"{}")]) == [[SEVEN], []]


class Body(BaseModel):
    """What the route takes."""

    model_config = ConfigDict(extra="forbid")
    riders: list[str] = []
    rider: list[str] = []


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    router = policy_router()

    @router.post("/v1/riders:batch")
    @allow(Company)
    async def take(body: Body, caller: Caller) -> dict[str, list[str]]:
        if body.riders:
            raise not_found("rider")
        return {"taken": body.rider}

    return app_of([router], tmp_path, body_max=2_000_000, timeout_s=30)


async def sent(app: FastAPI, body: bytes) -> tuple[httpx.Response, KeptAnswer]:
    """A signed request, packed; its answer, and what is kept of it."""
    packed = gzip.compress(body)
    target = "/v1/riders:batch"
    headers = signed_headers(company="MT", secret=MT_NEW, method="POST", target=target, body=packed)
    headers |= {"content-type": "application/json", "content-encoding": "gzip"}
    got = await client_of(app).post(target, content=packed, headers=headers)
    answers = cast(Any, app.state.auth.replay).answers
    return got, answers["MT", headers["webhook-id"]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (filled(b"x", b'"external_id":"', size=1_900_000), "malformed_json"),
        (filled(b'"rider":1,', size=1_900_000), "malformed_json"),
        (b'{"rider":' * 5_000, "malformed_json"),
        (b'{"odd":"7","rider":["7"]}', "validation_failed"),
    ],
)
async def test_nobody_is_looked_for_in_a_request_that_was_refused_unread(app: FastAPI, body: bytes, code: str) -> None:
    await sent(app, b"{}")
    tracemalloc.start()
    try:
        got, kept = await sent(app, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (got.json()["code"], kept.body, list(kept.riders)) == (code, got.content, [])
    assert peak < 6 * 2_000_000, peak


async def test_an_answer_to_what_was_read_is_kept_with_whom_it_may_name(app: FastAPI) -> None:
    got, kept = await sent(app, b'{"rider":["7"]}')
    assert (got.status_code, kept.body, kept.riders) == (200, got.content, [SEVEN])
    got, kept = await sent(app, b'{"riders":["x"],"rider":["7"]}')
    assert (got.status_code, kept.body, kept.riders) == (404, got.content, [SEVEN])


async def test_an_answer_that_may_name_too_many_is_not_kept(app: FastAPI) -> None:
    got, kept = await sent(app, numbers(4_000))
    assert (got.status_code, kept.body is None, len(kept.riders)) == (200, False, 4_000)
    got, kept = await sent(app, numbers(4_001))
    assert (got.status_code, kept.body, list(kept.riders)) == (200, None, [])
