"""Stations from files: CSV and GeoJSON as they are, Shapefiles (or zips of them) as GeoJSON that says the same."""

from pathlib import Path
from typing import Any

import orjson
import shapely

from shared.cli.map_attributes import attributes
from shared.cli.map_cells import text_of
from shared.cli.map_encodings import Texts
from shared.cli.map_projections import AreaFileError
from shared.cli.map_sources import AS_IS, in_degrees, map_layer, map_source

COLUMNS = (
    "code", "name", "kind", "sponsor", "area_code", "address", "managing_unit", "responsible", "phone", "duty_phone",
    "hours", "open_on_holidays", "services", "parking_places", "photos", "datum",
)  # fmt: skip
"""Fields beside the place. A table of a Shapefile cuts names after ten characters: both forms are known."""
_SHORT = 10
_AS_THEY_ARE = {".csv": "csv", ".geojson": "geojson", ".json": "geojson"}


def read_stations(
    path: Path, *, layer: str | None = None, encoding: str | None = None, crs: str | None = None
) -> tuple[str, str]:
    """(format, text) as `PUT /v1/stations:import` takes them.

    Args:
        path: CSV (UTF-8), GeoJSON, a Shapefile or a zip of one, with points.
        layer: where a file has several.
        encoding: of a CSV's or a Shapefile's texts; tried out if not given.
        crs: the coordinate system of a Shapefile, instead of what it says.

    Raises:
        AreaFileError: no such file, layer or encoding, or it isn't readable.
    """
    form = _AS_THEY_ARE.get(path.suffix.lower())
    if form is not None:
        return form, _text(path, encoding)
    source = map_source(path)
    found = map_layer(source, layer)
    texts = Texts.of(path, source, found, encoding)
    wanted = {name: column for column in COLUMNS for name in (column, column[:_SHORT])}
    meta, geometry, values = attributes(source, found, texts, tuple(wanted))
    if geometry is None:
        raise AreaFileError(f"{path}: a table without a map")
    stated = crs or meta["crs"]
    if stated is not None and stated not in AS_IS:
        geometry = in_degrees(source, found, crs, meta["crs"], geometry)
    features = []
    for row, point in enumerate(shapely.from_wkb(geometry, on_invalid="ignore")):
        cells = {wanted[name]: _cell(column[row]) for name, column in values.items() if name in wanted}
        drawn = None if point is None else orjson.loads(shapely.to_geojson(point))
        features.append({"type": "Feature", "properties": cells, "geometry": drawn})
    return "geojson", orjson.dumps({"type": "FeatureCollection", "features": features}).decode()


def _text(path: Path, encoding: str | None) -> str:
    try:
        return path.read_text(encoding=encoding or "utf-8-sig")
    except OSError as error:
        raise AreaFileError(f"{path}: {error.strerror}") from error
    except (UnicodeError, LookupError) as error:
        raise AreaFileError(f"{path}: not {encoding or 'UTF-8'}: name its encoding, e.g. --encoding gb18030") from error


def _cell(value: Any) -> Any:
    """A cell of any type as text; a logical field stays yes or no."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return text_of(value)
