"""Errors as RFC 9457 problems: every refusal, ours or the framework's, leaves in this one shape.

Body: `type` "/problems/<code>", `title` (Chinese first), `status`, `detail`, `code`, and the extras of the problem.
"""

import http
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from fastapi_problem.handler import ExceptionHandler, new_exception_handler
from multidict import CIMultiDict
from rfc9457.openapi import problem_response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.kit import json_bounds

MEDIA_TYPE = "application/problem+json"
_RESERVED = frozenset({"type", "title", "status", "detail", "code"})
_LEAVES_MAX = 1_000
ERRORS_LISTED_MAX = 20
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# pydantic's own messages of these kinds quote what was sent
_QUOTING_KINDS = frozenset({"uuid_parsing", "union_tag_invalid", "url_parsing", "json_invalid", "decimal_parsing"})

_STATUS_TITLES = {
    400: "请求有误 / Bad request",
    401: "需要登录 / Authentication required",
    403: "没有权限 / Not allowed",
    404: "未找到 / Not found",
    405: "不支持的方法 / Method not allowed",
    406: "无法提供该格式 / Not acceptable",
    409: "冲突 / Conflict",
    413: "内容过大 / Content too large",
    415: "不支持的内容类型 / Unsupported content type",
    422: "内容不符合要求 / Content not acceptable",
    429: "请求过于频繁 / Too many requests",
    500: "服务器内部错误 / Internal error",
    503: "服务繁忙，请稍后重试 / Busy, try again later",
}
# Python 3.13 has other phrases for these; a code stays what it is.
_STATUS_CODES = {413: "content_too_large", 422: "unprocessable_entity", 503: "busy"}


class ApiProblem(Problem):
    """A refusal that the caller sees: HTTP status, stable snake_case code, title for people, detail, extra members."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        extras: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        extra_members = dict(extras or {})
        clash = _RESERVED & extra_members.keys()
        if clash:
            raise ValueError(f"extras may not replace {sorted(clash)}")
        # `code` and `detail` are members of every problem here: detail falls back to the title
        super().__init__(
            title,
            type_=f"/problems/{code}",
            detail=detail or title,
            status=status,
            headers=CIMultiDict(headers) if headers else None,
            code=code,
            **extra_members,
        )
        self.code = code

    def marshal(self, *, uri: str = "", strict: bool = False) -> dict[str, Any]:
        """The JSON body. The base class expands the type as a format string, which an extra's braces could break."""
        return {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail, **self.extras}


class ServiceBusy(ApiProblem):
    """503: the work was not taken on; nothing happened; try again after `retry_after_s` seconds."""

    def __init__(self, detail: str = "", retry_after_s: int = 2) -> None:
        super().__init__(503, "busy", _STATUS_TITLES[503], detail, headers={"Retry-After": str(retry_after_s)})


class BodyTooLarge(HTTPException):
    """413 while the body is being read. An HTTPException, since FastAPI turns anything else raised there into 400."""

    def __init__(self, bytes_max: int) -> None:
        # what is still unread must not be taken for the next request
        super().__init__(413, f"at most {bytes_max} bytes", headers={"Connection": "close"})


def bad_request(code: str, title: str, detail: str = "", **extras: object) -> ApiProblem:
    """400."""
    return ApiProblem(400, code, title, detail, extras)


def unauthorized(code: str, detail: str = "", challenge: str = 'Bearer realm="beegrid"') -> ApiProblem:
    """401 with WWW-Authenticate."""
    return ApiProblem(401, code, _STATUS_TITLES[401], detail, headers={"WWW-Authenticate": challenge})


def forbidden(detail: str = "") -> ApiProblem:
    """403: known, and not allowed."""
    return ApiProblem(403, "forbidden", _STATUS_TITLES[403], detail)


def not_found(what: str) -> ApiProblem:
    """404, also for what the caller may not know to exist. `what`: a noun ("case"), never a value."""
    return ApiProblem(404, "not_found", _STATUS_TITLES[404], f"no such {what}")


def conflict(code: str, title: str, detail: str = "", **extras: object) -> ApiProblem:
    """409: the state of things does not allow it."""
    return ApiProblem(409, code, title, detail, extras)


def unprocessable(code: str, title: str, detail: str = "", **extras: object) -> ApiProblem:
    """422: well-formed and still not acceptable."""
    return ApiProblem(422, code, title, detail, extras)


def malformed_json(detail: str) -> ApiProblem:
    """400: no JSON at all. `detail` quotes nothing of the body."""
    return bad_request("malformed_json", "不是有效的 JSON / Malformed JSON", detail)


def malformed_event(detail: str) -> ApiProblem:
    """400: sent as a CloudEvent, and none. `detail` names the attribute at fault."""
    return bad_request("malformed_event", "不是有效的 CloudEvent / Malformed CloudEvent", detail)


def malformed_encoding(coding: str) -> ApiProblem:
    """400: a body that can't be unpacked with what its Content-Encoding says."""
    detail = f"the body is not whole {coding} data, or takes too long to unpack"
    return bad_request("malformed_encoding", "压缩内容已损坏 / Broken compression", detail)


def unknown_encoding(known: str) -> ApiProblem:
    """415: a Content-Encoding that nobody here unpacks; Accept-Encoding says which may be sent (RFC 9110, 12.5.3)."""
    detail = f"Content-Encoding may be one of: {known}"
    headers = {"Accept-Encoding": known}
    return ApiProblem(415, "unsupported_encoding", "不支持的压缩方式 / Unsupported encoding", detail, headers=headers)


def not_json() -> ApiProblem:
    """415: a body under another name than JSON's."""
    return not_taken("application/json")


