"""`beegrid areas import`: nothing is sent with --dry-run or from a broken file; then draft, chunks, activation."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli import areas
from shared.cli.client import CliError
from shared.devtools.city import feature_collection, grids


class Recorder:
    """A client that answers like routing and remembers what it was asked."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.refusal: CliError | None = None

    def get(self, path: str) -> Any:
        assert path == "/v1/areas/versions"
        return [{"version_id": "draft", "datum": "wgs84"}]

    def post(self, path: str, body: Any) -> Any:
        self.posts.append((path, body))
        if self.refusal is not None and path.endswith("/features"):
            raise self.refusal
        if path.endswith("/activate"):
            found = {"overlaps_total": 0, "holes_total": 0}
            return {"version": {"version_id": "v1", "areas": 9, "grids": 9}, "findings": found}
        return {"version_id": "v1"}

    def put(self, path: str, body: Any) -> None:
        self.posts.append((path, body))

    def delete(self, path: str) -> None:
        self.deleted.append(path)


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


@pytest.mark.parametrize(("status", "kept"), [(422, False), (409, False), (503, True), (None, True)])
def test_a_refused_draft_is_withdrawn_and_a_broken_off_one_kept(
    client: Recorder, file: Path, status: int | None, kept: bool
) -> None:
    client.refusal = CliError("no", status=status)
    code, text = run(str(file))
    assert code == 1
    assert client.deleted == ([] if kept else ["/v1/areas/versions/v1"])
    assert ("--version v1" in text) is kept


def test_a_refused_file_leaves_the_draft_that_it_joined(client: Recorder, file: Path) -> None:
    client.refusal = CliError("no", status=422)
    assert run(str(file), "--version", "draft")[0] == 1
    assert client.deleted == []


def test_parents_and_polygons_that_lack_are_told_before_anything_is_sent(client: Recorder, tmp_path: Path) -> None:
    collection = feature_collection(grids()[:3])
    for feature in collection["features"]:
        feature["properties"].pop("parent_code", None)
    collection["features"][0]["properties"]["above"] = "elsewhere"
    collection["features"][1]["geometry"] = None
    path = tmp_path / "lacking.geojson"
    path.write_text(json.dumps(collection), "utf-8")
    code, text = run(str(path), "--parent-field", "above", "--dry-run")
    assert (code, client.posts) == (1, [])
    assert "names the parent elsewhere" in text and "needs a polygon" in text
    assert grids()[0].code in text and grids()[1].code in text and grids()[2].code not in text


def test_areas_without_a_name_are_counted(client: Recorder, tmp_path: Path) -> None:
    collection = feature_collection(grids()[:3])
    collection["features"][2]["properties"]["name"] = None
    path = tmp_path / "nameless.geojson"
    path.write_text(json.dumps(collection), "utf-8")
    code, text = run(str(path), "--dry-run")
    assert code == 0
    assert "1 without a name" in text and grids()[2].code in text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.geojson", "", "the file is empty"),
        ("none.geojson", '{"type": "FeatureCollection", "features": []}', "no features in it"),
        ("text.zip", "no zip", "no zip"),
        ("absent.geojson", None, "no such file"),
    ],
)
def test_a_file_without_areas_is_called_so(
    client: Recorder, tmp_path: Path, name: str, content: str | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    code, text = run(str(tmp_path / name))
    assert (code, client.posts) == (1, [])
    assert told in " ".join(text.split())


def test_departments_are_sent_as_the_file_has_them(client: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "departments.csv"
    file.write_text("area_code,department_kind,department,name,note\n330114,water,D-1,水务局,x\n", "utf-8-sig")
    done = CliRunner().invoke(areas.areas_app, ["departments", str(file)])
    assert done.exit_code == 0, done.output
    line = {"department_kind": "water", "area_code": "330114", "department": "D-1", "name": "水务局"}
    assert client.posts == [("/v1/routing/responsibilities", {"put": [line]})]
    file.write_text("area_code,department\n", "utf-8")
    refused = CliRunner().invoke(areas.areas_app, ["departments", str(file)])
    assert isinstance(refused.exception, CliError) and "department_kind, name" in refused.exception.detail
