"""What stays in each table that grows with reports, in a city and in a country, and whether deletes keep up.

Rows a report and ages are declared (kit/postgres/retention.py, services/*/retention.py); bytes a row and the sweeper's
pace come from build/bench.json.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.devtools.aged.load import HEARD
from shared.devtools.capacity.model import DAYS_KEPT, PLACES, Place
from shared.devtools.gen.files import ROOT, table
from shared.kit.postgres.retention import KIT_TABLES, Table, Way
from shared.provision.services import service_names, tables_of

SWEPT_PER_S_LEAST = 4_000.0
"""Rows a second that a sweeper deletes even on a slow machine, pauses included: tests/kit/postgres/test_sweeping.py."""
SWEEPING_PODS = 1
"""Of each service: the one whose relay leads."""
DAY_S = 86_400.0
GIB = 1024**3
# Tables of the kit are in every schema; how often a report brings what they declare depends on whose it is.
TIMES: Mapping[str, Mapping[str, float]] = {
    "inbox": HEARD,
    "inbox_derived": {"intake": 1.0},
    "request_ids": {"intake": 1.0},
    "idempotency_keys": {"rewards": 0.02},
}
# Rows that are deleted together with those of another table, by the foreign key.
FOLLOWED = {"delivery_attempts": "deliveries"}
NEVER, DROPPED, DELETED = "never", "by partitions", "by deletes"


@dataclass(frozen=True)
class Kept:
    """A table of a service. `days`: how long a row stays; None: for good. `shrinks`: how."""

    service: str
    table: str
    per_report: float
    days: float | None
    shrinks: str

    @property
    def name(self) -> str:
        """As in SQL."""
        return f"{self.service}.{self.table}"

    def rows(self, place: Place) -> float:
        """How many there are; of a table that never shrinks after a year."""
        return place.per_day * self.per_report * (DAYS_KEPT if self.days is None else self.days)

    def deletes_per_s(self, place: Place) -> float:
        """What must be deleted so that it grows no longer, over the day's mean: a backlog may wait for the night."""
        return place.per_day * self.per_report / DAY_S if self.shrinks == DELETED else 0.0


def kept() -> list[Kept]:
    """Every table that reports make grow, the largest in a country first."""
    found = []
    for service in service_names(ROOT):
        for whole in KIT_TABLES:
            for part in (whole, *(one for one in whole.swept if one is not whole)):
                times = TIMES.get(part.name, {}).get(service, 0.0)
                found.append(_of(service, part, whole.per_report * times, whole))
        own = tables_of(service)
        found += [_of(service, one, one.per_report, _leader(one, own)) for one in own]
    growing = [one for one in found if one is not None and one.per_report > 0]
    return sorted(growing, key=lambda one: (-one.rows(PLACES[-1]), one.name))


def _leader(table: Table, own: Sequence[Table]) -> Table:
    """The table whose age decides: of rows that follow another one's, that one."""
    return next((one for one in own if one.name == FOLLOWED.get(table.name)), table)


def _of(service: str, table: Table, per_report: float, leader: Table) -> Kept | None:
    """None for what the work itself removes at once."""
    if leader.way is Way.DRAINED:
        return None
    if leader.way is Way.STAYS:
        return Kept(service, table.name, per_report, None, NEVER)
    if table.sweep is not None or (leader is not table and leader.sweep is not None):
        sweep = table.sweep or leader.sweep
        assert sweep is not None
        return Kept(service, table.name, per_report, sweep.after.total_seconds() / DAY_S, DELETED)
    if table.days is not None:
        # the day that has begun, and the one that is waited for
        return Kept(service, table.name, per_report, table.days.after.total_seconds() / DAY_S + 2, DROPPED)
    return Kept(service, table.name, per_report, None, NEVER)


def deletes(tables: Iterable[Kept], place: Place) -> dict[str, float]:
    """Deletes a second that each service's sweeper must manage, over all its tables."""
    needed: dict[str, float] = {}
    for one in tables:
        if (rate := one.deletes_per_s(place)) > 0:
            needed[one.service] = needed.get(one.service, 0.0) + rate
    return needed


def behind(tables: Iterable[Kept], place: Place, swept_per_s: float) -> list[str]:
    """Services whose sweeper would not keep up, in words."""
    able = swept_per_s * SWEEPING_PODS
    return [
        f"{service} must delete {rate:,.0f} rows a second, and its sweeper manages {able:,.0f}"
        for service, rate in sorted(deletes(tables, place).items())
        if rate > able
    ]


def _count(rows: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rows >= size:
            return f"{rows / size:,.1f} {unit}"
    return f"{rows:,.0f}"


def _line(one: Kept, row_bytes: Mapping[str, float], mean: float) -> list[str]:
    size = row_bytes.get(one.name)
    held = [
        f"{_count(one.rows(place))} / {one.rows(place) * (size or mean) / GIB:,.1f}{'' if size else ' ≈'}"
        for place in PLACES
    ]
    days = "for good" if one.days is None else f"{one.days:g} days" if one.days >= 1 else f"{one.days * 24:g} hours"
    rate = one.deletes_per_s(PLACES[-1])
    return [f"`{one.name}`", f"{one.per_report:g}", days, *held, one.shrinks, f"{rate:,.0f}" if rate else "–"]


def section(bench: Mapping[str, Any]) -> str:
    """The page's section. Without a measured pace it calculates with the least that the tests ask for."""
    storage = bench.get("storage", {})
    row_bytes: Mapping[str, float] = storage.get("bytes_per_row", {})
    rows = sum(storage.get("rows_per_report", {}).values())
    mean = sum(storage.get("bytes_per_report", {}).values()) / rows if rows else 0.0
    tables = kept()
    names = " | ".join(place.name for place in PLACES)
    head = f"| table | rows a report | kept | {names} | shrinks | deletes/s, country |"
    lines = table(head, (_line(one, row_bytes, mean) for one in tables))
    return "\n".join([_words(mean), lines, _pace(bench, tables)])


def _words(mean: float) -> str:
    return (
        "Tables that grow with reports: rows / GiB, indexes included, once as many leave as come; of those that never\n"
        f"shrink after {DAYS_KEPT} days. ≈: the run did not fill the table, so a row counts as the mean of all,\n"
        f"{mean:.0f} bytes.\n"
    )


def _pace(bench: Mapping[str, Any], tables: Sequence[Kept]) -> str:
    place = PLACES[-1]
    measured = bench.get("sweep_rows_per_s")
    swept_per_s = float(measured or SWEPT_PER_S_LEAST)
    pace = (
        f"A sweeper deleted {swept_per_s:,.0f} rows a second of the table of which it deletes most, its pauses\n"
        f"included: {swept_per_s / bench['yardstick']['y_tps']:.1f} times the yardstick's transactions."
        if measured
        else f"The run did not measure the sweeper; calculated with {swept_per_s:,.0f} rows a second."
    )
    most_first = sorted(deletes(tables, place).items(), key=lambda one: -one[1])
    needed = ", ".join(f"{name} {rate:,.0f}" for name, rate in most_first)
    late = behind(tables, place, swept_per_s)
    verdict = "".join(f"\n**{line}: it falls behind.**\n" for line in late) or "All keep up.\n"
    return (
        f"{pace} One pod of a service sweeps, with half of one connection's time, however many there are.\n"
        f"Deletes a second that a country needs, by service: {needed}. {verdict}"
    )
