"""The address of a request as a limit counts it: for whoever has no name yet, or only an invented one."""

from starlette.requests import Request

from shared.kit.http.limits import Allowance, Limiter
from shared.kit.proxies import UNKNOWN, bucket


class Address:
    """The address of one request, which its bucket counts once, however many ask."""

    def __init__(self, request: Request, limiter: Limiter) -> None:
        self._key = f"address:{bucket(request.client.host if request.client else UNKNOWN)}"
        self._limiter = limiter
        self._allowance: Allowance | None = None

    async def check(self) -> Allowance:
        """Counts the request unless it is counted already; raises the 429 problem when the bucket is empty."""
        if self._allowance is None:
            self._allowance = await self._limiter.check(self._key)
        return self._allowance
