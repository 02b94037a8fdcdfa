"""What routes are given: a connection to read with, and what app.py provides, each by its type.

@router.get("/v1/cases/{case_id}")
@allow(Office)
async def read_case(case_id: UUID, conn: Reading, rules: Given[Rules]) -> CaseOut: ...
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_origin

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from shared.kit.postgres.db import Connection, reading

T = TypeVar("T")


class Provided:
    """Things by their type, one of each."""

    def __init__(self) -> None:
        self._things: dict[type, Any] = {}

    def add(self, thing: object) -> None:
        """Give it to whoever asks for its type.

        Raises:
            ValueError: there is one of that type already: who asks could not say which.
        """
        if type(thing) in self._things:
            raise ValueError(f"a {type(thing).__name__} is provided already")
        self._things[type(thing)] = thing

    def get(self, kind: type[T]) -> T:
        """The thing of that type. Raises KeyError where none is provided."""
        return cast(T, self._things[kind])

    def lacks(self, routers: Iterable[APIRouter]) -> list[str]:
        """What routes ask for and nobody provides, with the path of one that does."""
        return sorted(
            f"{giving.kind.__name__} for {route.path}"
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
            for giving in _asked_by(route)
            if giving.kind not in self._things
        )


@dataclass(frozen=True)
class Giving:
    """FastAPI's dependency on one type."""

    kind: type

    async def __call__(self, request: Request) -> Any:
        """What the service of this route provides."""
        return request.app.state.service.provided.get(self.kind)


def _asked_by(route: APIRoute) -> Iterator[Giving]:
    pending = [route.dependant]
    for one in pending:
        if isinstance(one.call, Giving):
            yield one.call
        pending += one.dependencies


async def _read(request: Request) -> AsyncIterator[Connection]:
    async with reading(request.app.state.service.pool) as conn:
        yield conn


# scope: given back before the answer is sent, or a slow reader would keep it
Reading = Annotated[Connection, Depends(_read, scope="function")]
"""A connection for one route that reads, see `reading` of db.py: had before it begins, given back after it.

A route has no second one beside it (a house rule looks): with pools of two, routes would wait for each other. Who
needs it for a part of the way alone, because of something slow behind, takes `service.reading()`.
"""

if TYPE_CHECKING:
    Given = Annotated[T, "provided by app.py"]
else:

    class Given:
        """`Given[Rules]`: the one thing of that type that app.py provides; a process whose app.py doesn't won't start.

        Of generic types the bare one counts: a service has one Batcher, whatever its requests are.
        """

        def __class_getitem__(cls, kind: Any) -> Any:
            return Annotated[kind, Depends(Giving(get_origin(kind) or kind))]
