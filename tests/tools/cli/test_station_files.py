"""Stations from files of every sort into the suite, which a file plays here."""

import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyogrio
import pytest
import shapely
from typer.testing import CliRunner

from services.stations.domain import details
from services.stations.files import parse
from shared.cli import stations
from shared.cli.client import Client
from shared.cli.main import app
from shared.cli.map_projections import AreaFileError
from shared.cli.station_files import COLUMNS, read_stations

FIELDS = {
    "code": "HC-1", "name": "学源街蜂巢", "kind": "hive", "area_code": "330114003001002", "address": "学源街 18 号",
    "managing_unit": "学源街社区", "hours": "24/7", "services": "rest water", "parking_places": 4,
    "duty_phone": "0571-1",
}  # fmt: skip


def shapefile(folder: Path, *, crs: str, point: tuple[float, float], encoding: str) -> Path:
    path = folder / "驿站.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([shapely.Point(point)], dtype=object)),
        field_data=[np.array([one], dtype=object if isinstance(one, str) else None) for one in FIELDS.values()],
        fields=np.array(list(FIELDS)),
        geometry_type="Point",
        crs=crs,
        encoding=encoding,
    )
    return path


def test_columns_are_those_of_the_service() -> None:
    assert {*COLUMNS, "lng", "lat"} == {*details.COLUMNS, "datum"}


@pytest.mark.parametrize(
    ("crs", "point"),
    [("EPSG:4490", (120.35, 30.3)), ("EPSG:4549", (533_675.0, 3_353_260.0))],
    ids=["degrees", "metres"],
)
def test_a_shapefile_says_what_a_table_would(tmp_path: Path, crs: str, point: tuple[float, float]) -> None:
    path = shapefile(tmp_path, crs=crs, point=point, encoding="GBK")
    with zipfile.ZipFile(tmp_path / "stations.zip", "w") as archive:
        for part in tmp_path.glob("驿站.*"):
            archive.write(part, part.name)
    for source in (path, tmp_path / "stations.zip"):
        form, text = read_stations(source)
        rows, faults = parse(text, "geojson")
        assert (form, faults) == ("geojson", [])
        [row] = rows
        assert (row.said.name, row.said.managing_unit, row.said.parking_places) == ("学源街蜂巢", "学源街社区", 4)
        assert (row.said.services, row.said.duty_phone) == (("rest", "water"), "0571-1")
        assert row.said.lng == pytest.approx(120.35, abs=0.01) and row.said.lat == pytest.approx(30.3, abs=0.01)


def test_a_table_in_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stations.csv"
    path.write_bytes("code,name\r\nA,蜂巢\r\n".encode("gb18030"))
    with pytest.raises(AreaFileError, match="--encoding gb18030"):
        read_stations(path)
    assert "蜂巢" in read_stations(path, encoding="gb18030")[1]


def test_the_command_shows_each_faulty_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("PUT", "/v1/stations:import")
        sent.append(json.loads(request.content))
        if "moat" not in sent[-1]["text"]:
            return httpx.Response(200, json={"new": 1, "changed": 0, "unchanged": 0, "dry_run": True})
        fault = {"line": 2, "field": "body.text.services", "problem": "a code that nobody knows"}
        body = {"title": "faulty", "code": "stations_faulty", "detail": "1 fault", "status": 422, "errors": [fault]}
        return httpx.Response(422, json=body)

    monkeypatch.setattr(stations, "connect", lambda: Client("http://suite", "t", httpx.MockTransport(answer)))
    path = tmp_path / "stations.csv"
    path.write_text("code,services\nA,moat\n", "utf-8")
    refused = CliRunner().invoke(app, ["stations", "import", str(path)])
    assert refused.exit_code == 1 and "services" in refused.output and "nobody knows" in refused.output
    path.write_text("code,services\nA,rest\n", "utf-8")
    good = CliRunner().invoke(app, ["stations", "import", str(path), "--dry-run"])
    assert good.exit_code == 0 and "new 1" in good.output and sent[-1]["dry_run"] is True
