"""Group bots of WeCom, DingTalk and Feishu: they answer 200 to everything, and say in the body what came of it."""

from typing import Any

import httpx

from services.notifications.domain import Outcome
from services.notifications.outbound.tls import Ways

OK = 200
TOO_MANY = 429
ANSWER_BYTES_MAX = 64 * 1024
_FIELDS = ("errcode", "code", "StatusCode")
# More than the bot takes a minute, or for the moment: after the time that its maker names, the same message is taken.
_LATER_S: dict[str, dict[int, float]] = {
    "wecom": {-1: 20.0, 45009: 60.0, 45033: 20.0, 42001: 20.0},
    "dingtalk": {-1: 20.0, 130101: 600.0, 410100: 600.0, 90018: 60.0},
    "feishu": {9499: 60.0, 11232: 60.0, 11233: 60.0},
}
# A key that is wrong or withdrawn, a bot that was removed or switched off, words, signature or address that its owner
# doesn't let pass: no second try helps before somebody has changed the channel.
_NEVER: dict[str, frozenset[int]] = {
    "wecom": frozenset({40001, 40014, 40058, 44004, 45002, 93000, 93004, 93008}),
    "dingtalk": frozenset(
        {40014, 40035, 300001, 300005, 310000, 400013, 400101, 400102, 400105, 400106, 430101, 430102}
    ),
    "feishu": frozenset({10003, 19001, 19002, 19003, 19021, 19022, 19024}),
}


def post(kind: str, target: Any, title: str, body: str, timeout_s: float, ways: Ways) -> Outcome:
    """Make one attempt; blocking. `target`: apprise's plugin for the bot, which knows its address and its secret.

    Never raises for what the bot or the network does.
    """
    address, query, message = _request(kind, target, f"{title}\n{body}" if title else body)
    try:
        with (
            httpx.Client(
                trust_env=False, proxy=ways.proxy, verify=ways.verify, follow_redirects=False, timeout=timeout_s
            ) as client,
            client.stream("POST", address, params=query, json=message) as response,
        ):
            answer = b""
            for part in response.iter_bytes():
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    return Outcome(False, "the bot's answer is none of its maker's", status=response.status_code)
    except httpx.HTTPError as error:
        return Outcome(False, f"no answer: {type(error).__name__}")
    return judged(kind, response.status_code, answer)


def _request(kind: str, target: Any, text: str) -> tuple[str, dict[str, str] | None, dict[str, Any]]:
    """Address, query and message in the manner of the bot's maker."""
    if kind == "feishu":
        return (
            target.notify_url.format(token=target.token).rstrip("/"),
            None,
            {"msg_type": "text", "content": {"text": text}},
        )
    message = {"msgtype": "text", "text": {"content": text}}
    if kind == "wecom":
        return target.notify_url.format(key=target.key), None, message
    query = {"access_token": target.token}
    if target.secret:
        query["timestamp"], query["sign"] = target.get_signature()
    return target.notify_url.partition("?")[0], query, message


def judged(kind: str, status: int, answer: bytes) -> Outcome:
    """What came of an attempt: taken only where the body says so."""
    if status != OK:
        return Outcome(False, f"answered {status}", status=status, retry_after_s=60.0 if status == TOO_MANY else None)
    code = _code(answer)
    if code is None:
        return Outcome(False, "the bot's answer says nothing", status=status)
    if code == 0:
        return Outcome(True, "taken", status=status)
    if code in _NEVER[kind]:
        return Outcome(False, f"refused with code {code}", status=status, permanent=True)
    return Outcome(False, f"not taken, code {code}", status=status, retry_after_s=_LATER_S[kind].get(code))


def _code(answer: bytes) -> int | None:
    try:
        said = httpx.Response(OK, content=answer).json()
    except ValueError:
        return None
    codes = [said[name] for name in _FIELDS if name in said] if isinstance(said, dict) else []
    return codes[0] if codes and type(codes[0]) is int else None
