"""People's tokens: JWTs of the city's identity provider, checked against its published keys."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import httpx
import jwt
import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.events.common import AREA_CODE
from shared.events.outside import Code, Words
from shared.kit import clock, metrics
from shared.kit.areas import NO_MAP, AreaTree
from shared.kit.auth.principal import ROLES, Kind, Principal
from shared.kit.http.problems import unauthorized
from shared.kit.ids import one_form
from shared.kit.problems import TOKEN_EXPIRED, TOKEN_INVALID, ServiceBusy
from shared.kit.refusals import Problem, Refusal

ALGORITHMS = ("EdDSA", "ES256", "RS256")
LEEWAY_S = 30
_KEYS_FRESH_S = 600.0
_REFRESH_INTERVAL_S = 10.0
_FETCH_PATIENCE_S = 2.0
_DOCUMENT_BYTES_MAX = 256_000
_TOKEN_CHARS_MAX = 8_192
_RSA_BITS_MIN = 2_048
_log = structlog.get_logger(__name__)


class Claims(BaseModel):
    """What a token must and may say; other claims are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    sub: Annotated[Code, Field(min_length=1, max_length=128), AfterValidator(one_form)]
    iss: str
    aud: str | list[str]
    exp: int | float
    nbf: int | float | None = None
    iat: int | float | None = None
    name: Words = Field("", max_length=200)
    roles: list[Code] = Field(default_factory=list, max_length=50)
    areas: list[str] = Field(default_factory=list, max_length=200)
    company: Code | None = Field(None, max_length=32)
    merchant_id: Code | None = Field(None, max_length=64)


class Jwks:
    """The issuer's keys from an https:// or file:// URL: cached, fetched again when old or when a key id is unknown.

    At most one fetch in ten seconds, whatever tokens arrive; while the issuer is away the keys at hand stay in use.

    Raises:
        ValueError: the URL, from the settings, has another scheme.
    """

    def __init__(self, url: str, *, client: httpx.AsyncClient | None = None) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("https", "file"):
            raise ValueError("the JWKS URL must be https:// or file://")
        self._url = url
        self._client = client
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_s = -_KEYS_FRESH_S
        self._tried_s = -_REFRESH_INTERVAL_S
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id, or None. Raises ServiceBusy when no keys could be had at all."""
        now_s = clock.monotonic_s()
        if kid not in self._keys or now_s - self._fetched_s >= _KEYS_FRESH_S:
            await self._refresh()
        if not self._keys:
            raise ServiceBusy("the issuer's keys are not available", retry_after_s=int(_REFRESH_INTERVAL_S))
        return self._keys.get(kid)

    def known(self) -> list[str]:
        """Ids of the keys at hand."""
        return sorted(self._keys)

    async def aclose(self) -> None:
        """Closes the HTTP client, if one was opened."""
        if self._client is not None:
            await self._client.aclose()

    async def _refresh(self) -> None:
        async with self._lock:
            if clock.monotonic_s() - self._tried_s < _REFRESH_INTERVAL_S:
                return
            self._tried_s = clock.monotonic_s()
            try:
                self._keys = _usable_keys(json.loads(await self._fetch()))
                self._fetched_s = clock.monotonic_s()
                metrics.JWKS_FAILURES_IN_A_ROW.set(0)
            except (OSError, httpx.HTTPError, ValueError, TimeoutError) as exc:
                metrics.JWKS_FAILURES.inc()
                metrics.JWKS_FAILURES_IN_A_ROW.inc()
                _log.warning("issuer's keys not refreshed", url=self._url, error=type(exc).__name__)

    async def _fetch(self) -> bytes:
        parts = urlsplit(self._url)
        if parts.scheme == "file":
            return await asyncio.to_thread(Path(unquote(parts.path)).read_bytes)
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_FETCH_PATIENCE_S, follow_redirects=False)
        async with asyncio.timeout(_FETCH_PATIENCE_S), self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            document = bytearray()
            async for chunk in response.aiter_bytes():
                document += chunk
                if len(document) > _DOCUMENT_BYTES_MAX:
                    raise ValueError("the key set is too large")
            return bytes(document)


class JwtVerifier:
    """Decides whom a token speaks for."""

    def __init__(
        self, keys: Jwks, *, issuer: str, audience: str, tree: Callable[[], AreaTree] = lambda: NO_MAP
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._tree = tree

    async def verify(self, token: str) -> Principal:
        """The person of a genuine, current token for us. Raises the 401 problem `token_…`, ServiceBusy without keys."""
        claims = await self._genuine_claims(token)
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        now_s = clock.unix_s()
        if claims.iss != self._issuer:
            raise _invalid("wrong issuer")
        if self._audience not in audiences:
            raise _invalid("for another audience")
        if now_s >= claims.exp + LEEWAY_S:
            raise _invalid("expired", TOKEN_EXPIRED)
        if any(start is not None and start > now_s + LEEWAY_S for start in (claims.nbf, claims.iat)):
            raise _invalid("not valid yet")
        return _principal(claims, self._tree())

    async def _genuine_claims(self, token: str) -> Claims:
        if len(token) > _TOKEN_CHARS_MAX:
            raise _invalid("too long")
        try:
            header = jwt.get_unverified_header(token)
            kid, algorithm = header.get("kid"), header.get("alg")
            if not isinstance(kid, str) or algorithm not in ALGORITHMS:
                raise _invalid("unknown key or algorithm")
            key = await self._keys.key(kid)
            # the key decides the algorithm: a token may not choose how it is to be checked
            if key is None or key.algorithm_name != algorithm:
                raise _invalid("unknown key or algorithm")
            # times are checked by us against our clock; so is the rest, in one place
            payload = jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ONLY)
            return Claims.model_validate(payload)
        except (jwt.PyJWTError, ValidationError) as exc:
            raise _invalid("not a genuine token") from exc


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
    "require": [],
}


_AREA = re.compile(AREA_CODE)


def _usable_keys(document: Any) -> dict[str, jwt.PyJWK]:
    """Asymmetric signing keys of the allowed algorithms, by id. Raises ValueError when there is none."""
    entries = document.get("keys") if isinstance(document, dict) else None
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries if isinstance(entries, list) else []:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # a kind of key we don't know is no reason to refuse the others
        strong = key.algorithm_name != "RS256" or key.key.key_size >= _RSA_BITS_MIN
        if key.key_id and key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig") and strong:
            keys[key.key_id] = key
    if not keys:
        raise ValueError("no usable key in the key set")
    return keys


def _principal(claims: Claims, tree: AreaTree) -> Principal:
    if not all(_AREA.fullmatch(area) for area in claims.areas):
        raise _invalid("areas are not area codes")
    roles = frozenset(claims.roles) & ROLES
    kind: Kind = "operator" if "operator" in roles else "person"
    return Principal(
        kind, claims.sub, claims.company, roles, tuple(claims.areas), claims.merchant_id, claims.name, tree
    )


def _invalid(detail: str, problem: Problem = TOKEN_INVALID) -> Refusal:
    return unauthorized(problem, detail, f'Bearer realm="beegrid", error="invalid_token", error_description="{detail}"')
