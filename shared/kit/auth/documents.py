"""What the OpenAPI document says of a route by its policy: how to prove who one is, and what stands before it."""

from collections.abc import Iterator
from typing import Any

from shared.kit import problems
from shared.kit.auth.who import Policy
from shared.kit.refusals import Problem

_BEARER, _SIGNATURE = "bearer", "companySignature"
_SIGNATURE_PROBLEMS = (
    problems.SIGNATURE_MISSING,
    problems.SIGNATURE_MALFORMED,
    problems.SIGNATURE_INVALID,
    problems.SIGNATURE_EXPIRED,
    problems.QUERY_NOT_SIGNED,
)
_BODY_PROBLEMS = (
    problems.MALFORMED_ENCODING,
    problems.CONTENT_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.UNSUPPORTED_ENCODING,
)


def refusals_before(policy: Policy, *, writes: bool, body: bool, json: bool) -> Iterator[Problem]:
    """What a request is refused with before its handler runs; the first of a status is the document's example.

    Args:
        policy: of the route.
        writes: it isn't a read, whose repetition is read again.
        body: it takes one; `json`: of JSON.
    """
    yield from (problems.MALFORMED_JSON, problems.BAD_REQUEST) * json
    yield from _BODY_PROBLEMS * body
    if not policy.public:
        yield from (problems.TWO_IDENTITIES, problems.CREDENTIALS_MISSING, problems.FORBIDDEN)
    if policy.person:
        yield from (problems.CREDENTIALS_MALFORMED, problems.TOKEN_INVALID, problems.TOKEN_EXPIRED)
    yield from (problems.NOT_A_RIDER,) * ("rider" in policy.roles)
    if policy.company:
        yield from _SIGNATURE_PROBLEMS
        yield problems.COMPANY_SUSPENDED
        yield from (problems.REPLAYED_REQUEST,) * writes
    yield from (problems.VALIDATION_FAILED, problems.RATE_LIMITED, problems.BUSY)


def security(policy: Policy) -> list[dict[str, list[str]]]:
    """The ways to be let in, one of which is enough; none for a public route."""
    ways: list[dict[str, list[str]]] = []
    if policy.person:
        ways.append({_BEARER: []})
    if policy.company:
        ways.append({_SIGNATURE: []})
    return ways


SECURITY_SCHEMES: dict[str, Any] = {
    _BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A person's token."},
    _SIGNATURE: {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks: beegrid-company, webhook-id, webhook-timestamp and webhook-signature "
        "(v1, HMAC-SHA-256 of id.timestamp.body, the body's bytes as they are sent, so packed ones where there is a "
        "Content-Encoding; without a body of the request line). After 429, 503 or no answer send "
        "the same request with the same webhook-id, signed with a new timestamp: it takes effect once, and for an hour "
        "gets its first answer again, with Idempotency-Replayed. A read sent again is read again.",
    },
}
