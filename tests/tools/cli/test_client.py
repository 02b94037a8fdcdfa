"""Finding the suite, showing refusals in words, and the commands that ask every service."""

import json
import os
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from typer.testing import CliRunner

from shared.cli import client as module
from shared.cli import companies, keys, main, operations, outbox, standing
from shared.cli.client import Address, Client, CliError, find_suite
from shared.cli.main import app
from shared.devtools.identity import Identity
from shared.kit.letters.letter_limit import stands_still
from shared.provision.services import service_names


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without a suite, and no variables: nothing here may reach a server that the environment names."""
    for name in [name for name in os.environ if name.startswith("BEEGRID_")]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite_at(folder: Path, **facts: Any) -> None:
    (folder / ".beegrid").mkdir(exist_ok=True)
    content = {"url": "http://127.0.0.1:1", "token": "t"} | facts
    (folder / ".beegrid" / "suite.json").write_text(json.dumps(content))


def test_the_suite_is_found_above(elsewhere: Path) -> None:
    suite_at(elsewhere)
    deep = elsewhere / "a" / "b"
    deep.mkdir(parents=True)
    assert find_suite(deep).url == "http://127.0.0.1:1"


def test_the_environment_comes_first(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite_at(elsewhere)
    monkeypatch.setenv(module.TOKEN, "other")
    assert (find_suite().url, find_suite().token) == ("http://127.0.0.1:1", "other")
    monkeypatch.setenv(module.URL, "https://beegrid.example")
    assert find_suite().url == "https://beegrid.example"
    assert "other" not in repr(find_suite())


def test_no_suite_says_what_to_do() -> None:
    with pytest.raises(CliError) as refused:
        find_suite()
    assert "make up" in refused.value.hint


def answering(status: int, body: Any = None, **kw: Any) -> Client:
    return Client("http://suite", "t", httpx.MockTransport(lambda _: httpx.Response(status, json=body, **kw)))


def test_a_problem_becomes_words_with_a_next_step() -> None:
    body = {"title": "没有权限 / Not allowed", "detail": "needs operator", "code": "forbidden", "status": 403}
    with pytest.raises(CliError) as refused:
        answering(403, body).get("/v1/companies")
    error = refused.value
    assert (error.title, error.detail, error.status, error.code) == (body["title"], "needs operator", 403, "forbidden")
    assert "beegrid token" in error.hint


def test_wrong_fields_are_named() -> None:
    body = {"title": "t", "detail": "1 field(s)", "errors": [{"field": "body.code", "problem": "too short"}]}
    with pytest.raises(CliError, match=r"body\.code: too short"):
        answering(422, body).post("/x", {})


def test_an_answer_that_is_no_problem_still_has_words() -> None:
    with pytest.raises(CliError, match="HTTP 502"):
        Client("http://s", "", httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))).get("/x")


def test_empty_answers_and_every_verb() -> None:
    client = Client("http://s", "t", httpx.MockTransport(lambda request: httpx.Response(200, json=request.method)))
    assert [client.get("/"), client.post("/", {}), client.put("/", {}), client.delete("/")] == [
        "GET", "POST", "PUT", "DELETE",
    ]  # fmt: skip
    assert Client("http://s", "", httpx.MockTransport(lambda _: httpx.Response(204))).delete("/") is None


def test_a_get_waits_for_a_suite_that_starts_and_a_post_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _s: None)
    calls = {"GET": 0, "POST": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        calls[request.method] += 1
        if calls[request.method] < 4:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})

    client = Client("http://s", "", httpx.MockTransport(answer))
    assert client.get("/") == {}
    with pytest.raises(CliError) as refused:
        client.post("/")
    assert (calls["POST"], refused.value.status) == (1, None)


class Services:
    """Every service behind the front door."""

    def __init__(self) -> None:
        self.problems: dict[str, dict[str, str]] = {}
        self.down: set[str] = set()
        self.unsealed: dict[str, int] = {}
        self.troubles: dict[str, dict[str, str]] = {}
        self.letters: list[dict[str, Any]] = []
        self.ranges: list[dict[str, Any]] = []
        self.standing: list[dict[str, Any]] = []
        self.posted: list[tuple[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the front door does."""
        path = request.url.path
        if path.startswith("/v1/companies"):
            return self._companies(request)
        service = path.split("/")[2]
        if service in self.down:
            return httpx.Response(502)
        if path.endswith("/readyz"):
            return httpx.Response(200, json=self.problems.get(service, {}))
        if path.endswith("/status"):
            dead = {"t dead": len(self.letters)} if service == "cases" and self.letters else {}
            state = {"service": service, "outbox_rows": 0, "dead_letters": dead, "lag_records": {"t": 3}}
            return httpx.Response(200, json={**state, "problems": self.troubles.get(service, {})})
        if path.endswith("/keys"):
            return httpx.Response(200, json={"sealing": [], "unknown": self.unsealed.get(service, 0), "issuer": []})
        if request.method == "POST":
            self.posted.append((path, json.loads(request.content)))
            if "/standing/" in path:
                return httpx.Response(200, json={"causes": [one["cause"] for one in self.standing]})
            done = [{"topic": "t", "key": "k", "ids": [1], "done": True, "detail": ""}]
            return httpx.Response(200, json={"discarded": 1} if path.endswith("discard") else done)
        if path.endswith("/standing"):
            return httpx.Response(200, json=self.standing if service == "cases" else [])
        if path.endswith("/dead-letter-ranges"):
            return httpx.Response(200, json=self.ranges if service == "cases" else [])
        return httpx.Response(200, json=self.letters if service == "cases" else [])

    def _companies(self, request: httpx.Request) -> httpx.Response:
        key = {"key_id": "new", "secret": "whsec_c2VjcmV0", "company": "mt"}
        said = json.loads(request.content) if request.method == "PUT" else None
        self.posted.append((f"{request.method} {request.url.path}", said))
        if request.method == "POST":
            return httpx.Response(201, json=key if request.url.path.endswith("keys") else {"code": "mt", "key": key})
        if request.url.path.endswith("/mt"):
            keys = [{"key_id": "new", "active": True}, {"key_id": "old", "active": True}]
            return httpx.Response(200, json={"code": "mt", "name": "美团", "keys": keys})
        return httpx.Response(
            200, json={"items": [{"code": "mt", "name": "美团", "active": True, "version": 1}], "cursor": None}
        )


