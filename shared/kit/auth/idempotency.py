"""Idempotency-Key of people's POSTs: the same key with the same request gets the first answer again, nothing twice.

async with service.work() as work:
    if (seen := await attempt.remembered(work.conn)) is not None:
        return seen.response()
    offer = await usecases.create_offer(work, ...)
    return await attempt.store(work.conn, 201, OfferOut.of(offer))
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from shared.kit.auth.principal import Principal
from shared.kit.postgres.db import Connection
from shared.kit.problems import IDEMPOTENCY_CONFLICT, IDEMPOTENCY_UNFINISHED
from shared.kit.refusals import may_refuse

# Insert first: a second request with the key waits here until the first one's transaction ends, however it ends
SQL_CLAIM_KEY = """
INSERT INTO idempotency_keys (principal, key, body_hash) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING key
"""
SQL_READ_KEY = "SELECT body_hash, status, response FROM idempotency_keys WHERE principal = $1 AND key = $2"
SQL_STORE_RESPONSE = """
UPDATE idempotency_keys SET status = $3, response = $4 WHERE principal = $1 AND key = $2 AND status IS NULL
RETURNING key
"""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The answer that the first request with the key got: HTTP status and JSON body (empty for none)."""

    status: int
    body: bytes

    def response(self) -> Response:
        """The same answer, marked as given before."""
        return _response(self.status, self.body, {"Idempotency-Replayed": "true"})


async def remembered(conn: Connection, principal: Principal, key: str, body_hash: bytes) -> StoredResponse | None:
    """None: the key is new and now claimed by the transaction, which must call `store` or roll back.

    Otherwise the first answer. Raises the 409 problem `idempotency_conflict` when the key came with another request.
    The transaction must be READ COMMITTED: in a stricter one the first answer may not be visible yet.
    """
    if await conn.fetchval(SQL_CLAIM_KEY, principal.key, key, body_hash) is not None:
        return None
    row = await conn.fetchrow(SQL_READ_KEY, principal.key, key)
    if row is None or row["status"] is None:
        raise IDEMPOTENCY_UNFINISHED("use a new Idempotency-Key")
    if not hmac.compare_digest(row["body_hash"], body_hash):
        raise IDEMPOTENCY_CONFLICT("the key came with another request")
    return StoredResponse(row["status"], row["response"])


async def store(conn: Connection, principal: Principal, key: str, status: int, body: bytes) -> None:
    """Keeps the answer with the claimed key, in the transaction of the work. RuntimeError when it isn't claimed."""
    if await conn.fetchval(SQL_STORE_RESPONSE, principal.key, key, status, body) is None:
        raise RuntimeError("store() without remembered() in this transaction")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request with its Idempotency-Key: the functions above with the request's own values."""

    principal: Principal
    key: str
    body_hash: bytes

    async def remembered(self, conn: Connection) -> StoredResponse | None:
        """See `remembered`."""
        return await remembered(conn, self.principal, self.key, self.body_hash)

    async def store(self, conn: Connection, status: int, body: BaseModel | None) -> Response:
        """Keeps the answer and builds it. `body` None: without content."""
        content = b"" if body is None else body.model_dump_json(by_alias=True).encode()
        await store(conn, self.principal, self.key, status, content)
        return _response(status, content, {})


@may_refuse(IDEMPOTENCY_CONFLICT, IDEMPOTENCY_UNFINISHED)
async def idempotent(
    request: Request, idempotency_key: Annotated[str, Header(min_length=8, max_length=128, pattern=r"^[!-~]+$")]
) -> Attempt:
    """The attempt at hand, for handlers. A request without the header is a 422."""
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    digest.update(await request.body())
    principal: Principal = request.state.principal
    return Attempt(principal, idempotency_key, digest.digest())


Idempotent = Annotated[Attempt, Depends(idempotent)]


def _response(status: int, body: bytes, headers: dict[str, Any]) -> Response:
    return Response(body, status, headers, media_type="application/json" if body else None)
