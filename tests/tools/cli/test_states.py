"""`beegrid states`: page by page, no faster than said and than Kafka takes it, with a place to go on from."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from shared.cli import states
from shared.cli.client import Client
from shared.cli.main import app

TOPIC = "riders.rider-changed.v1"
PUBLISH = ["states", "publish", "riders", TOPIC]


class Played:
    """Riders with so many states; a tenth of them tombstones."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.pages: list[dict[str, Any]] = []
        self.waiting = [0]
        self.refusals: list[int] = []
        self.slept_s: list[float] = []
        self.left_out = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith("/states"):
            mine = request.url.path == "/ops/riders/states"
            one = {"topic": TOPIC, "states": self.rows - self.rows // 10, "tombstones": self.rows // 10}
            return httpx.Response(200, json=[one] if mine else [])
        if request.method == "GET":
            return httpx.Response(200, json={"outbox_rows": self._waiting()})
        if self.refusals:
            return httpx.Response(self.refusals.pop(), json={"title": "Busy", "detail": "too much waits"})
        self.pages.append(json.loads(request.content))
        start, most = int(self.pages[-1]["after"] or 0), self.pages[-1]["most"]
        end = min(self.rows, start + most)
        gone = sum(number % 10 == 9 for number in range(start, end))
        return httpx.Response(
            200,
            json={
                "states": end - start - gone, "tombstones": gone, "left_out": self.left_out,
                "last": str(end) if end > start else None, "outbox_rows": self._waiting(),
            },
        )  # fmt: skip

    def _waiting(self) -> int:
        return self.waiting.pop() if len(self.waiting) > 1 else self.waiting[0]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    made = Played(rows=450)
    monkeypatch.setattr(states, "connect", lambda: Client("http://suite", "t", httpx.MockTransport(made)))
    monkeypatch.setattr(states.time, "sleep", made.slept_s.append)
    monkeypatch.setattr(states.clock, "monotonic_s", lambda: 0.0)
    return made


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*PUBLISH, *words], env={"COLUMNS": "200"})
    return result.exit_code, result.output + str(result.exception or "")


def test_a_preview_publishes_nothing(played: Played) -> None:
    code, said = run()
    assert (code, played.pages) == (0, [])
    assert "405 状态" in said and "45 墓碑" in said and "--apply" in said


def test_every_page_is_asked_for_once_and_the_rate_is_kept(played: Played) -> None:
    code, said = run("--apply", "--reason", "lost", "--rate", "100")
    assert code == 0, said
    assert [page["after"] for page in played.pages] == ["", "100", "200", "300", "400", "450"]
    assert {page["reason"] for page in played.pages} == {"lost"}
    assert sum(played.slept_s) == pytest.approx(4.5), "450 events at 100 a second"
    assert "405 states, 45 tombstones" in said


def test_it_waits_while_kafka_takes_less_than_comes(played: Played) -> None:
    played.waiting = [0, 2_001, 9_000]
    code, _ = run("--apply", "--reason", "lost", "--rate", "100000")
    assert code == 0 and played.slept_s.count(states.WAIT_S) == 2


def test_a_busy_service_is_asked_again(played: Played) -> None:
    played.refusals = [503, 503]
    code, said = run("--apply", "--reason", "lost")
    assert code == 0 and "450" in said and played.slept_s.count(5 * states.WAIT_S) == 2


def test_broken_off_it_says_where_to_go_on(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    real = states._page

    def broken(client: Client, service: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["after"] == "200":
            raise states.CliError("Gone", "the service went away")
        return real(client, service, asked)

    monkeypatch.setattr(states, "_page", broken)
    code, said = run("--apply", "--reason", "lost")
    assert code == 1 and "--after '200'" in said
    monkeypatch.setattr(states, "_page", real)
    code, said = run("--apply", "--reason", "lost", "--after", "200")
    assert code == 0 and [page["after"] for page in played.pages] == ["", "200", "400", "450"]


def test_rows_without_a_state_are_said(played: Played) -> None:
    played.left_out = 1
    assert "StatesLost" in run("--apply", "--reason", "lost")[1]


def test_another_topic_and_no_reason_are_refused(played: Played) -> None:
    assert "--reason" in run("--apply")[1]
    result = CliRunner().invoke(app, ["states", "publish", "points", TOPIC])
    assert result.exit_code == 1 and "No topic whose states" in str(result.exception)
    assert played.pages == []
