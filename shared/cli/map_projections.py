"""Coordinate systems of maps: reprojected where they are known, named with a way out where they aren't."""

import re
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from shared.geo.checks import exchanged

_METRES_PER_ZONE = 1_000_000
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
    return geometry  # type: ignore[no-any-return]  # the library has no types


def _finite(wkb: bytes | None) -> bool:
    """Whether a geometry has come through; one that failed has infinite coordinates or none."""
    drawn = None if wkb is None else shapely.from_wkb(wkb, on_invalid="ignore")
    return drawn is not None and bool(np.isfinite(shapely.get_coordinates(drawn)).all())


def _no_way(crs: str) -> str:
    named = re.search(r'^[A-Z_]+\["([^"]*)"', crs)
    return (
        f"the coordinate system {(named[1] if named else crs)[:60]!r} has no known way to longitude and latitude: "
        "a city's own system needs its parameters. Export the map as EPSG:4490 (CGCS2000) where it was made, "
        "or name the right system with --crs"
    )


def no_degrees(polygon: shapely.Geometry) -> str:
    """Why coordinates can't be longitude and latitude, and what to do."""
    if not np.isfinite(shapely.get_coordinates(polygon)).all():
        return "a coordinate is no number"
    lng, lat = np.abs(shapely.get_coordinates(polygon)).max(axis=0)
    if exchanged(polygon) or lng <= 90 < lat <= 180:
        return "longitude and latitude look exchanged: longitude comes first"
    return _unstated(float(lng), float(lat))


def _unstated(x: float, y: float) -> str:
    """What to do with coordinates that are no degrees where the file states no system; `x`, `y`: the largest ones."""
    zone = int(x // _METRES_PER_ZONE)
    if 25 <= zone <= 45 and y < 6_000_000:
        return f"coordinates look like metres of CGCS2000 in zone {zone}: if so, name it with --crs EPSG:{4488 + zone}"
    if 13 <= zone <= 23 and y < 6_000_000:
        return f"coordinates look like metres of CGCS2000 in zone {zone}: if so, name it with --crs EPSG:{4478 + zone}"
    return "coordinates are no degrees, and the file states no coordinate system: name it with --crs, e.g. EPSG:4528"


def datum_warning(crs: str) -> list[str]:
    """Said of systems not on WGS-84 or CGCS2000; UTM, web Mercator and the national Gauss-Krüger zones are."""
    number = int(crs.removeprefix("EPSG:")) if re.fullmatch(r"EPSG:\d+", crs) else 0
    named = re.search(r"China_2000|CGCS_?2000|China_Geodetic|WGS_?(19)?84|WGS 84", crs, re.IGNORECASE)
    if number == 3857 or 4491 <= number <= 4554 or 32601 <= number <= 32760 or named is not None:
        return []
    return [f"{crs[:60]} may be on an older datum (Beijing 1954, Xian 1980): without its grid it is up to 100 m off"]


def _quoted(name: str) -> str:
    return '"' + escape(name, {'"': "&quot;"}) + '"'
