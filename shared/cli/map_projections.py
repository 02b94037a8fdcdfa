"""Coordinate systems of maps: reprojected where they are known, named with a way out where they aren't."""

import re
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from shared.geo.checks import SQUARE_METRES_MIN, exchanged, out_of_range, outside_china
from shared.geo.metres import square_metres

_METRES_PER_ZONE = 1_000_000
_NORTHERNMOST_METRES = 6_000_000
_POLYGONS = (3, 6)
_REFUSED = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.CRSError)


class AreaFileError(ValueError):
    """The file can't be read as asked; the text says what to change."""


def reprojected(source: str, layer: str, wanted: str | None, stated: str | None) -> NDArray[np.object_]:
    """WKB in WGS-84 in the file's order, through GDAL's virtual layers: no second projection library is needed.

    Args:
        source: the file as GDAL names it.
        layer: its layer.
        wanted: the coordinate system to read it as; None: the one that it states.
        stated: that one, for the message.

    Raises:
        AreaFileError: the system has no way to WGS-84, e.g. a city's own.
    """
    asked = f"<SrcSRS>{escape(wanted)}</SrcSRS>" if wanted else ""
    text = (
        f"<OGRVRTDataSource><OGRVRTWarpedLayer><OGRVRTLayer name={_quoted(layer)}>"
        f"<SrcDataSource>{escape(source)}</SrcDataSource></OGRVRTLayer>"
        f"{asked}<TargetSRS>EPSG:4326</TargetSRS></OGRVRTWarpedLayer></OGRVRTDataSource>"
    )
    with tempfile.TemporaryDirectory() as folder:
        virtual = Path(folder) / "warped.vrt"
        virtual.write_text(text, encoding="utf-8")
        try:
            # Latin-1 takes any byte: the texts come from the file itself.
            _, _, geometry, _ = pyogrio.raw.read(virtual, columns=[], encoding="ISO-8859-1", force_2d=True)
        except (*_REFUSED, IndexError) as bad:  # where the layer can't be made the library finds none to look at
            raise AreaFileError(_no_way(wanted or stated or "")) from bad
    if not any(_finite(one) for one in geometry):
        raise AreaFileError(_no_way(wanted or stated or ""))
    return geometry  # type: ignore[no-any-return]  # pyogrio has no types


def no_metres(geometry: NDArray[np.object_], crs: str) -> str | None:
    """What to say where nothing has come through because the coordinates are degrees already; None: they aren't."""
    drawn = [shapely.from_wkb(one, on_invalid="ignore") for one in geometry if one is not None]
    found = [one for one in drawn if one is not None and not shapely.is_empty(one)]
    if not found or any(out_of_range(one) for one in found):
        return None
    return f"coordinates look like degrees{_unfit(crs)}, e.g. EPSG:4490"


def _finite(wkb: bytes | None) -> bool:
    """Whether a geometry has come through; one that failed has infinite coordinates or none."""
    drawn = None if wkb is None else shapely.from_wkb(wkb, on_invalid="ignore")
    return drawn is not None and bool(np.isfinite(shapely.get_coordinates(drawn)).all())


def _no_way(crs: str) -> str:
    return (
        f"the coordinate system {_short(crs)!r} has no known way to longitude and latitude: "
        "a city's own system needs its parameters. Export the map as EPSG:4490 (CGCS2000) where it was made, "
        "or name the right system with --crs"
    )


def _short(crs: str) -> str:
    """A system's name out of its whole description."""
    named = re.search(r'^[A-Z_]+\["([^"]*)"', crs)
    return (named[1] if named else crs)[:60]


def misplaced(polygon: shapely.Geometry, crs: str | None, *, projected: bool) -> str | None:
    """Why a polygon isn't where a map of a city may be, and what to do; None where it is.

    Args:
        polygon: in longitude and latitude, if the file is right.
        crs: the coordinate system that the file states or that was asked for.
        projected: whether the polygon was reprojected from it.
    """
    if not np.isfinite(shapely.get_coordinates(polygon)).all():
        return "a coordinate is no number"
    if not projected:
        return _unlike_degrees(polygon, crs)
    if outside_china(polygon):
        west, south = shapely.bounds(polygon)[:2]
        return f"lies at {west:.4f}, {south:.4f}, outside China{_unfit(crs)}"
    if shapely.get_type_id(polygon) in _POLYGONS and not _covers(polygon):
        return f"has an area of less than a square metre{_unfit(crs)}"
    return None


def _unlike_degrees(polygon: shapely.Geometry, crs: str | None) -> str | None:
    if shapely.is_empty(polygon) or not (out_of_range(polygon) or outside_china(polygon)):
        return None
    lng, lat = np.abs(shapely.get_coordinates(polygon)).max(axis=0)
    if exchanged(polygon) or lng <= 90 < lat <= 180:
        return "longitude and latitude look exchanged: longitude comes first"
    return _unstated(float(lng), float(lat), crs, far=not out_of_range(polygon))


def _unstated(x: float, y: float, crs: str | None, *, far: bool) -> str:
    """What to do with coordinates that are no degrees of China.

    `x`, `y`: the largest ones; `far`: they may be degrees of somewhere else.
    """
    zone = int(x // _METRES_PER_ZONE)
    fits = y < _NORTHERNMOST_METRES
    number = 4488 + zone if 25 <= zone <= 45 and fits else 4478 + zone if 13 <= zone <= 23 and fits else None
    if number is not None:
        return f"coordinates look like metres of CGCS2000 in zone {zone}: if so, name it with --crs EPSG:{number}"
    what = "coordinates lie outside China" if far else "coordinates are no degrees"
    if crs is not None:
        return f"{what}{_unfit(crs)}, e.g. EPSG:4528"
    return f"{what}, and the file states no coordinate system: name it with --crs, e.g. EPSG:4528"


def _unfit(crs: str | None) -> str:
    said = _short(crs or "")
    return f": the .prj, or what else says {said}, doesn't fit the coordinates: name the right system with --crs"


def _covers(polygon: shapely.Geometry) -> bool:
    return float(square_metres(np.array([polygon], dtype=object))[0]) >= SQUARE_METRES_MIN


def datum_warning(crs: str) -> list[str]:
    """Said of systems not on WGS-84 or CGCS2000; UTM, web Mercator and the national Gauss-Krüger zones are."""
    number = int(crs.removeprefix("EPSG:")) if re.fullmatch(r"EPSG:\d+", crs) else 0
    named = re.search(r"China_2000|CGCS_?2000|China_Geodetic|WGS_?(19)?84|WGS 84", crs, re.IGNORECASE)
    if number == 3857 or 4491 <= number <= 4554 or 32601 <= number <= 32760 or named is not None:
        return []
    return [f"{crs[:60]} may be on an older datum (Beijing 1954, Xian 1980): without its grid it is up to 100 m off"]


def _quoted(name: str) -> str:
    return '"' + escape(name, {'"': "&quot;"}) + '"'
