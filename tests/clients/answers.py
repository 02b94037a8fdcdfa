"""A door that gives the suite's answers: each is checked against the OpenAPI document before anybody reads it."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator

from services.cases import problems as of_cases
from services.intake.api.reports import ReceivedOut, ReportItemOut, ReportsOut
from services.intake.problems import UNKNOWN_KIND
from shared.kit import clock
from shared.kit.http.items import ItemProblem
from shared.kit.http.problems import MEDIA_TYPE, document, validation_refusal

REPORT_ID = UUID("0199a2c4-01c0-71c0-81c0-5f0c7be101c0")
CASE_ID = "0199a2c4-01c0-71c0-81c0-5f0c7be101c1"
READ = {
    "single": "accepted",
    "batch": ["accepted", "refused"],
    "item": "unknown_kind",
    "code": "validation_failed",
    "field": "body.kind",
    "state": "closed",
}
"""What a client has read when it has read everything."""


def answers() -> dict[str, tuple[int, str, dict[str, Any]]]:
    """By method and path: status, the schema's name, the body. Made by the services' own models and problems."""
    at = clock.now()
    single = ReceivedOut(report_id=REPORT_ID, external_id="r-1", status="accepted", received_at=at)
    refused = ReportItemOut(
        external_id="r-2", status="refused", problem=ItemProblem.of(UNKNOWN_KIND("no such kind", field="kind"))
    )
    taken = ReportItemOut(external_id="r-1", status="accepted", report_id=REPORT_ID, received_at=at)
    batch = ReportsOut(items=[taken, refused], accepted=1, repeated=0, refused=1)
    missing = validation_refusal([{"type": "missing", "loc": ("body", "kind"), "msg": "Field required"}])
    state = of_cases.WRONG_STATE("the case is closed", state="closed")
    return {
        "POST /v1/reports": (201, "ReceivedOut", single.model_dump(mode="json")),
        "POST /v1/reports:batch": (200, "ReportsOut", batch.model_dump(mode="json")),
        "POST /v1/cases:transition": (422, "Problem", document(missing)),
        f"POST /v1/cases/{CASE_ID}/claim": (409, "Problem", document(state)),
    }


def check(suite: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError for an answer that the document doesn't describe."""
    for _, name, body in answers().values():
        schema = {"$ref": f"#/components/schemas/{name}", "components": suite["components"]}
        Draft202012Validator(schema).validate(body)


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The answers over HTTP on this machine; the address."""
    given = answers()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            # clients may write a path's colon in its escaped form
            path = self.path.replace("%3A", ":")
            status, name, body = given.get(f"POST {path}", (404, "Problem", {}))
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", MEDIA_TYPE if name == "Problem" else "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=door.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.server_port}"
    finally:
        door.shutdown()
        thread.join()
