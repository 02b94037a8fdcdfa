"""The load test's arithmetic and its refusals, against a suite that is played by this file."""

import json
from itertools import islice
from typing import Any

import httpx
import pytest
import shapely
from typer.testing import CliRunner, Result

from shared.cli import loadtest
from shared.cli.client import Address, Client, CliError
from shared.cli.loadtest import Balance, Outcome, balanced, percentiles, places_within, shortfalls
from shared.cli.main import app

GRID = {"type": "Polygon", "coordinates": [[[120, 30], [120.1, 30], [120, 30.1], [120, 30]]]}


class Suite:
    """Takes every report, forgets every `loses`-th, and answers progress."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.ended: list[str] = []
        self.loses = 0
        self.refuses = ""
        self.grids: list[dict[str, Any]] = [{"properties": {"level": "grid"}, "geometry": GRID}]

    @property
    def _kept(self) -> int:
        return len(self.seen) - (len(self.seen) // self.loses if self.loses else 0)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the front door does."""
        path = request.url.path
        if path == "/v1/areas/export.geojson":
            return httpx.Response(200, json={"features": self.grids})
        if path == "/v1/tracking/progress":
            return httpx.Response(
                200, json={"received": self._kept, "routed": self._kept, "unroutable": 0, "in_case": self._kept}
            )
        if path == "/v1/tracking/hops":
            return httpx.Response(200, json={"hops": []})
        if path.endswith("/keys"):
            return httpx.Response(201, json={"key_id": "k1", "secret": "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgISE="})
        if request.method == "DELETE":
            self.ended.append(path)
            return httpx.Response(204)
        if path == "/v1/reports:batch":
            return self._taken(request)
        return httpx.Response(200, json={"code": "loadtest", "items": []})

    def _taken(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["beegrid-company"] == "loadtest" and "webhook-signature" in request.headers
        reports = json.loads(request.content)["items"]
        if not reports:
            return httpx.Response(422, json={})
        if self.refuses:
            return httpx.Response(
                200, json={"items": [{"status": "refused", "problem": {"code": self.refuses}} for _ in reports]}
            )
        self.seen += reports
        return httpx.Response(200, json={"items": [{"status": "accepted"} for _ in reports]})


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The command talks to it, also where it speaks for the company."""
    played = Suite()
    transport = httpx.MockTransport(played)
    real = httpx.AsyncClient
    monkeypatch.setattr(loadtest, "find_suite", lambda: Address("http://127.0.0.1:1", "t"))
    monkeypatch.setattr(loadtest, "Client", lambda url, token: Client(url, token, transport))
    monkeypatch.setattr(
        loadtest.httpx, "AsyncClient", lambda **words: real(base_url=words["base_url"], transport=transport)
    )
    return played


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["loadtest", "--rate", "40", "--seconds", "1", "--patience", "1", *words])


def test_all_is_sent_labelled_within_the_map_and_accounted_for(suite: Suite) -> None:
    done = run()
    assert done.exit_code == 0, (done.output, done.exception)
    assert len(suite.seen) == 40 and len({report["external_id"] for report in suite.seen}) == 40
    triangle = shapely.from_geojson(json.dumps(GRID))
    assert all(shapely.contains_xy(triangle, r["place"]["lng"], r["place"]["lat"]) for r in suite.seen)
    assert all(report["text"].startswith(loadtest.LABEL) for report in suite.seen)
    emergencies = {"local-gas-smell", "local-lift-trap"}
    assert not emergencies & {report["kind"] for report in suite.seen}, "those page people"
    assert suite.ended == ["/v1/companies/loadtest/keys/k1"], "the key of the run ends with it"


def test_a_lost_report_fails_it(suite: Suite) -> None:
    suite.loses = 40
    done = run()
    assert done.exit_code == 1
    assert "1 accepted reports are neither" in done.output.replace("\n", " ")


def test_refusals_are_counted_by_reason_and_fail_it(suite: Suite) -> None:
    suite.refuses = "unknown_rider"
    done = run()
    assert done.exit_code == 1
    assert "unknown_rider" in done.output and "only 0 of 40" in done.output.replace("\n", " ")


def test_without_a_map_nothing_is_sent(suite: Suite) -> None:
    suite.grids = []
    done = run()
    assert isinstance(done.exception, CliError) and "No map" in done.exception.title
    assert suite.seen == []


@pytest.mark.parametrize(
    ("url", "words", "refused"),
    [
        ("https://beegrid.example.cn", (), True),
        ("http://10.0.0.7:8080", (), True),
        ("http://localhost.example.cn", (), True),
        ("http://10.0.0.7:8080", ("--i-know-it-is-not-local",), False),
        ("http://[::1]:8080", (), False),
    ],
)
def test_only_local_suites_unless_allowed(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, url: str, words: tuple[str, ...], refused: bool
) -> None:
    monkeypatch.setattr(loadtest, "find_suite", lambda: Address(url, "t"))
    done = run(*words)
    assert isinstance(done.exception, CliError) == refused, done.output
    assert bool(suite.seen) != refused


def test_a_rate_that_was_not_kept_is_reported() -> None:
    fine = Balance(accepted=100, routed=90, unroutable=4, waiting=6)
    assert fine.lost == 0
    assert shortfalls(Outcome(sent=100, accepted=100, took_s=1.0), fine, 100) == []
    assert "50.0 reports/s instead of 100" in shortfalls(Outcome(sent=100, accepted=100, took_s=2.0), fine, 100)[0]


def test_what_was_there_before_does_not_count() -> None:
    before = {"received": 10, "routed": 4, "unroutable": 1}
    after = {"received": 19, "routed": 10, "unroutable": 2}
    assert balanced(before, after, 10) == Balance(10, 6, 1, 2)
    assert balanced(before, after, 10).lost == 1


def test_percentiles() -> None:
    assert percentiles([]) == (0, 0, 0)
    assert percentiles([7]) == (7, 7, 7)
    assert percentiles(list(map(float, range(101)))) == (50, 95, 99)


def test_a_sliver_still_gives_a_place(suite: Suite) -> None:
    thin = {"type": "Polygon", "coordinates": [[[120, 30], [121, 31], [121, 31.0000001], [120, 30]]]}
    suite.grids = [{"properties": {"level": "grid"}, "geometry": thin}]
    client = Client("http://suite", "t", httpx.MockTransport(suite))
    assert len(list(islice(places_within(client), 5))) == 5
