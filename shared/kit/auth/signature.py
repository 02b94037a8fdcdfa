"""Companies' signed requests: Standard Webhooks (HMAC-SHA-256) with the company's code beside.

    beegrid-company: MT
    webhook-id: <one for each message>      webhook-timestamp: <unix seconds, of this attempt>
    webhook-signature: v1,<base64 of HMAC-SHA-256(secret, id "." timestamp "." body)> [more, separated by spaces]

A request without a body signs its request line ("GET /v1/riders?page=2") in the body's place, since otherwise one
captured empty body would sign every other request without one.
"""

import base64
import binascii
import hashlib
import hmac
import re

from starlette.requests import Request

from shared.kit import clock
from shared.kit.auth.key_ring import Ask, KeyRing
from shared.kit.auth.principal import Principal
from shared.kit.auth.replay import CHALLENGE, SignedRequest, expired
from shared.kit.http.encodings import coding_of
from shared.kit.http.middleware import check_announced_body, doubt_body, know_body
from shared.kit.http.problems import unauthorized
from shared.kit.ids import new_id
from shared.kit.problems import (
    QUERY_NOT_SIGNED,
    SIGNATURE_INVALID,
    SIGNATURE_MALFORMED,
    SIGNATURE_MISSING,
)
from shared.kit.refusals import Problem, Refusal

SIGNATURE_HEADERS = ("beegrid-company", "webhook-id", "webhook-timestamp", "webhook-signature")
TOLERANCE_S = 300
_COMPANY = re.compile(r"[A-Za-z0-9_-]{1,32}")
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
# Dots separate what is signed. An id with ".1790000000" in it could be cut there: the same bytes, signed once, would be
# a request of another id, at that time, and with the rest before its body
_CUT_AT_A_TIME = re.compile(r"\.[0-9]{10,12}(?:\.|$)")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURES_MAX = 5


class SignatureVerifier:
    """Decides whether a request was signed by the company that it names."""

    def __init__(self, keyring: KeyRing, tolerance_s: int = TOLERANCE_S) -> None:
        self._keyring = keyring
        self._tolerance_s = tolerance_s

    async def verify(self, request: Request, ask: Ask | None = None) -> tuple[Principal, SignedRequest]:
        """The company, and what the caller still has to check for replay. Raises the 401, 415 and 429 problems.

        `ask` may refuse to have a company looked up that nothing is known of yet, see KeyRing.

        The headers are judged first: nothing of a body is read for a company that has no key, or that is too large, or
        packed in a way that nobody unpacks, or from an address that sent too much for nothing. Then the body, exactly
        as it arrived, packed or not; the request keeps it.
        """
        company, request_id, timestamp, signatures = self._headers(request)
        if abs(clock.unix_s() - int(timestamp)) > self._tolerance_s:
            raise expired(self._tolerance_s)
        # An unknown company gets the same answer as a wrong key, only sooner: codes are no secret, memory is scarce
        signer = await self._keyring.signer(company, ask)
        if not signer.keys:
            raise _refused(SIGNATURE_INVALID, "no active key of this company made this signature")
        check_announced_body(request.scope)
        coding_of(request.headers)
        doubt_body(request.scope)
        payload = await _payload(request)
        genuine = [_digest(key, request_id, timestamp, payload) for key in signer.keys]
        matches = [hmac.compare_digest(one, given) for one in genuine for given in signatures]
        if not any(matches):
            raise _refused(SIGNATURE_INVALID, "no active key of this company made this signature")
        know_body(request.scope)
        signed = SignedRequest(company, request_id, content_hash(request, payload), int(timestamp))
        suspended = signer.suspended
        return Principal(kind="company", id=company, company=company, name=company, suspended=suspended), signed

    def _headers(self, request: Request) -> tuple[str, str, str, list[bytes]]:
        values = [request.headers.getlist(name) for name in SIGNATURE_HEADERS]
        # a header given twice could be read differently by whoever else looks at the request
        if any(len(given) != 1 for given in values):
            raise _refused(SIGNATURE_MISSING, f"exactly one each of {', '.join(SIGNATURE_HEADERS)}")
        company, request_id, timestamp, signature = (given[0] for given in values)
        if not (_COMPANY.fullmatch(company) and _REQUEST_ID.fullmatch(request_id) and _TIMESTAMP.fullmatch(timestamp)):
            raise _refused(SIGNATURE_MALFORMED, "company, id (1 to 128 visible ASCII characters) or timestamp")
        if _CUT_AT_A_TIME.search(request_id):
            raise _refused(SIGNATURE_MALFORMED, "an id may have dots, but no unix time between them")
        return company, request_id, timestamp, _signatures(signature)


def signed_headers(
    *,
    company: str,
    secret: bytes,
    method: str,
    target: str,
    body: bytes = b"",
    request_id: str | None = None,
    timestamp: int | None = None,
) -> dict[str, str]:
    """The headers a company sends. `target`: path with query as sent; `body`: the exact bytes; `timestamp`: now."""
    request_id = request_id or f"msg_{new_id().hex}"
    at = str(int(clock.unix_s()) if timestamp is None else timestamp)
    digest = _digest(secret, request_id, at, body or _request_line(method, target))
    values = (company, request_id, at, "v1," + base64.b64encode(digest).decode())
    return dict(zip(SIGNATURE_HEADERS, values, strict=True))


def content_hash(request: Request, payload: bytes) -> bytes:
    """What makes a signed request the same as another one: its method, address and body."""
    content = hashlib.sha256(_request_line(request.method, _target(request)) + b"\n")
    content.update(payload)
    return content.digest()


def is_signed(request: Request) -> bool:
    """Whether the request claims to be signed by a company."""
    return any(name in request.headers for name in SIGNATURE_HEADERS)


async def _payload(request: Request) -> bytes:
    body = await request.body()
    if body and request.scope.get("query_string"):
        raise QUERY_NOT_SIGNED()
    return body or _request_line(request.method, _target(request))


def _target(request: Request) -> str:
    """Path and query as they were sent: `path` is already unquoted."""
    path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1").partition("?")[0]
    query = request.scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _request_line(method: str, target: str) -> bytes:
    return f"{method.upper()} {target}".encode()


def _digest(key: bytes, request_id: str, timestamp: str, payload: bytes) -> bytes:
    made = hmac.new(key, f"{request_id}.{timestamp}.".encode(), hashlib.sha256)
    made.update(payload)  # apart: put together they would be a second copy of a photo
    return made.digest()


def _signatures(header: str) -> list[bytes]:
    found = []
    for one in header.split(" ")[:_SIGNATURES_MAX]:
        version, _, value = one.partition(",")
        if version != "v1":
            continue
        try:
            found.append(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError) as exc:
            raise _refused(SIGNATURE_MALFORMED, "webhook-signature is not base64") from exc
    if not found:
        raise _refused(SIGNATURE_MALFORMED, "webhook-signature has no v1 signature")
    return found


def _refused(problem: Problem, detail: str) -> Refusal:
    return unauthorized(problem, detail, CHALLENGE)