LETTER = {
    "id": 7, "topic": "t", "partition": 0, "offset": 1, "key": "k", "status": "dead", "code": "failed",
    "detail": "boom", "attempts": 6, "created_at": "2026-03-02T04:00:00+00:00", "content": "kept",
}  # fmt: skip


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """The commands talk to these."""
    played = Services()
    monkeypatch.setattr(operations, "find_suite", lambda: Address("http://suite", "t"))
    for place in (operations, companies, outbox, standing):
        monkeypatch.setattr(place, "connect", lambda: Client("http://suite", "t", httpx.MockTransport(played)))
    return played


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def test_doctor_is_content_only_when_everything_is_ready(services: Services) -> None:
    well = run("doctor")
    assert well.exit_code == 0
    assert all(name in well.output for name in service_names())
    services.problems["points"] = {"postgres": "ConnectionRefusedError"}
    services.down.add("cases")
    ill = run("doctor")
    assert ill.exit_code == 1
    assert "points: postgres: ConnectionRefusedError. Postgres is away" in ill.output
    assert "cases: answer:" in ill.output


def test_doctor_says_once_that_nobody_answers(services: Services) -> None:
    services.down.update(service_names())
    done = run("doctor")
    assert isinstance(done.exception, CliError) and "No service answers" in done.exception.title


def test_doctor_shows_what_readiness_leaves_out(services: Services) -> None:
    services.troubles["riders"] = {"relay": "KafkaConnectionError: Unable to bootstrap"}
    ill = run("doctor")
    assert ill.exit_code == 1
    assert "riders: relay: KafkaConnectionError: Unable to bootstrap. its events don't leave" in ill.output


def test_doctor_looks_at_the_servers_themselves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        facts = {"kafka_bootstrap": f"127.0.0.1:{port}", "postgres_admin_url": f"postgresql://u:p@127.0.0.1:{port}/db"}
        assert operations.silent_servers(facts) == []
    address = f"127.0.0.1:{port}"
    assert operations.silent_servers(facts) == [("Kafka", address), ("Postgres", address)]
    assert operations.silent_servers({}) == []


