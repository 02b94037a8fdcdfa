"""Logs carry the trace and no secrets; traces are continued, cheaply."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import APIRouter
from opentelemetry import trace

from shared.kit.auth import Public, allow, policy_router
from shared.kit.telemetry.log import REDACTED, configure_logging, is_secret_name, redact
from shared.kit.telemetry.tracing import configure_tracing, current_traceparent, span_from
from tests.kit.web import Well, app_of, client_of

PHONE, TRACE = "13800138000", "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-00"


@pytest.fixture(scope="module", autouse=True)
def _tracing() -> None:
    configure_tracing("test", None, 1.0)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    configure_logging("intake", "INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_a_line_with_service_and_trace(lines: io.StringIO) -> None:
    with span_from(PARENT, "x"):
        structlog.get_logger("a.b").info("said", case="c1")
        logging.getLogger("uvicorn.error").warning("port %s", 80)
    logging.getLogger("faststream.access").info("from stdlib", extra={"phone": "x"})
    logging.getLogger("uvicorn.access").info("GET /?phone=1")
    logging.getLogger("aiokafka").debug("not at INFO")
    first, second, third = logged(lines)
    assert (first["event"], first["case"], first["level"], first["logger"]) == ("said", "c1", "info", "a.b")
    assert first["service"] == "intake"
    assert first["instance"]
    assert first["trace_id"] == second["trace_id"] == TRACE
    assert len(first["span_id"]) == 16
    assert second["event"] == "port 80"
    assert third["phone"] == REDACTED
    assert "trace_id" not in third


def test_secrets_never_reach_the_log(lines: io.StringIO) -> None:
    log = structlog.get_logger("s")
    log.info(
        f"call {PHONE} now", rider={"mobile": PHONE, "at": [{"lng": 114.30539, "lat": 30.59310}]}, note=f"+86{PHONE}"
    )
    log.info("x", Authorization="Bearer abc", webhook_signature="v1,zz", apiToken="abc", place="某路", code="9912")
    log.info("at 114.3053942,30.5931044", numbers=[int(PHONE)])
    log.info(PHONE.join("ab"), keys={PHONE: 1})
    try:
        raise ValueError(f"bad phone {PHONE}")
    except ValueError:
        logging.getLogger("z").exception("failed for %s", PHONE)
    text = lines.getvalue()
    for secret in (PHONE, "30.593", "114.30", "Bearer abc", "v1,zz", "某路", "9912"):
        assert secret not in text, secret
    assert "ValueError" in text


def test_harmless_values_stay() -> None:
    event = {
        "status_code": 409,
        "company": "MT",
        "problem": "out_of_stock",
        "placement": "x",
        "event_id": "0190-1380",
        "offset": 138001380001,
        "digest": "a13800138000123",
        "signed": True,
        "ok": None,
        "age": 1.5,
    }
    kept = redact(None, "info", dict(event))
    assert kept == event
    assert is_secret_name("X-Api-Token")
    assert is_secret_name("phoneHash")
    assert not is_secret_name("encoded")


def routes() -> APIRouter:
    router = policy_router()

    @router.get("/v1/traced/{what}")
    @allow(Public)
    async def traced(what: str) -> str | None:
        return current_traceparent()

    return router


async def test_requests_continue_the_callers_trace(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        continued = (await client.get("/v1/traced/a", headers={"traceparent": PARENT})).json()
        fresh = (await client.get("/v1/traced/a")).json()
        broken = (await client.get("/v1/traced/a", headers={"traceparent": "00-zz-1-1"})).json()
    assert continued.split("-")[1] == TRACE
    assert continued.split("-")[2] != PARENT.split("-")[2]
    assert continued.endswith("-00")
    assert len({fresh.split("-")[1], broken.split("-")[1], TRACE}) == 3
    assert current_traceparent() is None


def test_spans_link_and_keep_the_parents_choice() -> None:
    sampled = PARENT[:-2] + "01"
    with span_from(sampled, "batch", [PARENT, None, "rubbish"]) as span:
        assert span.is_recording()
        assert [f"{link.context.trace_id:032x}" for link in getattr(span, "links", ())] == [TRACE]
        assert current_traceparent() is not None
    with span_from(PARENT, "quiet") as span:
        assert not span.is_recording()
    with pytest.raises(KeyError), span_from(None, "fails"):
        raise KeyError("x")
    assert not trace.get_current_span().get_span_context().is_valid


async def test_three_probes_and_metrics(tmp_path: Path) -> None:
    health = Well()
    async with client_of(app_of([routes()], tmp_path, health=health)) as client:

        async def statuses() -> list[int]:
            return [(await client.get(path)).status_code for path in ("/startupz", "/readyz", "/livez")]

        assert await statuses() == [200, 200, 200]
        health.unready = {"kafka": "no leader"}
        assert await statuses() == [200, 503, 200]
        assert (await client.get("/readyz")).json()["problems"] == {"kafka": "no leader"}
        health.unready, health.dead = {}, {"consumer": "task ended"}
        assert await statuses() == [200, 200, 503]
        health.dead, health.is_started = {}, False
        assert await statuses() == [503, 503, 200]
        await client.get("/v1/traced/secret-id")
        await client.get("/v1/nowhere/secret-id")
        await client.request("BREW", "/v1/traced/x")
        page = (await client.get("/metrics")).text
    assert 'beegrid_http_requests_total{method="GET",route="/v1/traced/{what}",status="200"}' in page
    assert 'route="unmatched",status="404"' in page
    assert 'method="OTHER"' in page
    assert "secret-id" not in page
    assert "beegrid_http_requests_in_flight 1.0" in page


async def test_docs_without_foreign_scripts(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/redoc")).status_code == 404
        assert (await client.get("/openapi.json")).json()["paths"].keys() == {"/v1/traced/{what}"}
