"""Files of stations, in and out: CSV and GeoJSON; each faulty cell is named with its line."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from services.stations.domain.details import COLUMNS, REQUIRED, Details, Wrong, read
from services.stations.domain.words import Station
from shared.events.common import Datum
from shared.geo.datum import point_to_wgs84

Format = Literal["csv", "geojson"]
ROWS_MAX, FAULTS_MAX = 3_000, 200
DATUM = "datum"
OPEN_COLUMNS = (
    "code", "name", "kind", "sponsor", "area_code", "address", "lng", "lat", "managing_unit", "responsible",
    "duty_phone", "hours", "open_on_holidays", "services", "parking_places", "photos", "state", "reason", "until",
    "faults", "changed_at",
)  # fmt: skip
"""What everybody may have. No phone but the one that hangs on the door."""
_DATUMS = ("wgs84", "gcj02", "bd09")


@dataclass(frozen=True, slots=True)
class Row:
    """One station of a file. `line`: of a CSV file, from 1 for the header; of GeoJSON the feature's number, from 1."""

    line: int
    said: Details


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell."""

    line: int
    field: str
    problem: str


def parse(text: str, form: Format) -> tuple[list[Row], list[Fault]]:
    """The stations of a file, and what can't be read as one. A column `datum` says in which datum lng and lat are."""
    rows: list[Row] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for line, cells in _csv(text, faults) if form == "csv" else _geojson(text, faults):
        if len(rows) + len(faults) >= ROWS_MAX:
            faults.append(Fault(line, "code", f"more than {ROWS_MAX} stations"))
            break
        said, wrong = _read(cells)
        faults += [Fault(line, one.field, one.problem) for one in wrong]
        if said is None:
            continue
        if (first := seen.setdefault(said.code, line)) != line:
            faults.append(Fault(line, "code", f"the code stands on line {first}, too"))
            continue
        rows.append(Row(line, said))
    if not rows and not faults:
        faults.append(Fault(1, "code", "no station"))
    return rows, faults


def _read(cells: Mapping[str, str]) -> tuple[Details | None, list[Wrong]]:
    datum = cells.get(DATUM, "").strip().lower() or "wgs84"
    said, wrong = read(cells)
    if datum not in _DATUMS:
        return None, [*wrong, Wrong(DATUM, f"one of {', '.join(_DATUMS)}")]
    if said is None or datum == "wgs84":
        return said, wrong
    lng, lat = point_to_wgs84(said.lng, said.lat, cast(Datum, datum))
    return read({**cells, "lng": f"{lng:.9f}", "lat": f"{lat:.9f}"})


def _csv(text: str, faults: list[Fault]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if wrong := _header(header):
            faults += wrong
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                faults.append(Fault(reader.line_num, "code", f"{len(cells)} cells, {len(header)} in the header"))
                continue
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        faults.append(Fault(reader.line_num, "code", f"no CSV: {error}"))


def _header(header: list[str]) -> list[Fault]:
    known = (*COLUMNS, DATUM)
    return [
        *(Fault(1, column, "the header lacks this column") for column in REQUIRED if column not in header),
        *(Fault(1, column, "stands twice in the header") for column in known if header.count(column) > 1),
        # a stranger's text is not repeated
        *(Fault(1, "code", f"column {place} of the header is none of: {', '.join(known)}")
          for place, column in enumerate(header, 1) if column not in known),
    ]  # fmt: skip


def _geojson(text: str, faults: list[Fault]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        said = orjson.loads(text)
        features = said["features"]
        if said["type"] != "FeatureCollection" or not isinstance(features, list):
            raise TypeError
    except (orjson.JSONDecodeError, KeyError, TypeError):
        faults.append(Fault(1, "code", "no GeoJSON: a FeatureCollection"))
        return
    for number, feature in enumerate(features, 1):
        try:
            lng, lat = feature["geometry"]["coordinates"][:2]
            if feature["geometry"]["type"] != "Point" or isinstance(lng, bool) or isinstance(lat, bool):
                raise TypeError
            cells = {str(name): _text(value) for name, value in feature["properties"].items()}
            cells |= {"lng": f"{float(lng):.9f}", "lat": f"{float(lat):.9f}"}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            faults.append(Fault(number, "lng", "a Feature with properties and the geometry of a Point"))
            continue
        yield number, cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return str(value)


def open_csv(stations: Iterable[Station]) -> str:
    """The open data of stations as a table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(OPEN_COLUMNS)
    for one in stations:
        writer.writerow([_harmless(_cell(one, column)) for column in OPEN_COLUMNS])
    return text.getvalue()


def open_geojson(stations: Iterable[Station]) -> bytes:
    """The same as points on a map, WGS-84."""
    named = tuple(column for column in OPEN_COLUMNS if column not in ("lng", "lat"))
    features = [
        {
            "type": "Feature",
            "id": str(one.id),
            "geometry": {"type": "Point", "coordinates": [one.lng, one.lat]},
            "properties": {column: _value(one, column) for column in named},
        }
        for one in stations
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features})


def _value(one: Station, column: str) -> Any:
    return getattr(one, {"reason": "state_reason", "until": "state_until"}.get(column, column))


def _cell(one: Station, column: str) -> object:
    value = _value(one, column)
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would take for a formula begins with a space there."""
    return f" {cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
