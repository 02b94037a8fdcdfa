"""Files of maps as GDAL finds them: a GeoJSON, a Shapefile with its parts, a zip of one; their layers and degrees."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyogrio
from numpy.typing import NDArray

from shared.cli.map_projections import AreaFileError, no_metres, reprojected

AS_IS = frozenset({"EPSG:4326", "EPSG:4490", "OGC:CRS84", "EPSG:4979", "EPSG:4480"})
"""WGS-84 and CGCS2000 differ by centimetres: taken as they are."""
_MAPS = {".shp", ".geojson", ".json", ".gpkg"}
# The first of a zip's flags
_ENCRYPTED = 1
# What the library says of a whole number between 63 and 64 bits; it leaves the rest of the file unread
_TOO_LONG = re.compile(r"At (line \d+, character \d+): Unrecognized number: (-?\d+)")


def map_source(path: Path) -> str:
    """How GDAL names the file. A zip may hold its map in a folder, as the desktops pack it.

    Raises:
        AreaFileError: no file, nothing in it, or a zip without a map or with maps in several places.
    """
    if not path.is_file():
        raise AreaFileError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AreaFileError(f"{path}: the file is empty")
    if path.suffix.lower() == ".shp":
        _require_parts(path, path.stem, [one.name for one in path.parent.iterdir()])
    if path.suffix.lower() != ".zip":
        return str(path.resolve())
    try:
        with zipfile.ZipFile(path) as archive:
            locked = any(one.flag_bits & _ENCRYPTED for one in archive.infolist())
            names = [PurePosixPath(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as bad:
        raise AreaFileError(f"{path}: no zip: {bad}") from bad
    if locked:
        raise AreaFileError(f"{path}: the zip has a password: unpack it and name the file in it, or pack it without")
    # macOS packs a shadow of every file
    maps = [name for name in names if name.suffix.lower() in _MAPS and "__MACOSX" not in name.parts]
    if not maps:
        raise AreaFileError(f"{path}: no {', '.join(sorted(_MAPS))} in it")
    for name in maps:
        if name.suffix.lower() == ".shp":
            _require_parts(path, name.stem, [one.name for one in names if one.parent == name.parent])
    folders = {name.parent for name in maps}
    if len(folders) > 1:
        raise AreaFileError(f"{path}: maps in several folders: {', '.join(sorted(map(str, maps))[:6])}; take one out")
    inside = maps[0] if len(maps) == 1 else maps[0].parent
    return f"/vsizip/{{{path.resolve()}}}" + ("" if str(inside) == "." else f"/{inside}")


def _require_parts(path: Path, stem: str, beside: Sequence[str]) -> None:
    there = {name.lower() for name in beside}
    if lacking := [end for end in (".shx", ".dbf") if f"{stem.lower()}{end}" not in there]:
        raise AreaFileError(f"{path}: a Shapefile is several files: {stem} has no {' and no '.join(lacking)}")


def map_layer(source: str, wanted: str | None) -> str:
    """The layer that is asked for, or the only one. Raises AreaFileError."""
    try:
        names = [str(name) for name in pyogrio.list_layers(source)[:, 0]]
    except pyogrio.errors.DataSourceError as bad:
        if number := _TOO_LONG.search(str(bad)):
            raise AreaFileError(
                f"{source}: {number[2]} is a number too long to be exact ({number[1]}): store codes and ids as text"
            ) from bad
        raise AreaFileError(f"{source}: no map that can be read: GeoJSON, a Shapefile or a zip of one") from bad
    if wanted is not None and wanted not in names:
        raise AreaFileError(f"no layer {wanted}; the file has {', '.join(names)}")
    if wanted is None and len(names) != 1:
        raise AreaFileError(f"name one of the layers with --layer: {', '.join(names)}")
    return wanted or names[0]


def in_degrees(
    source: str, layer: str, wanted: str | None, stated: str | None, geometry: NDArray[np.object_]
) -> NDArray[np.object_]:
    """WKB in WGS-84. Degrees in a file that says metres are named as such: some systems have no way for them."""
    try:
        return reprojected(source, layer, wanted, stated)
    except AreaFileError as bad:
        if (why := no_metres(geometry, wanted or stated or "")) is not None:
            raise AreaFileError(f"{bad}; or {why}") from bad
        raise
