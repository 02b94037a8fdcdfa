"""The words in which a service says what its routes give to whom, in `tests/services/<name>/rights.py`.

Scopes: `any` whoever has the role; `area` where the caller's areas hold the object's grid; `city` whose areas leave
nothing out; `self` the person or company whom the object belongs to. A role that a line doesn't name gets nothing.
`company` is whoever signs as one; to `self` that is the company whose reports and riders these are.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from shared.kit.auth.principal import ROLES
from shared.kit.service import Service
from tests.support import declared

Scope = Literal["any", "area", "city", "self"]
Maker = Callable[..., Awaitable[UUID | str]]
"""Makes an object that belongs to a World, and returns its id; what follows its name in `needs` are its words."""
OFFICES = ("grid_worker", "dispatcher", "department", "verifier", "operator")


@dataclass(frozen=True)
class Line:
    """One route. `needs`: the object that it is asked about, another one for each request that may change it; its id
    fills the path.

    `body` and `query` name `{object}` where the object's id belongs. `shows`: a list, in which the object is or isn't.
    `hides`: that there is nothing is also how the route refuses.
    """

    roles: Mapping[str, Scope] = field(default_factory=dict)
    needs: str | None = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    shows: bool = False
    hides: bool = False
    public: bool = False


def to(scope: Scope, *roles: str) -> dict[str, Scope]:
    """The same scope for each of the roles."""
    return dict.fromkeys(roles, scope)


PUBLIC = Line(public=True)
COMPANY = Line(to("any", "company"))
CITY = Line(to("city", "operator"))
OPERATOR = Line(to("any", "operator"))
ANYBODY = Line(to("any", *sorted(ROLES)))
RIDER = Line(to("any", "rider"))
SENDER = Line(to("any", "rider", "company"))


@dataclass(frozen=True)
class Rights:
    """All that a service gives. `routes`: a line for each route of its own, by method and path as FastAPI has it.

    `objects`: what makes them, by the first word of a line's `needs`. `prepare`: what the service needs before it
    starts, if anything (`service.on_start`, `service.on_stop`).
    """

    routes: Mapping[str, Line]
    objects: Mapping[str, Maker] = field(default_factory=dict)
    prepare: Callable[[Service], None] = lambda _: None

    def __post_init__(self) -> None:
        needed = {line.needs.split()[0] for line in self.routes.values() if line.needs}
        if needed != set(self.objects):
            raise ValueError(f"objects that no line needs, or that nothing makes: {sorted(needed ^ set(self.objects))}")


def place_of(service: str) -> str:
    """Where a service declares its rights."""
    return f"tests/services/{service}/rights.py"


def rights_of(service: str) -> Rights:
    """What a service's own tests declare.

    Raises:
        LookupError: they declare nothing.
    """
    found = declared(service, "rights", "RIGHTS")
    if found is None:
        raise LookupError(f"{place_of(service)} is missing: it says who gets what of {service}")
    assert isinstance(found, Rights)
    return found


OF_ALL = {
    "GET /ops/{service}/status": CITY,
    "GET /ops/{service}/keys": CITY,
    "POST /ops/{service}/keys/reseal": CITY,
    "GET /ops/{service}/dead-letters": CITY,
    "GET /ops/{service}/dead-letter-ranges": CITY,
    "GET /ops/{service}/dead-letters/{letter_id}": CITY,
    "POST /ops/{service}/dead-letters/replay": Line(to("city", "operator"), body={"ids": [], "reason": "a test"}),
    "POST /ops/{service}/dead-letters/discard": Line(to("city", "operator"), body={"ids": [1], "reason": "a test"}),
    "POST /ops/{service}/areas/dependents": CITY,
    "POST /ops/{service}/recount": CITY,
    "GET /ops/{service}/states": CITY,
    "POST /ops/{service}/states/publish": CITY,
    "GET /ops/{service}/erasures": CITY,
    "GET /ops/{service}/erasures/{rider_id}": CITY,
    "GET /ops/{service}/outbox/stuck": CITY,
    "POST /ops/{service}/outbox/stuck/retry": CITY,
    "POST /ops/{service}/outbox/stuck/discard": CITY,
    "GET /ops/{service}/standing": CITY,
    "POST /ops/{service}/standing/bury": CITY,
    "POST /ops/{service}/standing/retry": CITY,
    "GET /ops/{service}/readyz": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /startupz": PUBLIC,
}
"""Of every service that has them."""


def table_of(service: str, rights: Rights) -> dict[str, Line]:
    """Each route that a service may have: those of all, and its own."""
    return {key.replace("{service}", service): line for key, line in OF_ALL.items()} | dict(rights.routes)
