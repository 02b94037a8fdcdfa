"""Around the handler of a signed request: claim it, answer it, keep the answer or give the claim up."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shared.kit.auth.replay import ANSWER_BYTES_MAX, KeptAnswer, ReplayGuard, SignedRequest, working_on
from shared.kit.privacy.letters_of_erased import numbers_named
from shared.kit.refusals import Refusal

Handle = Callable[[Request], Awaitable[Response]]
_NOT_WORKED_ON = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


async def answered_once(
    guard: ReplayGuard, signed: SignedRequest, request: Request, handle: Handle, *, keep: bool
) -> Response:
    """The handler's answer, or the one that the same request got before.

    Args:
        guard: where claims and answers are.
        signed: the request's identity.
        request: for the handler.
        handle: the work.
        keep: whether the answer may be stored and given again; one with a secret is not.
    """
    claim = await guard.begin(signed)
    if isinstance(claim, KeptAnswer):
        return claim.response()
    try:
        with working_on(claim):
            response, read = await _answer(request, handle)
    except BaseException:
        # 503, 429, an unexpected failure or a caller who left: unless a transaction was committed, nothing happened
        await guard.release(claim)
        raise
    if response.status_code in _NOT_WORKED_ON:
        await guard.release(claim)
    else:
        riders = await _riders_of(signed, request) if keep and read else []
        await guard.finish(claim, _kept(response, keep and riders is not None, riders or []))
    return response


async def _answer(request: Request, handle: Handle) -> tuple[Response, bool]:
    """The answer, also where it is a refusal that the handler raised, and whether it may name anybody: where the
    framework refused the body, as no JSON or none of the route's, it names fields. What is no refusal of the request
    is raised."""
    try:
        return await handle(request), True
    except (Refusal, HTTPException, RequestValidationError) as refusal:
        status = _status(refusal)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _NOT_WORKED_ON or _is_for_now(refusal):
            raise
        return cast(Response, request.app.state.render_problem(request, refusal)), isinstance(refusal, Refusal)


def _is_for_now(refusal: Exception) -> bool:
    """Whether the same may come again, and soon: then its id may, too."""
    return isinstance(refusal, Refusal) and "Retry-After" in refusal.headers


def _status(refusal: Refusal | HTTPException | RequestValidationError) -> int:
    if isinstance(refusal, HTTPException):
        return refusal.status_code
    return refusal.status if isinstance(refusal, Refusal) else HTTPStatus.UNPROCESSABLE_ENTITY


async def _riders_of(signed: SignedRequest, request: Request) -> list[str] | None:
    """Whom the request names; None: too many. Only JSON does: a photo is not read for that."""
    if "json" not in request.headers.get("content-type", "").lower():
        return []
    return numbers_named(signed.company, await request.body())


def _kept(response: Response, keep: bool, riders: list[str]) -> KeptAnswer:
    body = getattr(response, "body", None)  # a stream has none
    if not keep or not isinstance(body, bytes) or len(body) > ANSWER_BYTES_MAX:
        body = None
    return KeptAnswer(response.status_code, response.headers.get("content-type"), body, riders)