def not_taken(taken: str) -> ApiProblem:
    """415: a content type that this route doesn't take. `taken`: those that it does."""
    return ApiProblem(415, "unsupported_media_type", _STATUS_TITLES[415], f"send it as Content-Type: {taken}")


def too_many(retry_after_s: int, headers: Mapping[str, str] | None = None) -> ApiProblem:
    """429; `retry_after_s` in whole seconds, at least 1."""
    after = {"Retry-After": str(max(1, retry_after_s)), **(headers or {})}
    return ApiProblem(429, "rate_limited", _STATUS_TITLES[429], headers=after)


def busy(detail: str = "", retry_after_s: int = 2) -> ServiceBusy:
    """503 with Retry-After."""
    return ServiceBusy(detail, retry_after_s)


def internal_error() -> ApiProblem:
    """500 without a word about the cause: that is in the log."""
    return ApiProblem(500, "internal_error", _STATUS_TITLES[500])


def from_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> ApiProblem:
    """The problem of a bare HTTP status, as raised by the framework."""
    phrase = http.HTTPStatus(status).phrase
    code = _STATUS_CODES.get(status) or re.sub(r"[^a-z0-9]+", "_", phrase.lower()).strip("_")
    return ApiProblem(status, code, _STATUS_TITLES.get(status, phrase), detail, headers=headers)


def validation_problem(errors: Iterable[Mapping[str, Any]]) -> ApiProblem:
    """422 `validation_failed` from pydantic's error dicts: which field and why, never the value that was sent.

    All are counted, the first ERRORS_LISTED_MAX listed.
    """
    found = list(errors)
    listed = [
        {"field": _field(error["loc"]), "problem": _harmless(error), "kind": str(error["type"])}
        for error in found[:ERRORS_LISTED_MAX]
    ]
    detail = f"{json_bounds.count_of(found)} field(s) not acceptable"
    return ApiProblem(422, "validation_failed", _STATUS_TITLES[422], detail, {"errors": listed})


def shapeless(error: json_bounds.Shapeless) -> ApiProblem:
    """422 for JSON of a shape that no model has."""
    return validation_problem([{"type": "shape", "loc": ("body",), "msg": str(error)}])


def too_many_items(items_max: int) -> ApiProblem:
    """422 for a batch of more items than its route takes."""
    return validation_problem([{"type": "too_long", "loc": ("body",), "msg": f"at most {items_max} items"}])


def _field(loc: Sequence[int | str]) -> str:
    """`body.items.3.kind`. A part that is no identifier came from the sender (an unknown or mapping key): left out."""
    return ".".join(str(p) if isinstance(p, int) or _IDENTIFIER.fullmatch(p) else "[key]" for p in loc)


def _harmless(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    if error["type"] in _QUOTING_KINDS or any(leaf in message for leaf in _leaves(error.get("input"))):
        return "value is not acceptable"
    return message


def _leaves(value: object) -> Iterator[str]:
    """The scalars inside what was sent, as text; those of one or two characters match by chance and say nothing."""
    pending, seen = [value], 0
    while pending and seen < _LEAVES_MAX:
        item = pending.pop()
        seen += 1
        if isinstance(item, Mapping):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, (list, tuple, set)):
            pending.extend(item)
        elif item is not None and not isinstance(item, bool) and len(text := str(item).strip()) > 2:
            yield text


def _from_http_exception(_handler: ExceptionHandler, _request: Request, exc: HTTPException) -> Problem:
    if exc.status_code == 400 and isinstance(exc.__cause__, ValueError | RecursionError):
        # the framework's words for what its JSON parser raised beside syntax errors
        texts = {UnicodeDecodeError: "not UTF-8", RecursionError: "nested too deeply"}
        return malformed_json(f"the body: {texts.get(type(exc.__cause__), 'a number has too many digits')}")
    detail = "" if exc.detail == http.HTTPStatus(exc.status_code).phrase else str(exc.detail)
    return from_status(exc.status_code, detail, exc.headers)


def _from_validation(_handler: ExceptionHandler, _request: Request, exc: RequestValidationError) -> Problem:
    errors = exc.errors()
    for error in errors:
        if error["type"] == "json_invalid":
            why = error.get("ctx", {}).get("error", "")  # the parser's words: they quote nothing of the body
            return malformed_json(f"the body is not JSON: {why} at character {error['loc'][-1]}")
    return validation_problem(errors)


def _from_timeout(_handler: ExceptionHandler, _request: Request, _exc: TimeoutError) -> Problem:
    return ServiceBusy("a dependency did not answer in time")


def problem_handler() -> ExceptionHandler:
    """The exception handler of an app for problems, HTTP and validation errors, time-outs. The rest: middleware.py."""
    return new_exception_handler(
        http_exception_handler=_from_http_exception,
        request_validation_handler=_from_validation,
        handlers={TimeoutError: _from_timeout},
    )


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: what it may refuse with, beside what every route of its policy may."""
    return {status: problem_response(http.HTTPStatus(status).phrase, [_example(status)]) for status in statuses}


def _example(status: int) -> dict[str, Any]:
    if status == http.HTTPStatus.UNPROCESSABLE_ENTITY:
        missing = {"type": "missing", "loc": ("body", "kind"), "msg": "Field required"}
        return validation_problem([missing]).marshal()
    # as they are really sent, so that their addresses lead somewhere
    usual = {400: malformed_json("the body is not JSON"), 401: unauthorized("credentials_missing")}
    usual |= {415: not_json(), 429: too_many(1), 503: busy()}
    return usual.get(status, from_status(status)).marshal()
