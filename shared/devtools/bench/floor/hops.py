"""What a bare hop does with a batch: the services' own statements with plain values, and nothing around them.

The statements are the stores' constants, found by name at run time: whoever changes a statement changes the floor with
it, and whoever renames one finds it missing here. What each hop decides is as little as leaves the same rows behind:
every report lies in a grid, opens a case of its own and earns its kind's points. Nothing is validated beyond JSON,
nothing is refused, measured or traced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from shared.catalog import Catalogue
from shared.devtools.gen.modules import service_module
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_received import REPORT_RECEIVED
from shared.events.report_routed import REPORT_ROUTED
from shared.geo.index import PolygonIndex
from shared.kit.ids import new_id
from shared.synthetic.city import city

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
OutboxValues = tuple[UUID, str, str, int, datetime, None, bytes, None, None]
"""The values of shared.kit.messaging.work.SQL_ENTER_OUTBOX."""
RADIUS_M, HOURS = 30.0, 48.0
"""As cases' own `duplicate_radius_m_max` is delivered."""
ATTEMPTS_ALLOWED = 8


@dataclass(slots=True, eq=False)
class Came:
    """One record: what its headers and its JSON say, as they say it."""

    event_id: str
    version: int
    occurred_at: datetime
    body: dict[str, Any]


class Take(Protocol):
    """Lets a batch take effect in the transaction of `conn`: the rows of its outbox. Raises what Postgres raises."""

    async def __call__(self, conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]: ...


@dataclass(frozen=True)
class Hop:
    """One subscription of a service. `topic`: without the installation's prefix."""

    service: str
    topic: str
    take: Take


@cache
def part(service: str, name: str) -> ModuleType:
    """A module of a service.

    Raises:
        LookupError: there is none of that name any more.
    """
    found = service_module(service, name)
    if found is None:
        raise LookupError(f"services.{service}.{name}: the floor follows the services, and this part has gone")
    return found


def outgoing(topic: str, key: str, version: int, now: datetime, body: dict[str, Any]) -> OutboxValues:
    """An event's row."""
    return new_id(), topic, key, version, now, None, orjson.dumps(body, default=str), None, None


