"""From one map to the next: which areas change, what vanishes, who takes over, and the events that say so."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from services.routing import problems
from services.routing.domain import Area, ancestors
from services.routing.store import responsibilities, routes
from services.routing.usecases.grounds import Moved
from shared.events.area_changed import AREA_CHANGED, AreaChanged
from shared.kit.areas import KnownArea
from shared.kit.areas import store as known_store
from shared.kit.areas.store import KeptArea
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.refusals import Refusal

SHOWN_MAX = 500


@dataclass(frozen=True, slots=True)
class Succession:
    """One line of a mapping: `share` of the old area's ground that the new one has; the largest is preferred."""

    old_code: str
    new_code: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line of the mapping; lines count from 1."""

    line: int
    code: str
    problem: str


@dataclass(frozen=True, slots=True)
class Takeover:
    """What an activation changes. `vanishing`: areas in force that the new map lacks, each with its successors;
    `moved`: those that it has elsewhere.
    """

    changed: tuple[KeptArea, ...]
    vanishing: tuple[KnownArea, ...]
    faults: tuple[Fault, ...] = field(default=())
    moved: tuple[Moved, ...] = field(default=())

    @property
    def unsettled(self) -> list[str]:
        """Codes that vanish and that nobody takes over."""
        return [area.code for area in self.vanishing if not area.successors]


async def plan(
    conn: Connection, areas: Iterable[Area], mapping: Sequence[Succession], moved: Sequence[Moved] = ()
) -> Takeover:
    """What a map of these areas changes now; inside the activation's transaction it stays so.

    `moved`: codes of the map in force that stand for other ground on this one.
    """
    known = {area.code: area for area in areas}
    coming = {
        code: KnownArea(code, area.level.value, tuple(above.code for above in ancestors(known, area)), True)
        for code, area in known.items()
    }
    kept = {one.area.code: one for one in await known_store.since(conn, 0)}
    vanishing = {code: one.area for code, one in kept.items() if one.area.in_force and code not in coming}
    faults = faults_of(mapping, vanishing, coming, {one.code for one in moved})
    successors = _preferred(mapping)
    leaving = [
        replace(area, in_force=False, successors=successors.get(code, ())) for code, area in sorted(vanishing.items())
    ]
    changed = [
        KeptArea(area, kept[area.code].version + 1 if area.code in kept else 1)
        for area in (*coming.values(), *leaving)
        if area.code not in kept or kept[area.code].area != area
    ]
    return Takeover(tuple(changed), tuple(leaving), tuple(faults), tuple(moved))


def faults_of(
    mapping: Sequence[Succession],
    vanishing: Mapping[str, KnownArea],
    coming: Mapping[str, KnownArea],
    moved: Container[str] = (),
) -> list[Fault]:
    """Every line that can't be followed."""
    found: list[Fault] = []
    seen: set[tuple[str, str]] = set()
    for line, one in enumerate(mapping, start=1):
        old, new = vanishing.get(one.old_code), coming.get(one.new_code)
        if (one.old_code, one.new_code) in seen:
            found.append(Fault(line, one.old_code, f"stands twice, with {one.new_code}"))
        elif old is None:
            found.append(Fault(line, one.old_code, _not_vanishing(one.old_code, coming, moved)))
        elif new is None:
            found.append(Fault(line, one.new_code, "is not on the new map"))
        elif old.level != new.level:
            found.append(Fault(line, one.old_code, f"is a {old.level}, {one.new_code} a {new.level}"))
        seen.add((one.old_code, one.new_code))
    return found


def _not_vanishing(code: str, coming: Container[str], moved: Container[str]) -> str:
    # services find what is to be carried by the code alone, and go on finding it: soon that would be the new ground's
    if code in moved:
        return (
            "stands for other ground on the new map, and nothing is carried over from a code that stays in force: "
            "give that ground a new code, or accept"
        )
    return "stays on the new map" if code in coming else "is not on the map in force"


def check(takeover: Takeover, *, accept: bool) -> None:
    """Raises the 422 `invalid_mapping` with every faulty line, or 409s unless that is accepted: `areas_vanish`, where
    nobody takes over, and `areas_moved`, where codes stand for other ground.
    """
    if takeover.faults:
        raise _invalid_mapping(takeover.faults)
    if takeover.unsettled and not accept:
        raise problems.AREAS_VANISH(
            "name their successors in a mapping, or accept that what is kept under these codes stays there",
            total=len(takeover.unsettled),
            codes=takeover.unsettled[:SHOWN_MAX],
        )
    if takeover.moved and not accept:
        raise problems.AREAS_MOVED(
            "give the new ground new codes, or accept that what is kept under these codes goes with them",
            total=len(takeover.moved),
            codes=[one.code for one in takeover.moved[:SHOWN_MAX]],
        )


async def carry_out(work: Work, takeover: Takeover, map_version: UUID) -> None:
    """Publish what changes and carry over what routing itself keeps by area. The caller holds the map's row."""
    await known_store.keep(work.conn, takeover.changed)
    moves = [(area.code, new) for area in takeover.vanishing for new in area.successors]
    if moves:
        await responsibilities.raise_revision(work.conn)
        await responsibilities.move(work.conn, moves)
    publish(work, takeover.changed, map_version)


def publish(work: Work, areas: Iterable[KeptArea], map_version: UUID) -> None:
    """The areas' states, with their versions."""
    for one in areas:
        work.publish(AREA_CHANGED, _body(one.area, map_version), version=one.version)


def takeover_json(takeover: Takeover) -> list[dict[str, Any]]:
    """Vanishing areas as JSON values."""
    return [
        {"code": area.code, "level": area.level, "successors": list(area.successors)} for area in takeover.vanishing
    ]


def moved_json(takeover: Takeover) -> list[dict[str, Any]]:
    """Codes that stand for other ground, as JSON values."""
    return [{"code": one.code, "level": one.level, "share": one.share} for one in takeover.moved]


async def dependents(conn: Connection, codes: Sequence[str]) -> dict[str, dict[str, int]]:
    """What routing keeps under these codes."""
    return {
        "responsibilities": await responsibilities.at(conn, codes),
        "waiting reports": await routes.at(conn, codes),
    }


def _preferred(mapping: Sequence[Succession]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[Succession]] = {}
    for one in mapping:
        found.setdefault(one.old_code, []).append(one)
    return {
        old: tuple(one.new_code for one in sorted(lines, key=lambda one: -one.share)) for old, lines in found.items()
    }


def _body(area: KnownArea, map_version: UUID) -> AreaChanged:
    # Built without validation: a map's codes were checked when it came in, and there are tens of thousands
    return AreaChanged.model_construct(
        area_code=area.code,
        level=area.level,
        path=area.path,
        in_force=area.in_force,
        successors=area.successors,
        map_version=map_version,
    )


def _invalid_mapping(faults: Sequence[Fault]) -> Refusal:
    return problems.INVALID_MAPPING(
        f"{len(faults)} lines are wrong; the map in force is as it was",
        errors=[{"line": fault.line, "code": fault.code, "problem": fault.problem} for fault in faults],
    )
