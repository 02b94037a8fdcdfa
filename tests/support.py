"""What tests of any service need: events as a consumer hands them on, a unit of work as a use case gets it, empty
tables, what was published, settings, and the service itself in this process.
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Any, TypeVar, overload
from uuid import UUID, uuid5

import asyncpg
import httpx
import orjson
import pytest

from shared.devtools.gen.modules import service_module
from shared.devtools.gen.settings_doc import settings_class
from shared.devtools.installation import Installation
from shared.events.company_changed import COMPANY_CHANGED, CompanyChanged
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.events.topic import EventModel, Topic
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Gone, Record, Work, begin, insert_outbox
from shared.kit.postgres.db import Connection, Pool
from shared.kit.service import Service
from shared.kit.settings import KitSettings
from shared.provision.postgres import owner_role

COMPANY = "sf-express"
"""Whose riders these are, where a test says nothing else."""
OF_EVERY_SERVICE = ("counters", "dead_letters", "erased_riders", "outbox")
PATIENCE_S = 20.0
PAUSE_S = 0.03
SQL_PUBLISHED = """
SELECT topic, version, key, payload FROM outbox
WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR key = $2) ORDER BY id
"""
_SPACE = UUID(int=7)
_OFFSETS = count()
T = TypeVar("T")
What = str | Callable[[], object]
UseCase = Callable[[Work, Sequence[Event[Any]]], Awaitable[Any]]


def declared(service: str, file: str, name: str) -> Any:
    """What a service's tests say in tests/services/<service>/<file>.py under a name; None where they say nothing."""
    folder = f"tests.services.{service}"
    if find_spec(folder) is None or find_spec(f"{folder}.{file}") is None:
        return None
    return getattr(import_module(f"{folder}.{file}"), name, None)


# --- what a service hears ---------------------------------------------------------------------------------------------


def event_of(
    topic: Topic[Any], body: EventModel, version: int = 1, *, at: datetime | None = None, company: str | None = None
) -> Event[Any]:
    """An event as the consumer hands it on. `at`: when it happened, or now. `company`: whose inbound topic it is."""
    key = topic.key_of(body)
    return Event(new_id(), body, key, version, at or clock.now(), _record(topic, key, company), company)


def rider_id(number: str, company: str = COMPANY) -> UUID:
    """The id of a company's rider."""
    return uuid5(_SPACE, f"{company}/{number}")


def rider_is(rider: str | UUID = "r1", version: int = 1, **values: Any) -> Event[RiderChanged]:
    """A state of a rider, by their id or their company's number: they may report, unless `values` say otherwise."""
    company = values.pop("company", COMPANY)
    number = rider if isinstance(rider, str) else "r1"
    usual: dict[str, Any] = {"kind": "courier", "consent": True, "locale": "zh", "active": True}
    usual |= {"rider_id": _id_of(rider, company), "company": company, "external_id": number}
    return event_of(RIDER_CHANGED, RiderChanged.model_validate(usual | values), version)


def rider_gone(rider: str | UUID = "r1", version: int = 1) -> Gone:
    """The tombstone that ends a rider's states."""
    key = str(_id_of(rider, COMPANY))
    return Gone(new_id(), None, key, version, clock.now(), _record(RIDER_CHANGED, key, None))


def company_is(code: str = COMPANY, version: int = 1, **values: Any) -> Event[CompanyChanged]:
    """A state of a company: active and without keys, unless `values` say otherwise."""
    usual: dict[str, Any] = {"company_id": uuid5(_SPACE, code), "code": code, "name": code, "active": True, "keys": ()}
    return event_of(COMPANY_CHANGED, CompanyChanged.model_validate(usual | values), version)


def _id_of(rider: str | UUID, company: str) -> UUID:
    return rider if isinstance(rider, UUID) else rider_id(rider, company)


def _record(topic: Topic[Any], key: str, company: str | None) -> Record:
    name = topic.member(company or "")
    return Record(name, 0, next(_OFFSETS), key.encode(), b"", ())


# --- what it does with it ---------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def work_on(where: Pool | Connection) -> AsyncIterator[Work]:
    """A unit of work as the kit makes it: one transaction, at whose end the outbox gets what was published.

    On a connection that is in a transaction already it is a part of that one.
    """
    async with contextlib.AsyncExitStack() as stack:
        conn = where if isinstance(where, asyncpg.Connection) else await stack.enter_async_context(where.acquire())
        await stack.enter_async_context(conn.transaction())
        work = await begin(conn)
        yield work
        await insert_outbox(conn, work.rows)


async def hear(where: Pool | Connection, use_case: UseCase, *events: Event[Any]) -> Work:
    """Hands one batch to a use case, as the consumer of its topic does; the unit of work, for its `rejections`."""
    async with work_on(where) as work:
        await use_case(work, events)
    return work


