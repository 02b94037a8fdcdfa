"""What strangers send: no request of any shape gets a 5xx or an answer that the document doesn't declare."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from shared.devtools.gen.files import ROOT
from shared.provision.services import service_names
from tests.doors.strangers.conftest import Doors
from tests.full import FULL

EXAMPLES = 60 if FULL else 1
CALLERS = ("operator", "rider", "company")
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not FULL,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# An address that no route takes: a generated part of a path had a slash or was empty
NO_ROUTE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


def prepared(case: Any, base: str) -> httpx.Request:
    """The case as bytes, as its own client would send it."""
    one = requests.Request(**case.as_transport_kwargs(base_url=base)).prepare()
    headers = {k: v for k, v in one.headers.items() if k.lower() not in ("content-length", "authorization")}
    body = one.body.encode() if isinstance(one.body, str) else one.body
    return httpx.Request(str(one.method), str(one.url), headers=headers, content=body)


def with_doubles(value: Any, draw: Callable[[st.SearchStrategy[bool]], bool]) -> Any:
    """The same, where each list may have its items twice: strategies make lists whose items differ nearly always."""
    if isinstance(value, dict):
        return type(value)({name: with_doubles(one, draw) for name, one in value.items()})
    if not isinstance(value, list):
        return value
    inner = [with_doubles(one, draw) for one in value]
    return [one for one in inner for _ in range(2)] if inner and draw(st.booleans()) else inner


def complaint(answer: httpx.Response, declared: dict[str, Any]) -> str | None:
    """Why an answer may not be."""
    status = answer.status_code
    if status >= 500 and status != HTTPStatus.SERVICE_UNAVAILABLE:
        return f"{status}: {answer.text[:300]}"
    if str(status) not in declared and status not in NO_ROUTE:
        return f"{status} is not declared: {answer.text[:300]}"
    if status < 400:
        return None
    if answer.headers["content-type"] != "application/problem+json":
        return f"{status} is no problem document"
    code = answer.json()["code"]
    if str(status) in declared and status not in NO_ROUTE and f"`{code}`" not in declared[str(status)]["description"]:
        return f"{code} is not declared for {status}: {answer.text[:300]}"
    return None


def test_what_is_not_declared_is_reported() -> None:
    def answer(status: int, code: str) -> httpx.Response:
        return httpx.Response(status, json={"code": code}, headers={"content-type": "application/problem+json"})

    declared = {"409": {"description": "`sold_out`, `stock_moved_on`"}, "503": {"description": "`busy`"}}
    assert complaint(answer(409, "sold_out"), declared) is None
    assert "out is not declared for 409" in (complaint(answer(409, "out"), declared) or "")
    assert "422 is not declared" in (complaint(answer(422, "sold_out"), declared) or "")
    assert "500" in (complaint(answer(500, "internal_error"), declared) or "")
    assert complaint(httpx.Response(409, json={"code": "sold_out"}), declared) == "409 is no problem document"


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.timeout(3_600 if FULL else 240)
@pytest.mark.parametrize("service", service_names(ROOT))
def test_nothing_that_is_sent_ends_in_a_failure(service: str, doors: Doors) -> None:
    import schemathesis  # seconds, which a worker that has none of these tests doesn't spend

    schema = schemathesis.openapi.from_dict(doors.documents[service])
    found: dict[str, str] = {}
    operations = [one.ok() for one in schema.get_all_operations()]
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                knock(doors, service, operation, mode, found)
            except Unsatisfiable:
                continue  # nothing about the operation can be wrong
    assert len(operations) > 3
    assert not found, "\n".join(f"{name}: {why}" for name, why in found.items())


def knock(doors: Doors, service: str, operation: Any, mode: Any, found: dict[str, str]) -> None:
    """Sends generated requests of one operation in each caller's name, and notes the first wrong answer to each."""
    base = str(doors.clients[service].base_url)

    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def send(case: Any, data: st.DataObject) -> None:
        case.body, case.query = with_doubles(case.body, data.draw), with_doubles(case.query, data.draw)
        for caller in CALLERS:
            answer = doors.send(service, caller, prepared(case, base))
            if why := complaint(answer, operation.definition.raw["responses"]):
                found.setdefault(f"{operation.label} as {caller}", f"{why}\n  {case.as_curl_command()[:600]}")

    send()