def test_doctor_notices_secrets_that_no_key_opens(services: Services) -> None:
    services.unsealed["intake"] = 3
    ill = run("doctor")
    assert ill.exit_code == 1
    assert "intake: seals: 3 sealed secret(s) that no sealing key opens" in ill.output
    assert "BEEGRID_SEALING_KEY" in ill.output


def test_doctor_names_dead_letters_and_is_content(services: Services) -> None:
    services.letters = [LETTER]
    found = run("doctor")
    assert found.exit_code == 0
    assert "beegrid deadletters list --service cases" in found.output


def test_dead_letters_are_replayed_only_with_apply_and_a_reason(services: Services) -> None:
    services.letters = [LETTER]
    assert "failed: boom" in run("deadletters", "list").output
    assert run("deadletters", "replay", "cases", "7").exit_code == 2  # no reason
    assert isinstance(run("deadletters", "replay", "cases", "--reason", "repaired").exception, CliError)
    preview = run("deadletters", "replay", "cases", "7", "--reason", "repaired")
    assert "--apply" in preview.output
    assert services.posted == []
    assert run("deadletters", "replay", "cases", "7", "--reason", "repaired", "--apply").exit_code == 0
    assert run("deadletters", "replay", "cases", "--all", "--reason", "repaired", "--apply").exit_code == 0
    assert run("deadletters", "discard", "cases", "7", "--reason", "a test", "--apply").exit_code == 0
    assert [body.get("ids") for _, body in services.posted] == [[7], None, [7]]


def test_letters_without_content_and_what_is_only_counted_are_shown_and_given_up(services: Services) -> None:
    services.letters = [LETTER, {**LETTER, "id": 8, "content": "left_out"}, {**LETTER, "id": 9, "content": "erased"}]
    services.ranges = [
        {"topic": "inbound.suda.reports.v1", "partition": 2, "first_offset": 17, "last_offset": 4711, "records": 4003,
         "code": "malformed_json", "first_at": "2026-05-01T08:00:00+08:00", "last_at": "2026-05-01T09:00:00+08:00"}
    ]  # fmt: skip
    listed = run("deadletters", "list").output
    assert "too many" in listed and "erased" in listed
    assert "4003" in listed and "17–4711" in listed
    wanted = ["discard", "cases", "--without-content", "t", "--reason", "sent again"]
    assert "2 条" in run("deadletters", *wanted).output
    assert services.posted == []
    run("deadletters", *wanted, "--apply")
    assert services.posted == [("/ops/cases/dead-letters/discard", {"ids": [8, 9], "reason": "sent again"})]
    assert isinstance(run("deadletters", *wanted, "7").exception, CliError)


def test_a_topic_that_stands_still_is_named_and_goes_on_at_an_operators_word(services: Services) -> None:
    assert "No topic stands still" in run("standing").output
    bury = ["standing", "bury", "cases", "t", "--letters", "500", "--reason", "they are what is wrong"]
    assert "doesn't stand still" in run(*bury, "--apply").output
    services.posted.clear()
    since = "2026-05-01T08:00:00+08:00"
    services.standing = [
        {"topic": "t", "cause": "malformed_json", "used": 199.6, "granted": 0, "stands_since": since, "stood_at": since}
    ]
    services.troubles = {"cases": {"t": stands_still(datetime.fromisoformat(since), "malformed_json")}}
    done = run("doctor")
    assert done.exit_code == 1 and "`beegrid standing`" in done.output and "restart" not in done.output
    assert "malformed_json" in run("standing", "list").output and "200" in run("standing").output
    assert "--apply" in run(*bury).output
    assert services.posted == []
    assert run(*bury, "--apply").exit_code == 0
    assert run("standing", "retry", "cases", "t", "--reason", "fixed", "--apply").exit_code == 0
    body = {"topic": "t", "reason": "they are what is wrong"}
    assert services.posted == [
        ("/ops/cases/standing/bury", {**body, "cause": None, "letters": 500}),
        ("/ops/cases/standing/retry", {"topic": "t", "reason": "fixed"}),
    ]


def test_outbox(services: Services) -> None:
    assert "t 3" in run("outbox").output


