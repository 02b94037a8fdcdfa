"""Reads areas from GeoJSON, Shapefiles and zipped ones, and finds what is wrong with them, before anything is sent."""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely

from shared.cli.map_attributes import attributes
from shared.cli.map_cells import boolean, level_of, name_of, text_of
from shared.cli.map_encodings import Texts
from shared.cli.map_projections import AreaFileError, datum_warning, misplaced
from shared.cli.map_sources import AS_IS, in_degrees, map_layer, map_source
from shared.events.common import AREA_CODE
from shared.geo import codes
from shared.geo.checks import Hole, Overlap, holes, overlaps, repair
from shared.geo.circles import circles
from shared.geo.metres import square_metres

_CODE = re.compile(AREA_CODE)
# Of one request, so that it stays well below what the service takes.
CHUNK_FEATURES_MAX = 500
CHUNK_BYTES_MAX = 2_000_000
NAME_LENGTH_MAX = 200
FICTIONAL = "fictional"
"""A field that a file may have, under this name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which fields of the file are what."""

    code: str
    name: str
    parent: str | None = None
    level: str | None = None

    def named(self) -> tuple[str, ...]:
        """Those that the file must have."""
        return tuple(one for one in (self.code, self.name, self.parent, self.level) if one is not None)


@dataclass(frozen=True, slots=True)
class FileArea:
    """One area of the file, its polygon valid and in degrees."""

    code: str
    name: str
    parent_code: str | None
    level: str | None
    fictional: bool
    polygon: shapely.Geometry | None


@dataclass(frozen=True, slots=True)
class AreaFile:
    """What a file holds. `repaired` and `invalid` are (code or row, problem)."""

    areas: list[FileArea]
    crs: str | None
    reprojected: bool
    warnings: list[str]
    repaired: list[tuple[str, str]]
    invalid: list[tuple[str, str]]


@dataclass(slots=True)
class _Reading:
    crs: str | None
    projected: bool
    areas: list[FileArea] = field(default_factory=list)
    rows: dict[str, list[int]] = field(default_factory=dict)
    """Where each code stands: features from 1."""
    nameless: list[str] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)
    invalid: list[tuple[str, str]] = field(default_factory=list)


def read_areas(
    path: Path, columns: Columns, *, layer: str | None = None, encoding: str | None = None, crs: str | None = None
) -> AreaFile:
    """Read a file; polygons are repaired or listed as invalid, coordinates come out as longitude and latitude.

    Args:
        path: GeoJSON, a Shapefile or a zip of one.
        columns: which fields of the file are what.
        layer: where a file has several.
        encoding: of a Shapefile's texts: what the file says, else UTF-8 or GBK, whichever fits.
        crs: the coordinate system, e.g. EPSG:4528, instead of what the file says. It is reprojected to WGS-84,
            CGCS2000 (EPSG:4490) stays as it is; where none is stated, degrees are expected.

    Raises:
        AreaFileError: no such file, layer or field, or it isn't readable.
    """
    source = map_source(path)
    with warnings.catch_warnings(action="ignore"):  # what they say of rings is said below, with the area's code
        return _read(path, source, columns, map_layer(source, layer), encoding, crs)


def _read(path: Path, source: str, columns: Columns, layer: str, encoding: str | None, wanted: str | None) -> AreaFile:
    texts = Texts.of(path, source, layer, encoding)
    meta, geometry, values = attributes(source, layer, texts, (*columns.named(), FICTIONAL))
    if geometry is None:
        raise AreaFileError(f"{path}: a table without a map: GeoJSON, a Shapefile or a zip of one")
    crs = wanted or meta["crs"]
    reproject = crs is not None and crs not in AS_IS
    wkb = in_degrees(source, layer, wanted, meta["crs"], geometry) if reproject else geometry
    # None for what isn't a geometry yet: a ring that doesn't end where it begins
    polygons = shapely.from_wkb(wkb, on_invalid="ignore")
    if not len(polygons):
        raise AreaFileError(f"{path}: no features in it")
    reading = _Reading(crs, reproject)
    for row, polygon in enumerate(polygons, start=1):
        broken = wkb[row - 1] is not None and polygon is None
        drawn = shapely.from_wkb(wkb[row - 1], on_invalid="fix") if broken else polygon
        cells = {name: column[row - 1] for name, column in values.items()}
        _take(reading, row, cells, drawn, columns, broken=broken)
    _refuse_duplicates(reading)
    doubts = texts.doubts()
    doubts += datum_warning(str(crs)) if reproject else []
    if reading.nameless:
        shown = ", ".join(reading.nameless[:5])
        doubts.append(f"{len(reading.nameless)} without a name get their code as name: {shown}")
    return AreaFile(reading.areas, crs, reproject, doubts, reading.repaired, reading.invalid)


def check(areas: Sequence[FileArea], level: str) -> tuple[list[tuple[str, str, Overlap]], list[tuple[Hole, list[str]]]]:
    """Overlaps (two codes, the overlap) and holes (the hole, codes around) among the areas of one level."""
    drawn = [area for area in areas if area.polygon is not None and (area.level or level) == level]
    polygons = [area.polygon for area in drawn]
    return (
        [(drawn[found.first].code, drawn[found.second].code, found) for found in overlaps(polygons)],
        [(found, [drawn[number].code for number in found.neighbours]) for found in holes(polygons)],
    )


