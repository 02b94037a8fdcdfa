"""What every OpenAPI document of the suite says before its first route: what holds for all of them."""

from typing import Any

from shared.kit.auth.signature import TOLERANCE_S
from shared.kit.http.encodings import KNOWN

ANSWERS_KEPT_MINUTES = 60
"""How long the answer to a signed request is given again (retention of request_ids)."""

SERVERS: list[dict[str, Any]] = [
    {
        "url": "https://{host}",
        "description": "城市安装的前门 / an installation's front door: one address for all services",
        "variables": {"host": {"default": "beegrid.example.org", "description": "the city says which"}},
    },
    {
        "url": "http://{host}:{port}",
        "description": "本机 / the suite on a machine of your own (`make demo`, `make up`, compose), without TLS",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "8080"}},
    },
]

INTRODUCTION = f"""\
骑手随手拍的 HTTP 接口 / The suite over HTTP. What it says over Kafka stands in asyncapi.yaml.

**Who asks.** People send a token of the city's issuer (`Authorization: Bearer`), companies sign each request as
Standard Webhooks do, with four headers: `beegrid-company`, `webhook-id`, `webhook-timestamp` (unix seconds) and
`webhook-signature`. Signed is `webhook-id.webhook-timestamp.BODY`, BODY being the bytes that are sent; a request
without a body signs its request line instead, `METHOD TARGET`, where TARGET is the path *with its query* exactly as
sent: `GET /v1/outlets?limit=2`. So a signed GET covers its query. A request with a body goes without a query
(`query_not_signed`), since nothing would cover it.

**Clocks.** `webhook-timestamp` may differ from our clock by {TOLERANCE_S} seconds, before and after
(`signature_expired`).

**Once more.** After 429, 503 or no answer send the same request with the same `webhook-id`, signed with a new
timestamp: it takes effect once, and gets its first answer for {ANSWERS_KEPT_MINUTES} minutes. A report's
`external_id` is remembered for good: the same number with the same content is answered as before, with other content
refused (`idempotency_conflict`). Both hold across HTTP and Kafka.

**Batches.** The list is `items` in requests and in answers, one result for each item, in the same order; the answer
is 200 also where items were refused. More items than a route takes are one refusal, `too_many_items` with
`items_max`: nothing of the request was done.

**Refusals.** RFC 9457, `application/problem+json`, schema `Problem`; within a batch `ItemProblem`. Branch on `code`,
never on texts. Any route may answer 500 (`internal_error`) and 503 (`busy`, with `Retry-After`). All codes: `GET
/v1/catalogue/codes`, and a page each under `/problems/<code>`.

**Fields.** A field that nobody knows is refused (`validation_failed`), here and on Kafka, and so is a text where a
number or a truth value is wanted (`"12.5"`, `"true"`). Answers may get further
fields, and enumerations further values, within `/v1`: read what you know. What takes something away or changes its
meaning comes as `/v2` beside `/v1`, and both are there for at least twelve months.

**Limits.** 6,000 requests a minute for each caller and service (a setting of the installation); `RateLimit` says what
is left, `Retry-After` when to come back. Bodies may be packed ({KNOWN}), and count unpacked. Answers come within five
seconds, where no route says otherwise.

**Pages.** Lists come as `items` and `cursor`; ask for the next page with `cursor` as it was given, until it is null.
"""


def dressed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its introduction and servers; both stand before the paths."""
    info = {**document["info"], "description": INTRODUCTION}
    info["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    rest = {name: part for name, part in document.items() if name not in ("openapi", "info", "servers")}
    return {"openapi": document["openapi"], "info": info, "servers": SERVERS, **rest}
