"""A suite that this file plays, and files for it."""

import json
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from shared.cli.main import app

HEADER = "id,lng,lat,datum,kind,occurred_at,rider,text"


class Suite:
    """Takes reports once by number; knows riders; the first `down` requests of a kind find it away."""

    def __init__(self) -> None:
        self.reports: dict[str, dict[str, Any]] = {}
        self.riders: set[str] = {"r1"}
        self.lazy_riders: set[str] = set()
        self.down = 0
        self.settled_lag = 2
        self.requests: list[tuple[str, int]] = []
        self.stuck = False
        self.suspended = False
        self.zone = "Asia/Shanghai"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the front door does."""
        path = request.url.path
        if request.method == "POST" and self.down > 0:
            self.down -= 1
            if self.down % 2:
                raise httpx.ConnectError("away")
            return httpx.Response(503, json={"title": "busy", "code": "busy", "detail": "x", "status": 503})
        if path.startswith("/v1/companies/"):
            if path.endswith("/mt"):
                return httpx.Response(200, json={"code": "mt", "active": True})
            return httpx.Response(404, json={"title": "not found", "code": "not_found", "detail": "x", "status": 404})
        if path == "/v1/tracking/progress":
            self.settled_lag = max(0, self.settled_lag - 1) if not self.stuck else 9
            count = len(self.reports)
            return httpx.Response(
                200, json={"received": count, "unroutable": 0, "in_case": max(0, count - self.settled_lag)}
            )
        if path == "/ops/intake/status":
            return httpx.Response(200, json={"city_timezone": self.zone})
        if path == "/v1/riders:replay":
            riders = json.loads(request.content)["items"]
            assert all(rider["consent_at"] and rider["name"] for rider in riders)
            self.lazy_riders |= {rider["external_id"] for rider in riders}
            return httpx.Response(200, json={"items": []})
        assert path == "/v1/reports:replay"
        assert request.url.params["company"] == "mt"
        sent = json.loads(request.content)["items"]
        self.requests.append((path, len(sent)))
        dry, newcomers = (request.url.params.get(name) == "true" for name in ("dry_run", "newcomers"))
        items = [self._take(one, dry, newcomers) for one in sent]
        self.riders |= self.lazy_riders  # known a moment later
        return httpx.Response(200, json={"items": items})

    def _take(self, report: dict[str, Any], dry: bool, newcomers: bool) -> dict[str, Any]:
        number = report["external_id"]
        if self.suspended:
            return {"status": "refused", "problem": {"code": "company_suspended", "detail": "suspended"}}
        if report["rider"] not in self.riders and not (dry and newcomers):
            return {
                "status": "refused",
                "problem": {"code": "unknown_rider", "detail": "not registered", "field": "rider"},
            }
        status = "repeated" if number in self.reports else "accepted"
        if self.reports.get(number, report)["rider"] != report["rider"]:
            return {"status": "refused", "problem": {"code": "idempotency_conflict", "detail": "used"}}
        if not dry:
            self.reports[number] = report
        return {"external_id": number, "status": status}


def written(path: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding=encoding)
    return path


def row(number: int, **values: str) -> str:
    cells = {
        "id": f"a{number}", "lng": "120.3", "lat": "30.3", "datum": "GCJ02", "kind": "part-01001",
        "occurred_at": "2019-03-05 08:30", "rider": "r1", "text": "井盖松动",
    } | values  # fmt: skip
    return ",".join(cells.values())


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["reports", *words])