def chunks(areas: Sequence[FileArea], level: str) -> Iterator[list[dict[str, Any]]]:
    """GeoJSON features of all areas, in pieces that fit into one request; `level` of those that name none."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for area in areas:
        geometry = None if area.polygon is None else shapely.to_geojson(area.polygon)
        length = len(geometry or "") + 200
        if chunk and (len(chunk) >= CHUNK_FEATURES_MAX or size + length > CHUNK_BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        properties = {
            "code": area.code,
            "name": area.name,
            "parent_code": area.parent_code,
            "level": area.level or level,
            "fictional": area.fictional,
        }
        parsed = None if geometry is None else orjson.loads(geometry)
        chunk.append({"type": "Feature", "properties": properties, "geometry": parsed})
        size += length
    if chunk:
        yield chunk


def check_tree(areas: Sequence[FileArea], level: str) -> list[tuple[str, str]]:
    """(code, problem) of areas that a version of nothing but these would be refused for."""
    present = {area.code for area in areas}
    round_ = circles({area.code: area.parent_code for area in areas})
    problems = [(code, "is above itself: a circle of parents") for code in round_]
    for area in areas:
        if area.polygon is None and (area.level or level) == "grid":
            problems.append((area.code, "a grid needs a polygon"))
        if area.parent_code is not None and area.parent_code not in present and not _is_above(area, level):
            problems.append((area.code, f"names the parent {area.parent_code}, which isn't in the file"))
    return problems


def _is_above(area: FileArea, level: str) -> bool:
    """Whether a parent follows from the national numbering: then the service makes it, and those above it."""
    return area.parent_code == codes.parent(area.code, area.level or level)


def _take(
    reading: _Reading,
    row: int,
    values: dict[str, Any],
    polygon: shapely.Geometry | None,
    columns: Columns,
    *,
    broken: bool,
) -> None:
    """One row: an area, or a line in the list of invalid ones. `broken`: the polygon is what could be read of it."""
    for wanted in columns.named():
        if wanted not in values:
            raise AreaFileError(f"no field {wanted}; the file has {', '.join(values)}")
    try:
        code = text_of(values[columns.code])
        parent = text_of(values[columns.parent]) if columns.parent else None
        level = level_of(values[columns.level]) if columns.level else None
        fictional = boolean(FICTIONAL, values.get(FICTIONAL))
    except ValueError as bad:
        reading.invalid.append((f"row {row}", str(bad)))
        return
    if code is None or not _CODE.fullmatch(code):
        reading.invalid.append((f"row {row}", f"code {code!r} is empty or has other characters than A-Z, 0-9, - and _"))
        return
    reading.rows.setdefault(code, []).append(row)
    name = name_of(values[columns.name])
    if name is not None and len(name) > NAME_LENGTH_MAX:
        reading.invalid.append((code, f"the name has more than {NAME_LENGTH_MAX} characters"))
        return
    try:
        polygon = _usable(reading, code, polygon, broken=broken)
    except ValueError as bad:
        reading.invalid.append((code, str(bad)))
        return
    if name is None:
        reading.nameless.append(code)
    reading.areas.append(FileArea(code, name or code, parent, level, fictional, polygon))


def _usable(reading: _Reading, code: str, drawn: shapely.Geometry | None, *, broken: bool) -> shapely.Geometry | None:
    """The polygon as it can be sent; what was repaired is noted.

    Raises:
        ValueError: it can't be.
    """
    if drawn is None:
        if broken:
            raise ValueError("the polygon is not readable")
        return None
    if (why := misplaced(drawn, reading.crs, projected=reading.projected)) is not None:
        raise ValueError(why)
    polygon, problem = repair(drawn)
    if broken:
        reading.repaired.append((code, "a ring did not end where it begins: closed"))
    if problem is not None:
        reading.repaired.append((code, f"{problem}: {_change(drawn, polygon)}"))
    return polygon


def _change(before: shapely.Geometry, after: shapely.Geometry) -> str:
    """What a repair has done, as far as numbers show it. Area crossed twice in opposite directions counts as none."""
    pair = np.array([before, after], dtype=object)
    counts = (
        ("m²", square_metres(pair), ",.1f"),
        ("corners", shapely.get_num_coordinates(pair), "d"),
        ("parts", shapely.get_num_geometries(pair), "d"),
    )
    return ", ".join(f"{old:{form}} → {new:{form}} {what}" for what, (old, new), form in counts)


def _refuse_duplicates(reading: _Reading) -> None:
    twice = {code: rows for code, rows in reading.rows.items() if len(rows) > 1}
    for code, rows in sorted(twice.items()):
        shown = ", ".join(map(str, rows[:6])) + (" …" if len(rows) > 6 else "")
        reading.invalid.append((code, f"the code stands more than once: rows {shown}"))
    reading.areas = [area for area in reading.areas if area.code not in twice]
