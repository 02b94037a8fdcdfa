"""The tree of areas as a service knows it: what lies in what, and which grids the map in force has. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from shared.events.common import AreaLevel
from shared.geo import codes


@dataclass(frozen=True, slots=True)
class KnownArea:
    """One area. `path`: the codes above it, the largest first; `successors`: who took over one that is out of force."""

    code: str
    level: AreaLevel
    path: tuple[str, ...]
    in_force: bool
    successors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaTree:
    """Answers what covers what. Immutable: a request or a batch takes one tree and asks it throughout.

    An area that went out of force keeps its last place, and lies in the areas that took it over, too: what is still
    kept under its code stays its office's and is its successor's. Grids that took over a grid lie in that one, and in
    those areas above it that are out of force as well.
    Without any map the national numbering decides, level by level; a code of another form then covers itself only.
    """

    areas: Mapping[str, KnownArea] = field(default_factory=dict)
    roots: frozenset[str] = frozenset()
    """Areas in force that nothing stands above."""
    _lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _below: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def of(areas: Iterable[KnownArea]) -> "AreaTree":
        """The tree of these areas."""
        known = {area.code: area for area in areas}
        inherited = _predecessors(known)
        paths: dict[tuple[str, ...], tuple[str, ...]] = {}  # grids of one community share one tuple
        lines: dict[str, tuple[str, ...]] = {}
        below: dict[str, list[str]] = {}
        found: dict[str, tuple[str, ...]] = {}
        for area in known.values():
            heirs = _heirs_of(area.code, known, found)
            own = tuple(dict.fromkeys((*area.path, *inherited.get(area.code, ()), *heirs)))
            lines[area.code] = above = paths.setdefault(own, own)
            for code in {*above, area.code}:
                below.setdefault(code, []).append(area.code)
        roots = frozenset(area.code for area in known.values() if area.in_force and not area.path)
        return AreaTree(known, roots, lines, {code: tuple(lying) for code, lying in below.items()})

    @property
    def vanished(self) -> bool:
        """Whether an area went out of force."""
        return any(not area.in_force for area in self.areas.values())

    @property
    def known(self) -> bool:
        """Whether there is or was a map."""
        return bool(self.areas)

    def line(self, code: str) -> tuple[str, ...]:
        """The codes of all areas that cover this one, itself last."""
        if (above := self._lines.get(code)) is not None:
            return (*above, code)
        return (code,) if self.known else (*codes.above(code), code)

    def covers(self, area: str, code: str) -> bool:
        """Whether the area of that code lies in `area`, or is it."""
        return area == code or area in self.line(code)

    def below(self, areas: Collection[str]) -> frozenset[str]:
        """The codes of these areas and of all that lie in them, as far as they are known."""
        return frozenset(areas).union(*(self._below.get(area, ()) for area in areas))

    def has_grid(self, code: str) -> bool:
        """Whether the map in force has a grid of that code."""
        found = self.areas.get(code)
        return found is not None and found.in_force and found.level == "grid"

    def is_whole(self, areas: Collection[str]) -> bool:
        """Whether these areas are all of the city; never without a map."""
        return bool(self.roots) and all(any(self.covers(area, root) for area in areas) for root in self.roots)


NO_MAP = AreaTree()


def _predecessors(known: Mapping[str, KnownArea]) -> dict[str, tuple[str, ...]]:
    """Grid → what vanished of that which covered the grids whose ground it took over, and these grids.

    Only grids: whoever had a district that became part of a larger one has its ground, not the larger one. And only
    what is out of force: an office that is still there has what the map gives it, not all of a neighbour's grid since
    that took over a sliver of one of its own.
    """
    found: dict[str, list[str]] = {}
    for area in known.values():
        if area.level == "grid" and not area.in_force:
            gone = [code for code in area.path if (above := known.get(code)) is not None and not above.in_force]
            for successor in area.successors:
                found.setdefault(successor, []).extend((*gone, area.code))
    return {code: tuple(dict.fromkeys(line)) for code, line in found.items()}


def _heirs_of(code: str, known: Mapping[str, KnownArea], found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Whoever took an area over, in turn, each with what stands above it; `found` keeps answers by code.

    One that nobody took over by itself went with the nearest area above that was. Not what the successors have of
    others that they took over.
    """
    if code not in found:
        found[code] = ()  # should areas name each other, the first look ends it
        heirs: list[str] = []
        for successor in _successors(code, known):
            if (area := known.get(successor)) is not None:
                heirs += (*area.path, successor, *_heirs_of(successor, known, found))
        found[code] = tuple(dict.fromkeys(heirs))
    return found[code]


def _successors(code: str, known: Mapping[str, KnownArea]) -> tuple[str, ...]:
    area = known.get(code)
    if area is None or area.in_force:
        return ()
    above = (known[one] for one in reversed(area.path) if one in known)
    return next((one.successors for one in (area, *above) if not one.in_force and one.successors), ())
