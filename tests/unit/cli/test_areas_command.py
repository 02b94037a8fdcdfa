"""`beegrid areas import`: nothing is sent with --dry-run or from a broken file; then draft, chunks, activation."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli import areas
from shared.devtools.city import feature_collection, grids


class Recorder:
    """A client that answers like routing and remembers what it was asked."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []

    def get(self, path: str) -> Any:
        assert path == "/v1/areas/versions"
        return [{"version_id": "draft", "datum": "wgs84"}]

    def post(self, path: str, body: Any) -> Any:
        self.posts.append((path, body))
        if path.endswith("/activate"):
            found = {"overlaps_total": 0, "holes_total": 0}
            return {"version": {"version_id": "v1", "areas": 9, "grids": 9}, "findings": found}
        return {"version_id": "v1"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(areas, "connect", lambda: recorder)
    return recorder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grids.geojson"
    path.write_text(json.dumps(feature_collection(grids())), "utf-8")
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(areas.areas_app, ["import", *arguments])
    return result.exit_code, result.output


def test_with_dry_run_nothing_is_sent(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--dry-run")
    assert (code, client.posts) == (0, [])
    assert f"{len(grids())} areas" in text


def test_a_file_is_sent_in_chunks_and_put_in_force(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--datum", "gcj02", "--label", "2026")
    assert code == 0, text
    paths = [path for path, _ in client.posts]
    assert paths[0] == "/v1/areas/versions" and paths[-1] == "/v1/areas/versions/v1/activate"
    assert client.posts[0][1] == {"label": "2026", "level": "grid", "datum": "gcj02"}
    sent = [row["properties"]["code"] for _, body in client.posts[1:-1] for row in body["features"]]
    assert sent == [area.code for area in grids()]


def test_a_second_file_of_another_level_joins_a_draft(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--level", "street", "--version", "draft")
    assert code == 0, text
    assert client.posts[0][0] == "/v1/areas/versions/draft/features"
    sent = [row["properties"]["level"] for _, body in client.posts[:-1] for row in body["features"]]
    assert set(sent) == {"street"}


def test_a_file_of_another_datum_joins_no_draft(client: Recorder, file: Path) -> None:
    for more in (["--version", "draft", "--datum", "gcj02"], ["--version", "nobody"]):
        code, text = run(str(file), *more)
        assert (code, client.posts) == (1, []), text
    assert "No such version" in text


def test_a_broken_file_is_refused_with_the_codes(client: Recorder, tmp_path: Path) -> None:
    collection = feature_collection(grids()[:3])
    collection["features"][1]["geometry"]["coordinates"] = [[[120, 30], [121, 30], [122, 30], [120, 30]]]
    path = tmp_path / "broken.geojson"
    path.write_text(json.dumps(collection), "utf-8")
    code, text = run(str(path))
    assert (code, client.posts) == (1, [])
    assert grids()[1].code in text


def test_every_repaired_polygon_is_told_with_what_has_changed(client: Recorder, tmp_path: Path) -> None:
    collection = feature_collection(grids()[:30])
    for number, feature in enumerate(collection["features"]):
        west = 120 + number
        feature["geometry"] = {
            "type": "Polygon",
            "coordinates": [[[west, 30], [west + 0.02, 30.02], [west + 0.02, 30], [west, 30.02], [west, 30]]],
        }
    path = tmp_path / "bows.geojson"
    path.write_text(json.dumps(collection), "utf-8")
    code, text = run(str(path), "--dry-run")
    assert code == 0, text
    assert all(area.code in text for area in grids()[:30])
    assert text.count("parts") == 30


def test_an_unknown_field_is_told(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--code-field", "网格编码")
    assert code == 1 and "no field 网格编码" in text
