"""Group bots answer 200 and mean no: real requests to a server that answers as they do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.notifications.domain import Outcome
from services.notifications.outbound import channel
from services.notifications.outbound.tls import Ways, context

ADDRESSES = {
    "wecom": "wecombot://abcdefgh12345678",
    "dingtalk": "dingtalk://SECabcdef@token12345678901234567890",
    "feishu": "feishu://token123456",
}
TAKEN = {
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "data": {}, "msg": "success"},
}


class Maker:
    """WeCom, DingTalk and Feishu in one: answers what it is set to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.seen: list[tuple[str, Any]] = []
        self.port = 0


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    made = Maker()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            made.seen.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(made.status)
            self.send_header("content-length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    made.port = server.server_port
    for kind, address in ADDRESSES.items():
        plugin = type(channel._target(kind, address))
        real = urlsplit(plugin.notify_url)
        monkeypatch.setattr(
            plugin, "notify_url", real._replace(scheme="http", netloc=f"127.0.0.1:{made.port}").geturl()
        )
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def attempt(kind: str) -> Outcome:
    return channel._notify(kind, ADDRESSES[kind], "标题", "内容", 3.0, Ways(context(None)))


@pytest.mark.parametrize("kind", ADDRESSES)
def test_taken_is_what_the_body_says(maker: Maker, kind: str) -> None:
    maker.body = json.dumps(TAKEN[kind]).encode()
    assert attempt(kind) == Outcome(True, "taken", status=200)
    [(path, message)] = maker.seen
    content = message["content"]["text"] if kind == "feishu" else message["text"]["content"]
    assert content == "标题\n内容"
    query = parse_qs(urlsplit(path).query)
    if kind == "dingtalk":
        assert query["access_token"] == ["token12345678901234567890"]
        assert query["timestamp"]
        assert query["sign"]
    elif kind == "wecom":
        assert query == {"key": ["abcdefgh12345678"]}
    else:
        assert path == "/open-apis/bot/v2/hook/token123456"


@pytest.mark.parametrize(
    ("kind", "answer", "permanent", "wait_s"),
    [
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, False, 60.0),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, True, None),
        ("wecom", {"errcode": 12345}, False, None),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, False, 600.0),
        ("dingtalk", {"errcode": 300001, "errmsg": "token is not exist"}, True, None),
        ("dingtalk", {"errcode": 310000, "errmsg": "keywords not in content"}, True, None),
        ("feishu", {"code": 9499, "msg": "too many request"}, False, 60.0),
        ("feishu", {"code": 19001, "msg": "param invalid: incoming webhook access token invalid"}, True, None),
        ("feishu", {"StatusCode": 19024}, True, None),
    ],
)
def test_a_code_is_no_yes(maker: Maker, kind: str, answer: Any, permanent: bool, wait_s: float | None) -> None:
    maker.body = json.dumps(answer).encode()
    outcome = attempt(kind)
    assert (outcome.ok, outcome.permanent, outcome.retry_after_s) == (False, permanent, wait_s)


@pytest.mark.parametrize("kind", ADDRESSES)
@pytest.mark.parametrize(
    "body", [b"", b"<html>login</html>", b"[]", b"{}", b'{"errcode":"0","code":"0"}', b'{"code":false}', b"\xff"]
)
def test_an_answer_that_says_nothing_is_no_yes(maker: Maker, kind: str, body: bytes) -> None:
    maker.body = body
    outcome = attempt(kind)
    assert (outcome.ok, outcome.permanent) == (False, False)


@pytest.mark.parametrize("kind", ADDRESSES)
def test_status_and_silence_are_tried_again(maker: Maker, kind: str) -> None:
    maker.status, maker.body = 429, json.dumps(TAKEN[kind]).encode()
    assert attempt(kind).retry_after_s == 60.0
    maker.status = 302
    assert not attempt(kind).ok
    maker.status, maker.body = 200, b" " * 100_000 + maker.body
    assert not attempt(kind).ok