async def published(pool: Pool, topic: Topic[Any] | None = None, key: object = None) -> list[dict[str, Any]]:
    """What stands in the outbox, in its order: each event's body with its `version` and its `key`.

    A tombstone has no body. Where a relay runs, the rows leave.
    """
    name, of = topic.name if topic else None, None if key is None else str(key)
    return [
        {"version": row["version"], "key": row["key"], **orjson.loads(row["payload"] or b"{}")}
        for row in await pool.fetch(SQL_PUBLISHED, name, of)
    ]


SQL_REFUSALS = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE tgrelid = ANY($1::text[]::regclass[]) AND NOT tgisinternal AND tgfoid IN (
    SELECT oid FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'refuse\\_%')
"""


@contextlib.asynccontextmanager
async def owner_of(installation: Installation, service: str) -> AsyncIterator[Connection]:
    """A connection of the role that owns a service's schema: it may do what the service's own role may not."""
    conn = await asyncpg.connect(installation.dsn(service, owner_role))
    try:
        yield conn
    finally:
        await conn.close()


async def emptied(installation: Installation, service: str, *tables: str) -> None:
    """Takes away what other tests have left: of these tables, and of those that every service has."""
    async with owner_of(installation, service) as owner:
        await truncate(owner, *OF_EVERY_SERVICE, *tables)


async def truncate(owner: Connection, *tables: str) -> None:
    """Empty tables, also those that refuse to be emptied."""
    async with owner.transaction(), unlocked(owner, *tables):
        await owner.execute(f"TRUNCATE {', '.join(tables)} CASCADE")


@contextlib.asynccontextmanager
async def unlocked(owner: Connection, *tables: str) -> AsyncIterator[None]:
    """Without what refuses an owner's changes of these tables; inside a transaction."""
    names = await owner.fetch(SQL_REFUSALS, list(tables))
    for table, trigger in names:
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    yield
    for table, trigger in names:
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")


# --- the service in this process --------------------------------------------------------------------------------------


def settings_of(installation: Installation, service: str, **changed: Any) -> Any:
    """Settings as a process of the service reads them, of the service's own class."""
    environment = installation.environment(service).items()
    values = {
        name.removeprefix("BEEGRID_").lower(): value for name, value in environment if name.startswith("BEEGRID_")
    }
    found = settings_class(service).model_validate({**values, **changed})
    assert isinstance(found, KitSettings)
    return found


def service_of(installation: Installation, service: str, **changed: Any) -> Service:
    """The service as its app.py builds it. `changed`: settings."""
    module = service_module(service, "app")
    assert module is not None, f"services/{service}/app.py is missing"
    made = module.build(settings_of(installation, service, **changed))
    assert isinstance(made, Service)
    return made


@contextlib.asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The running service, and a client that calls its routes without a server between. A route's error is a 500.

    Fails at its end where a route refused with a problem that its `refuses` doesn't name: no client knows of it.
    """
    app, undeclared = service.app(), set[str]()
    app.state.undeclared = lambda route, code: undeclared.add(f"{route}: {code}")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as one:
        yield one
    assert not undeclared, f"put into the route's refuses=(…), with which it refused: {sorted(undeclared)}"


@overload
async def until(
    ask: Callable[[], Awaitable[T]], what: What = "it", within_s: float = ..., *, good: Callable[[T], object] = bool
) -> T: ...
@overload
async def until(
    ask: Callable[[], T], what: What = "it", within_s: float = ..., *, good: Callable[[T], object] = bool
) -> T: ...
async def until(
    ask: Callable[[], Any], what: What = "it", within_s: float = PATIENCE_S, *, good: Callable[[Any], object] = bool
) -> Any:
    """What `ask` answers, at once or awaited, as soon as it is good: as soon as it is true, if nothing else is said.

    Fails the test after `within_s` seconds. `what` is said then: what is missing, or a function that looks how far
    it has come.
    """
    deadline_s = clock.monotonic_s() + within_s
    while not good(answer := await _answer(ask)):
        if clock.monotonic_s() >= deadline_s:
            pytest.fail(_missing(await _answer(what) if callable(what) else what, within_s, answer))
        await asyncio.sleep(PAUSE_S)
    return answer


def wait_until(ask: Callable[[], T], what: What = "it", within_s: float = PATIENCE_S) -> T:
    """The same where no loop runs."""
    deadline_s = clock.monotonic_s() + within_s
    while not (answer := ask()):
        if clock.monotonic_s() >= deadline_s:
            pytest.fail(_missing(what() if callable(what) else what, within_s, answer))
        time.sleep(PAUSE_S)
    return answer


async def _answer(ask: Callable[[], Any]) -> Any:
    answer = ask()
    return await answer if inspect.isawaitable(answer) else answer


def _missing(what: object, within_s: float, answer: object) -> str:
    return f"not within {within_s:.0f} s: {what}; last answer {str(answer)[:500]}"
