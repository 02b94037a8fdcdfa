"""Parts that several tests of the kit's HTTP side share: an app without infrastructure, a client, keys."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
from fastapi import APIRouter, FastAPI

from shared.devtools.identity import AUDIENCE, ISSUER, Identity
from shared.kit.auth import Authenticator, Jwks, JwtVerifier, ReplayGuard, SignatureVerifier, Signer
from shared.kit.auth.key_ring import Ask
from shared.kit.auth.replay import Claim, KeptAnswer, SignedRequest
from shared.kit.http import Limiter, Unlimited
from shared.kit.http.app import create_app
from shared.kit.http.paging import Cursors
from shared.kit.problems import REPLAYED_REQUEST
from shared.kit.proxies import Proxies

MT_OLD, MT_NEW, ELE = b"old-secret-of-mt-" * 2, b"new-secret-of-mt-" * 2, b"secret-of-ele----" * 2


class Keys:
    """A key ring in memory; remove a key to revoke it."""

    def __init__(self) -> None:
        self.by_company = {"MT": [MT_NEW, MT_OLD], "ELE": [ELE]}
        self.suspended: set[str] = set()

    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        return Signer(self.by_company.get(company, []), suspended=company in self.suspended)


class Seen:
    """A replay guard in memory, that waits for nobody."""

    def __init__(self) -> None:
        self.hashes: dict[tuple[str, str], bytes] = {}
        self.answers: dict[tuple[str, str], KeptAnswer] = {}

    async def begin(self, request: SignedRequest) -> Claim | KeptAnswer:
        key = (request.company, request.request_id)
        if self.hashes.setdefault(key, request.content_hash) != request.content_hash:
            raise REPLAYED_REQUEST("replayed")
        return self.answers.get(key) or Claim(*key, UUID(int=0))

    async def finish(self, claim: Claim, answer: KeptAnswer) -> None:
        self.answers[claim.company, claim.request_id] = answer

    async def release(self, claim: Claim) -> None:
        del self.hashes[claim.company, claim.request_id]


class Well:
    """A healthy service, until a test says otherwise."""

    def __init__(self) -> None:
        self.is_started = True
        self.unready: dict[str, str] = {}
        self.dead: dict[str, str] = {}

    def started(self) -> bool:
        return self.is_started

    async def ready(self) -> dict[str, str]:
        return self.unready

    def alive(self) -> dict[str, str]:
        return self.dead


def app_of(
    routers: Sequence[APIRouter],
    folder: Path,
    *,
    keys: Keys | None = None,
    limiter: Limiter | None = None,
    health: Well | None = None,
    body_max: int = 1_000,
    timeout_s: float = 2.0,
    proxies: Proxies | None = None,
    overloaded: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """An app whose people's tokens come from `Identity.open(folder)`."""
    identity = Identity.open(folder)
    verifier = JwtVerifier(Jwks(identity.jwks_url), issuer=ISSUER, audience=AUDIENCE)
    return create_app(
        title="test",
        version="1",
        health=health or Well(),
        routers=routers,
        auth=Authenticator(verifier, SignatureVerifier(keys or Keys()), cast(ReplayGuard, Seen())),
        limiter=limiter or Unlimited(),
        body_max=body_max,
        timeout_s=timeout_s,
        proxies=proxies,
        overloaded=overloaded,
        cursors=Cursors("test", "secret"),
    )


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client of the app, without a server between."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://kit")


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}