class Routing:
    """A report finds its grid."""

    def __init__(self) -> None:
        self._store = part("routing", "store.routes")
        areas = {area.code: area for area in city()}
        self._grids = [area for area in areas.values() if area.level == "grid"]
        self._index = PolygonIndex([grid.polygon for grid in self._grids])
        self._paths = {}
        for grid in self._grids:
            path, code = [], grid.parent_code
            while code is not None:
                path.append(code)
                code = areas[code].parent_code
            self._paths[grid.code] = path[::-1]

    async def take(self, conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
        """One look for known reports, one copy."""
        bodies = [one.body for one in came]
        places = [[body[name] for body in bodies] for name in ("lng", "lat", "accuracy_m")]
        near = self._index.candidates(*places)
        await conn.fetch(self._store.SQL_KNOWN, [body["report_id"] for body in bodies])
        routes, rows = [], []
        for body, numbers in zip(bodies, near, strict=True):
            grid = self._grids[numbers[0]]
            others = [self._grids[number].code for number in numbers[1:]]
            routes.append((body["report_id"], 1, "routed", None, grid.code, others, None, None, now, None))
            del body["external_id"]
            body |= {
                "outcome": "routed", "reason": None, "grid_code": grid.code, "grid_name": grid.name,
                "area_path": self._paths[grid.code], "alternatives": others, "department": None,
            }  # fmt: skip
            rows.append(outgoing(REPORT_ROUTED.name, body["report_id"], 1, now, body))
        await conn.copy_records_to_table("routes", records=routes, columns=self._store.SQL_ENTER_ROUTES.names)
        return rows


class Cases:
    """A report opens a case; the look for one that it belongs to is made, and its answer ignored."""

    def __init__(self) -> None:
        self._store, self._domain = part("cases", "store"), part("cases", "domain")
        self._catalogue = Catalogue.load()

    async def take(self, conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
        """Three looks under the places' locks, three copies."""
        store, domain = self._store, self._domain
        bodies = [one.body for one in came]
        reaches = [domain.reach_of(body["lng"], body["lat"], RADIUS_M) for body in bodies]
        locks = {(body["kind"], cell) for body, reach in zip(bodies, reaches, strict=True) for cell in reach.cells}
        wanted = [
            (number, body["kind"], cell, *reach[:4], body["lng"], body["lat"], _seen_at(body))
            for number, (body, reach) in enumerate(zip(bodies, reaches, strict=True))
            for cell in reach.cells
        ]
        await conn.fetch(store.SQL_KNOWN_REPORTS, [body["report_id"] for body in bodies])
        await conn.execute(store.SQL_LOCK_PLACES, sorted(domain.place_lock(*place) for place in locks))
        await conn.fetch(store.SQL_CANDIDATES, HOURS, *zip(*wanted, strict=True))
        cases, reports, steps, rows = [], [], [], []
        for body in bodies:
            id_ = new_id()
            cases.append(self._case(id_, body, now))
            reports.append((body["report_id"], id_, 1, 1, body["rider_id"], body["company"], body["text"], ()))
            steps.append((id_, 1, "opened", "open", None, None, None, body["report_id"], "", now))
            rows.append(self._case_changed(id_, body, cases[-1], now))
        await conn.copy_records_to_table("cases", records=cases, columns=store.SQL_ENTER_CASES.names)
        await conn.copy_records_to_table("case_reports", records=reports, columns=store.SQL_ENTER_REPORTS.names)
        await conn.copy_records_to_table("steps", records=steps, columns=store.SQL_ENTER_STEPS.names)
        return rows

    def _case(self, id_: UUID, body: dict[str, Any], now: datetime) -> tuple[Any, ...]:
        kind = self._catalogue.kind(body["kind"], now)
        due_at = now + timedelta(hours=24 if kind is None else kind.limit_hours)
        lng, lat, seen_at = body["lng"], body["lat"], _seen_at(body)
        return (id_, 1, "open", True, body["kind"], body["level"], body["grid_code"], body["alternatives"], None,
                lng, lat, self._domain.cell_of(lng, lat), seen_at, now, due_at, now, 1)  # fmt: skip

    @staticmethod
    def _case_changed(id_: UUID, body: dict[str, Any], case: tuple[Any, ...], now: datetime) -> OutboxValues:
        event = {
            "case_id": id_, "state": "open", "transition": "opened", "kind": body["kind"], "level": body["level"],
            "grid_code": body["grid_code"], "alternatives": body["alternatives"], "department": None,
            "lng": body["lng"], "lat": body["lat"],
            "report": {"report_id": body["report_id"], "rider_id": body["rider_id"], "company": body["company"],
                       "ordinal": 1},
            "report_count": 1, "actor": None, "note": "", "changed_at": now, "opened_at": now, "due_at": case[14],
        }  # fmt: skip
        return outgoing(CASE_CHANGED.name, str(id_), 1, now, event)


class Points:
    """A case's report earns its kind's points: a hold, an entry, a balance, a day's sum."""

    def __init__(self) -> None:
        self._ledger, self._cases = part("points", "store.ledger"), part("points", "store.cases")
        self._catalogue = Catalogue.load()

    async def take(self, conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
        """The ledger's looks under the accounts' locks, two copies, two updates. Each rider reports once a batch."""
        ledger, today = self._ledger, now.date()
        bodies = [one.body for one in came]
        ordered = sorted((one.body["case_id"], one.body["grid_code"], one.version) for one in came)
        await conn.fetch(self._cases.SQL_LOCK_CASES, *zip(*ordered, strict=True))
        riders = [body["report"]["rider_id"] for body in bodies]
        accounts = {str(row[0]): row for row in await conn.fetch(ledger.SQL_LOCK_ACCOUNTS.text, riders)}
        await conn.fetch(ledger.SQL_HOLDS.text, [body["report"]["report_id"] for body in bodies])
        await conn.fetch(ledger.SQL_EARNINGS.text, riders, [today] * len(riders))
        holds, entries, moved, earned, rows = [], [], [], [], []
        for body in bodies:
            report, amount = body["report"], self._points(body["kind"], now)
            rider, report_id = report["rider_id"], report["report_id"]
            _, version, pending, available, reserved, *_ = accounts[rider]
            entry_id = new_id()
            holds.append((report_id, "report", rider, body["case_id"], body["kind"], amount, "held", None,
                          report["company"], now, None, 1, None, None, None, False, None))  # fmt: skip
            entries.append(
                (rider, version + 1, 0, entry_id, report_id, "held", "issuance", "pending", amount, now, None)
            )
            moved.append((rider, version + 1, pending + amount, available, reserved, version))
            earned.append((rider, today, body["kind"], body["grid_code"], amount, 1))
            event = {
                "rider_id": rider, "entry_id": entry_id, "movement": "held", "source": "report",
                "source_id": report_id, "case_id": body["case_id"], "company": report["company"],
                "grid_code": body["grid_code"], "amount": amount, "reason": None, "pending": pending + amount,
                "available": available, "changed_at": now,
            }  # fmt: skip
            rows.append(outgoing(ACCOUNT_CHANGED.name, rider, version + 1, now, event))
        await conn.copy_records_to_table("holds", records=holds, columns=ledger.SQL_ENTER_HOLDS.names)
        await conn.copy_records_to_table("entries", records=entries, columns=ledger.SQL_ENTER_ENTRIES.names)
        await conn.execute(ledger.SQL_MOVE_ACCOUNTS, *zip(*moved, strict=True))
        await conn.execute(ledger.SQL_ADD_EARNINGS, *zip(*earned, strict=True))
        return rows

    def _points(self, kind: str, now: datetime) -> int:
        found = self._catalogue.kind(kind, now)
        return 1 if found is None else found.points


async def deliver(conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
    """Held points become a line in the rider's inbox: one statement."""
    wanted = [
        (one.body["rider_id"], one.event_id, "points", "report_accepted", _params(one.body), one.occurred_at, None)
        for one in came
    ]
    store = part("notifications", "store.messages")
    await conn.execute(store.SQL_DELIVER, ATTEMPTS_ALLOWED, now, *zip(*wanted, strict=True))
    return []


def _params(body: dict[str, Any]) -> str:
    params = {name: body[name] for name in ("amount", "case_id", "pending", "grid_code")}
    return orjson.dumps({**params, "report_id": body["source_id"]}).decode()


async def reporters(conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
    """Notifications remembers who reported a case: one statement."""
    wanted = [
        (one.body["case_id"], report["company"], 1, report["rider_id"], report["report_id"])
        for one in came
        if (report := one.body["report"])
    ]
    await conn.execute(part("notifications", "store.reporters").SQL_ADD, now, *zip(*wanted, strict=True))
    return []


async def photos(conn: Connection, now: datetime, came: Sequence[Came]) -> list[OutboxValues]:
    """Intake remembers where a photographed report's case is; none of the benchmark has a photo. Two statements."""
    store = part("intake", "store.photos")
    entered = [(one.body["report"]["report_id"], one.body["case_id"]) for one in came]
    where = [(one.body["case_id"], one.version, one.body["grid_code"]) for one in came]
    await conn.execute(store.SQL_PHOTOS_ENTER_CASES, *zip(*entered, strict=True))
    await conn.execute(store.SQL_PHOTOS_FOLLOW_CASES, *zip(*where, strict=True))
    return []


def _seen_at(body: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(body["occurred_at"])


def hops() -> list[Hop]:
    """All subscriptions that an event has in the five services of the benchmark."""
    return [
        Hop("routing", REPORT_RECEIVED.name, Routing().take),
        Hop("cases", REPORT_ROUTED.name, Cases().take),
        Hop("points", CASE_CHANGED.name, Points().take),
        Hop("notifications", ACCOUNT_CHANGED.name, deliver),
        Hop("notifications", CASE_CHANGED.name, reporters),
        Hop("intake", CASE_CHANGED.name, photos),
    ]