def test_a_companys_key_is_shown_and_kafka_needs_its_administrator(services: Services, elsewhere: Path) -> None:
    suite_at(elsewhere)
    made = run("companies", "add", "mt", "--name", "美团")
    assert made.exit_code == 0, made.output
    assert "whsec_c2VjcmV0" in made.output
    assert "beegrid companies kafka mt" in made.output
    assert isinstance(run("companies", "kafka", "mt").exception, CliError)
    assert "美团" in run("companies", "list").output


def test_where_strimzi_makes_kafka_s_users_no_command_makes_a_second_password(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as in production's toolbox: the administrator is known
    for name in ("BOOTSTRAP", "ADMIN_USER", "ADMIN_PASSWORD"):
        monkeypatch.setenv(f"BEEGRID_KAFKA_{name}", "nobody-asks-it:1")
    monkeypatch.setenv("BEEGRID_KAFKA_USERS_BY", "strimzi")
    monkeypatch.setattr(keys, "connect", companies.connect)
    made = run("companies", "add", "mt", "--name", "美团")
    assert made.exit_code == 0
    assert "whsec_c2VjcmV0" in made.output
    assert "companies.txt" in made.output
    assert "kubectl -n beegrid get secret company-mt" in made.output
    making = ("companies kafka mt", "systems add dc", "systems password dc", "keys rotate kafka mt")
    for words in [one.split() for one in making]:
        refused = run(*words).exception
        assert isinstance(refused, CliError), words
        assert "Strimzi" in refused.title, words
    monkeypatch.setenv("BEEGRID_KAFKA_USERS_BY", "somebody")
    assert isinstance(run("companies", "add", "xy").exception, CliError)
    assert not [path for path, _ in services.posted if path.endswith("xy")]


def test_a_company_can_be_registered_without_kafka(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOOTSTRAP", "ADMIN_USER", "ADMIN_PASSWORD"):
        monkeypatch.setenv(f"BEEGRID_KAFKA_{name}", "nobody-asks-it:1")
    made = run("companies", "add", "mt", "--no-kafka")
    assert made.exit_code == 0
    assert "beegrid companies kafka mt" in made.output


def test_a_company_that_leaves_is_suspended_only_when_asked_to(services: Services, elsewhere: Path) -> None:
    suite_at(elsewhere)
    assert "Would suspend mt" in run("companies", "remove", "mt").output
    assert [path for path, _ in services.posted] == ["GET /v1/companies/mt"]
    done = run("companies", "remove", "mt", "--apply")
    assert done.exit_code == 0, done.output
    assert services.posted[-1] == ("PUT /v1/companies/mt", {"name": "美团", "active": False})
    assert "Kafka is as it was" in done.output


def test_rotation_keeps_old_keys_unless_asked_otherwise(services: Services) -> None:
    assert "stay valid" in run("companies", "rotate", "mt").output
    assert not any(path.startswith("DELETE") for path, _ in services.posted)
    run("companies", "rotate", "mt", "--revoke")
    assert [path for path, _ in services.posted if path.startswith("DELETE")] == ["DELETE /v1/companies/mt/keys/old"]


def test_a_token_is_signed_by_the_local_issuer_only(elsewhere: Path) -> None:
    missing = run("token", "--role", "operator")
    assert isinstance(missing.exception, CliError)
    assert not (elsewhere / ".beegrid").exists()
    Identity.open(elsewhere / ".beegrid" / "identity")
    made = run(
        "token", "--sub", "w1", "--name", "王芳", "--role", "grid_worker", "--role", "verifier", "--area", "330114"
    )
    claims = jwt.decode(made.output.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["name"], claims["areas"]) == ("w1", "王芳", ["330114"])
    assert claims["roles"] == ["grid_worker", "verifier"]


def test_in_the_image_there_is_no_issuer_and_the_command_says_so(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Identity.open(elsewhere / ".beegrid" / "identity")
    monkeypatch.setitem(sys.modules, "shared.devtools.identity", None)
    refused = run("token", "--role", "operator").exception
    assert isinstance(refused, CliError)
    assert "no part of the image" in refused.detail
    assert "identity provider" in refused.hint


def test_a_refusal_ends_in_words_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main.sys, "argv", ["beegrid", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "No running suite" in shown
    assert "→ `make up`" in shown
