"""Lists in pages: one shape, one cursor, one limit.

    @router.get("/v1/offers")
    @allow(Person)
    async def list_offers(service: CurrentService, asked: Asked) -> Page[OfferOut]:
        async with service.reading() as conn:
            found = await offers.offers(conn, asked.after(UUID), asked.rows)
        return asked.page(found, OfferOut.of, lambda offer: offer.id)

A cursor says behind which item the next page begins. It is signed, so that what comes back is what this list of this
service gave out; it gives no right, since every page is read with the caller's own.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar, cast, overload
from uuid import UUID

import orjson
from fastapi import Depends, Query
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request

from shared.kit.http.models import Answer
from shared.kit.problems import BAD_CURSOR
from shared.kit.refusals import Refusal, may_refuse

T = TypeVar("T")
Row = TypeVar("Row")
A = TypeVar("A", str, int, UUID, datetime)
B = TypeVar("B", str, int, UUID, datetime)
LIMIT, LIMIT_MAX = 100, 500
CURSOR_MAX = 400
_MAC_BYTES = 16
CURSOR = "`cursor` of the page before, as it is; without one the list begins"
Value = str | int | UUID | datetime


class Page(Answer, Generic[T]):
    """Some items of a list, in its order."""

    items: list[T]
    cursor: str | None = Field(description="asks for the next page, as it is; null: this was the last")


class Cursors:
    """Makes and reads a service's cursors. The key comes from a secret that all its replicas have and keep.

    A cursor is seen by strangers, and the secret may have been chosen by a person: the key is derived at a cost of 16
    MiB and some 40 ms, once, when the first is needed, so that nobody finds the secret by trying.
    """

    def __init__(self, service: str, secret: str) -> None:
        self._service = service
        self._secret = secret

    @cached_property
    def _key(self) -> bytes:
        salt = f"beegrid cursors of {self._service}".encode()
        return hashlib.scrypt(self._secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)

    def make(self, of: str, place: Sequence[Value]) -> str:
        """The cursor of a place in a list. `of`: the list's address, as its route has it."""
        said = orjson.dumps(list(place), default=str)  # a driver has a UUID of its own
        return base64.urlsafe_b64encode(self._mac(of, said) + said).decode().rstrip("=")

    def read(self, of: str, cursor: str, kinds: Sequence[type[Any]]) -> tuple[Any, ...]:
        """The place. Raises the 422 problem `bad_cursor` for any that this list didn't give out."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            mac, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
            if not hmac.compare_digest(mac, self._mac(of, said)):
                raise _bad()
            adapter: TypeAdapter[tuple[Any, ...]] = TypeAdapter(cast(Any, tuple)[tuple(kinds)])
            return adapter.validate_json(said)
        except (binascii.Error, ValidationError) as error:
            # a genuine one of another shape: an older release of the service made it
            raise _bad() from error

    def _mac(self, of: str, said: bytes) -> bytes:
        return hmac.new(self._key, f"{of}\n".encode() + said, hashlib.sha256).digest()[:_MAC_BYTES]


@dataclass(frozen=True, slots=True)
class PageAsked:
    """Which page of a list is wanted."""

    limit: int
    cursor: str | None
    cursors: Cursors
    of: str

    @property
    def rows(self) -> int:
        """How many to read: one more than are shown, which says whether there is another page."""
        return self.limit + 1

    @overload
    def after(self, first: type[A], /) -> A | None: ...

    @overload
    def after(self, first: type[A], second: type[B], /) -> tuple[A, B] | None: ...

    def after(self, *kinds: type[Any]) -> Any:
        """Behind what to begin, as values of these types; None: at the beginning. Raises the 422 `bad_cursor`."""
        if self.cursor is None:
            return None
        place = self.cursors.read(self.of, self.cursor, kinds)
        return place if len(kinds) > 1 else place[0]

    def page(self, found: Sequence[Row], show: Callable[[Row], T], place: Callable[[Row], Any]) -> Page[T]:
        """The page of what was found. `place`: a row's place in the order, one value or a tuple, as `after` has it."""
        return Page[Any](items=[show(row) for row in found[: self.limit]], cursor=self.next(found, place))

    def next(self, found: Sequence[Row], place: Callable[[Row], Any]) -> str | None:
        """The cursor behind the last row that is shown; None where no row is left."""
        if len(found) <= self.limit:
            return None
        last = place(found[self.limit - 1])
        return self.cursors.make(self.of, last if isinstance(last, tuple) else (last,))


@may_refuse(BAD_CURSOR)
async def page_asked(
    request: Request,
    cursor: Annotated[
        str | None,
        Query(
            pattern="^[A-Za-z0-9_-]+$",
            max_length=CURSOR_MAX,
            description="`cursor` of the page before; none: the first",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items at most")] = LIMIT,
) -> PageAsked:
    """The page that a request asks for, for handlers."""
    cursors = cast(Cursors, request.app.state.cursors)
    return PageAsked(limit, cursor, cursors, str(request.scope["route"].path))


Asked = Annotated[PageAsked, Depends(page_asked)]


def _bad() -> Refusal:
    why = {"field": "query.cursor", "problem": "no cursor of this list", "kind": "bad_cursor"}
    return BAD_CURSOR("use the cursor of the page before, as it is", errors=[why])
