"""Refusals as RFC 9457 problems: every one, ours or the framework's, leaves in this one shape.

Body: `type` "/problems/<code>", `title` (Chinese first), `status`, `detail`, `code`, and the extras of the refusal.
"""

import http
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem as Document
from fastapi_problem.handler import ExceptionHandler, new_exception_handler
from multidict import CIMultiDict
from rfc9457.openapi import problem_response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.kit import problems
from shared.kit.http.body_models import ITEMS
from shared.kit.messaging import json_bounds
from shared.kit.problems import ServiceBusy
from shared.kit.refusals import Problem, Refusal

MEDIA_TYPE = "application/problem+json"
_LEAVES_MAX = 1_000
ERRORS_LISTED_MAX = 20
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# pydantic's own messages of these kinds quote what was sent
_QUOTING_KINDS = frozenset({"uuid_parsing", "union_tag_invalid", "url_parsing", "json_invalid", "decimal_parsing"})
_log = structlog.get_logger(__name__)


class RefusalDocument(Document):
    """A refusal as the library answers with it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            refusal.title,
            type_=f"/problems/{refusal.code}",
            detail=refusal.detail,
            status=refusal.status,
            headers=CIMultiDict(refusal.headers) if refusal.headers else None,
            code=refusal.code,
            **refusal.extras,
        )

    def marshal(self, *, uri: str = "", strict: bool = False) -> dict[str, Any]:
        """The JSON body. The base class expands the type as a format string, which an extra's braces could break."""
        return {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail, **self.extras}


def document(refusal: Refusal) -> dict[str, Any]:
    """The refusal as a JSON body."""
    return RefusalDocument(refusal).marshal()


class BodyTooLarge(HTTPException):
    """413 while the body is being read. An HTTPException, since FastAPI turns anything else raised there into 400."""

    def __init__(self, bytes_max: int) -> None:
        # what is still unread must not be taken for the next request
        super().__init__(413, f"at most {bytes_max} bytes", headers={"Connection": "close"})


def unauthorized(problem: Problem, detail: str = "", challenge: str = 'Bearer realm="beegrid"') -> Refusal:
    """401 with WWW-Authenticate."""
    return Refusal(problem, detail, headers={"WWW-Authenticate": challenge})


def unknown_encoding(known: str) -> Refusal:
    """415: a Content-Encoding that nobody here unpacks; Accept-Encoding says which may be sent (RFC 9110, 12.5.3)."""
    detail = f"Content-Encoding may be one of: {known}"
    return Refusal(problems.UNSUPPORTED_ENCODING, detail, headers={"Accept-Encoding": known})


def not_taken(taken: str) -> Refusal:
    """415: a content type that this route doesn't take. `taken`: those that it does."""
    return problems.UNSUPPORTED_MEDIA_TYPE(f"send it as Content-Type: {taken}")


def from_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Refusal:
    """The refusal of a bare HTTP status, as raised by the framework."""
    other = problems.INTERNAL_ERROR if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else problems.BAD_REQUEST
    return Refusal(problems.BY_STATUS.get(status, other), detail, headers=headers)


def validation_refusal(errors: Iterable[Mapping[str, Any]]) -> Refusal:
    """422 `validation_failed` from pydantic's error dicts: which field and why, never the value that was sent.

    All are counted, the first ERRORS_LISTED_MAX listed.
    """
    found = list(errors)
    listed = [
        {"field": _field(error["loc"]), "problem": _harmless(error), "kind": str(error["type"])}
        for error in found[:ERRORS_LISTED_MAX]
    ]
    return problems.VALIDATION_FAILED(f"{json_bounds.count_of(found)} field(s) not acceptable", errors=listed)


def shapeless(error: json_bounds.Shapeless) -> Refusal:
    """422 for JSON of a shape that no model has."""
    return validation_refusal([{"type": "shape", "loc": ("body",), "msg": str(error)}])


def too_many_items(items: int, items_max: int) -> Refusal:
    """422 for a batch of more items than its route takes: one refusal, whatever the items are."""
    return problems.TOO_MANY_ITEMS(f"{items} items, at most {items_max} go into one request", items_max=items_max)


def _field(loc: Sequence[int | str]) -> str:
    """`body.items.3.kind`. A part that is no identifier came from the sender (an unknown or mapping key): left out."""
    return ".".join(str(p) if isinstance(p, int) or _IDENTIFIER.fullmatch(p) else "[key]" for p in loc)


def _harmless(error: Mapping[str, Any]) -> str:
    message = json_bounds.said(error)
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


def log_undeclared(route: str, code: str) -> None:
    """What an app does, unless its `app.state.undeclared` is another function, where a route's answer isn't one of its
    `refuses`: whoever is refused gets it nevertheless, though no document has it."""
    _log.error("refusal_undeclared", route=route, code=code)


def _refused(_handler: ExceptionHandler, request: Request, exc: Refusal) -> Document:
    declared = getattr(request.scope.get("route"), "refuses", None)
    if declared is not None and exc.problem not in declared:
        request.app.state.undeclared(f"{request.method} {request.scope['route'].path}", exc.code)
    return RefusalDocument(exc)


def _from_http_exception(_handler: ExceptionHandler, _request: Request, exc: HTTPException) -> Document:
    if exc.status_code == 400 and isinstance(exc.__cause__, ValueError | RecursionError):
        # the framework's words for what its JSON parser raised beside syntax errors
        texts = {UnicodeDecodeError: "not UTF-8", RecursionError: "nested too deeply"}
        why = texts.get(type(exc.__cause__), "a number has too many digits")
        return RefusalDocument(problems.MALFORMED_JSON(f"the body: {why}"))
    detail = "" if exc.detail == http.HTTPStatus(exc.status_code).phrase else str(exc.detail)
    return RefusalDocument(from_status(exc.status_code, detail, exc.headers))


def _from_validation(_handler: ExceptionHandler, _request: Request, exc: RequestValidationError) -> Document:
    errors = exc.errors()
    for error in errors:
        if error["type"] == "json_invalid":
            why = error.get("ctx", {}).get("error", "")  # the parser's words: they quote nothing of the body
            detail = f"the body is not JSON: {why} at character {error['loc'][-1]}"
            return RefusalDocument(problems.MALFORMED_JSON(detail))
        if error["type"] == "too_long" and tuple(error["loc"]) == ("body", ITEMS):
            return RefusalDocument(too_many_items(error["ctx"]["actual_length"], error["ctx"]["max_length"]))
    return RefusalDocument(validation_refusal(errors))


def _from_timeout(_handler: ExceptionHandler, _request: Request, _exc: TimeoutError) -> Document:
    return RefusalDocument(ServiceBusy("a dependency did not answer in time"))


REFUSALS = (Refusal, HTTPException, RequestValidationError, TimeoutError)
"""What the handler makes problems of. The rest: middleware.py."""


def problem_handler() -> ExceptionHandler:
    """The exception handler of an app for REFUSALS."""
    return new_exception_handler(
        http_exception_handler=_from_http_exception,
        request_validation_handler=_from_validation,
        handlers={Refusal: _refused, TimeoutError: _from_timeout},
    )


def refusal_responses(refused: Iterable[Problem]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route, one a status: the codes of its problems as description, the first one as example."""
    by_status: dict[int, list[Problem]] = {}
    for one in refused:
        by_status.setdefault(one.status, []).append(one)
    return {
        status: problem_response(", ".join(f"`{one.code}`" for one in of), [_example(of[0])])
        for status, of in sorted(by_status.items())
    }


def _example(problem: Problem) -> dict[str, Any]:
    if problem is problems.VALIDATION_FAILED:
        return document(validation_refusal([{"type": "missing", "loc": ("body", "kind"), "msg": "Field required"}]))
    return document(problem())
