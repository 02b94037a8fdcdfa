"""`beegrid areas import`: nothing is kept of a --dry-run or sent of a broken file; then draft, chunks, activation."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli import areas
from shared.cli.client import CliError
from shared.synthetic.city import feature_collection, grids


class Recorder:
    """A client that answers like routing and remembers what it was asked."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.refusal: CliError | None = None
        self.vanishing: list[dict[str, Any]] = []
        self.moved: list[dict[str, Any]] = []
        self.faults: list[dict[str, Any]] = []

    def pages(self, path: str) -> Any:
        return self.get(path)

    def get(self, path: str) -> Any:
        assert path == "/v1/areas/versions"
        return [
            {"version_id": "draft", "datum": "wgs84", "state": "draft"},
            {"version_id": "in-force", "datum": "wgs84", "state": "activated"},
        ]

    def post(self, path: str, body: Any) -> Any:
        self.posts.append((path, body))
        if self.refusal is not None and path.endswith("/features"):
            raise self.refusal
        if path.endswith("/activate"):
            if self.faults:
                error = CliError("no", "1 lines are wrong", 422)
                error.code, error.faults = "invalid_mapping", self.faults
                raise error
            found = {"overlaps_total": 0, "holes_total": 0}
            taken = {line["old_code"]: line["new_code"] for line in body["mapping"]}
            gone = [
                {**one, "successors": [taken[one["code"]]] if one["code"] in taken else []} for one in self.vanishing
            ]
            version = {"version_id": "v1", "areas": 9, "grids": 9}
            return {"version": version, "findings": found, "vanishing": gone, "moved": self.moved, "changed": 9}
        if path.endswith("/areas/dependents"):
            return {"dependents": {"live cases": {"330103": 3}} if "/cases/" in path else {}}
        return {"version_id": "v1"}

    def put(self, path: str, body: Any) -> None:
        self.posts.append((path, body))

    def delete(self, path: str) -> None:
        self.deleted.append(path)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(areas, "connect", lambda **_: recorder)
    return recorder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grids.geojson"
    path.write_text(json.dumps(feature_collection(grids())), "utf-8")
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(areas.areas_app, ["import", *arguments])
    return result.exit_code, result.output


def test_a_dry_run_is_checked_by_the_suite_in_a_draft_that_is_withdrawn(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--dry-run")
    assert code == 0 and f"{len(grids())} areas" in text and "nothing kept" in text
    assert [body["dry_run"] for path, body in client.posts if path.endswith("/activate")] == [True]
    assert sum(len(body["features"]) for path, body in client.posts if path.endswith("/features")) == len(grids())
    assert client.deleted == ["/v1/areas/versions/v1"]


def test_what_the_suite_refuses_a_dry_run_refuses(client: Recorder, file: Path) -> None:
    client.refusal = CliError("no", status=422)
    code, _ = run(str(file), "--dry-run")
    assert code == 1 and client.deleted == ["/v1/areas/versions/v1"]


def test_a_dry_run_asks_for_all_that_the_run_would_ask_for(client: Recorder, file: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("old_code,new_code\n330103,330102\n", "utf-8")
    code, text = run(str(file), "--dry-run", "--label", "x\x01y", "--mapping", str(mapping))
    assert code == 0, text
    assert client.posts[0][1]["label"] == "x\x01y", "which the suite refuses"
    line = {"old_code": "330103", "new_code": "330102", "share": 1.0}
    assert client.posts[-1][1] == {"strict": False, "mapping": [line], "dry_run": True}
    client.vanishing = [{"code": "330103", "level": "district"}]
    client.posts.clear()
    code, text = run(str(file), "--dry-run")
    assert code == 1 and "3 live cases" in text and "nothing kept" not in text
    assert client.deleted == ["/v1/areas/versions/v1"] * 2
    assert run(str(file), "--dry-run", "--accept")[0] == 0
    assert run(str(file), "--dry-run", "--no-activate")[0] == 0


@pytest.mark.parametrize("version", ["nosuch", "in-force"])
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_is_no_draft_is_refused_before_anything_is_sent(
    client: Recorder, file: Path, version: str, more: list[str]
) -> None:
    assert run(str(file), "--version", version, *more)[0] == 1
    assert (client.posts, client.deleted) == ([], [])


def test_a_dry_run_into_a_draft_checks_both_in_a_copy_and_leaves_that_alone(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--version", "draft", "--dry-run")
    assert code == 0 and "Checked by the suite too" in text
    assert client.posts[0][1]["beside"] == "draft"
    at = "/v1/areas/versions"
    assert {path for path, _ in client.posts} == {at, f"{at}/v1/features", f"{at}/v1/activate"}
    assert client.posts[-1] == (f"{at}/v1/activate", {"strict": False, "mapping": [], "dry_run": True})
    assert client.deleted == ["/v1/areas/versions/v1"]
    client.vanishing = [{"code": "330103", "level": "district"}]
    assert run(str(file), "--version", "draft", "--dry-run")[0] == 1
    client.posts.clear()
    assert run(str(file), "--version", "draft", "--dry-run", "--no-activate")[0] == 0
    assert not any(path.endswith("/activate") for path, _ in client.posts)


def test_a_mapping_that_can_not_be_read_is_refused_before_anything_is_sent(client: Recorder, file: Path) -> None:
    for more in ([], ["--dry-run"], ["--no-activate"]):
        assert run(str(file), "--mapping", str(file), *more)[0] == 1
    assert client.posts == []


def test_without_a_suite_a_dry_run_checks_the_file(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def nobody(**_: object) -> None:
        raise CliError("No running suite")

    monkeypatch.setattr(areas, "connect", nobody)
    code, text = run(str(file), "--dry-run")
    assert code == 0 and "Only the file was checked" in text


def test_a_map_without_grids_is_refused_before_it_is_sent(client: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "streets.geojson"
    path.write_text(json.dumps(feature_collection(grids()[:3])), "utf-8")
    code, text = run(str(path), "--level", "street")
    assert (code, client.posts) == (1, []) and "no grids" in text
    assert run(str(path), "--level", "street", "--no-activate")[0] == 0


def test_a_file_is_sent_in_chunks_and_put_in_force(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--datum", "gcj02", "--label", "2026")
    assert code == 0, text
    paths = [path for path, _ in client.posts]
    assert paths[0] == "/v1/areas/versions" and paths[-1] == "/v1/areas/versions/v1/activate"
    assert client.posts[0][1] == {"label": "2026", "level": "grid", "datum": "gcj02"}
    sent = [row["properties"]["code"] for _, body in client.posts[1:-1] for row in body.get("features", ())]
    assert sent == [area.code for area in grids()]


def test_a_second_file_of_another_level_joins_a_draft(client: Recorder, file: Path) -> None:
    code, text = run(str(file), "--level", "street", "--version", "draft")
    assert code == 0, text
    assert client.posts[0][0] == "/v1/areas/versions/draft/features"
    sent = [row["properties"]["level"] for _, body in client.posts[:-1] for row in body.get("features", ())]
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


def test_every_repaired_polygon_is_shown_with_what_has_changed(client: Recorder, tmp_path: Path) -> None:
    collection = feature_collection(grids()[:30])
    for number, feature in enumerate(collection["features"]):
        west = 90 + number
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


def test_an_unknown_field_is_named(client: Recorder, file: Path) -> None:
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


def test_parents_and_polygons_that_lack_are_named_before_anything_is_sent(client: Recorder, tmp_path: Path) -> None:
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
    ("name", "content", "said"),
    [
        ("empty.geojson", "", "the file is empty"),
        ("none.geojson", '{"type": "FeatureCollection", "features": []}', "no features in it"),
        ("text.zip", "no zip", "no zip"),
        ("absent.geojson", None, "no such file"),
    ],
)
def test_a_file_without_areas_is_called_so(
    client: Recorder, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    code, text = run(str(tmp_path / name))
    assert (code, client.posts) == (1, [])
    assert said in " ".join(text.split())


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


def activate(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(areas.areas_app, ["activate", "v1", *arguments])
    return result.exit_code, result.output + str(result.exception or "")


def activations(client: Recorder) -> list[Any]:
    return [body for path, body in client.posts if path.endswith("/activate") and not body.get("dry_run")]


def test_what_vanishes_is_listed_and_what_is_kept_there_needs_a_word(client: Recorder, tmp_path: Path) -> None:
    client.vanishing = [{"code": "330103", "level": "district"}, {"code": "330199", "level": "district"}]
    code, text = activate()
    assert (code, activations(client)) == (1, [])
    assert "3 live cases" in text and "330199" in text and "--mapping" in text
    assert activate("--dry-run", "--accept")[0] == 0 and activations(client) == []
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("old_code,new_code,share\n330103,330102,0.7\n,,\n", "utf-8-sig")
    code, text = activate("--mapping", str(mapping))
    assert (code, activations(client)) == (1, []), "nothing is kept at 330199 now, a report may be on its way there"
    assert "330102" in text and "1 个区域将消失（0 个下有内容）" in text
    assert activate("--mapping", str(mapping), "--accept")[0] == 0
    line = {"old_code": "330103", "new_code": "330102", "share": 0.7}
    assert activations(client) == [{"strict": False, "mapping": [line], "accept": True}]
    client.vanishing.pop()
    assert activate("--mapping", str(mapping))[0] == 0, "somebody takes over from all"
    assert activations(client)[-1] == {"strict": False, "mapping": [line], "accept": False}


def test_every_faulty_line_of_a_mapping_is_named(client: Recorder, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.csv"
    mapping.write_text(
        "old_code,new_code,share\n330103,,\n330103,330102,2\n330103,330105,x\n330103,330106,1\n", "utf-8"
    )
    code, text = activate("--mapping", str(mapping))
    assert code != 0 and client.posts == []
    assert all(f"line {number}" in text for number in (2, 3, 4)) and "line 5" not in text
    mapping.write_text("a,b\n1,2\n", "utf-8")
    assert "old_code, new_code" in activate("--mapping", str(mapping))[1]


def test_two_columns_are_enough_and_lines_are_named_as_the_file_counts_them(client: Recorder, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("old_code,new_code,备注\n330103,330102,a\n,,\n330104,330102,合并\n", "gb18030")
    assert "--mapping-encoding gb18030" in activate("--mapping", str(mapping))[1]
    words = ("--mapping", str(mapping), "--mapping-encoding", "gb18030")
    code, text = activate(*words)
    assert code == 0, text
    assert [line["share"] for line in activations(client)[0]["mapping"]] == [1.0, 1.0]
    client.faults = [{"line": 2, "code": "330104", "problem": "is not on the map in force"}]
    code, text = activate(*words)
    assert code != 0 and "line 4: 330104: is not on the map in force" in text


def test_codes_that_stand_for_other_ground_need_a_word(client: Recorder, file: Path) -> None:
    client.moved = [{"code": "330199", "level": "grid", "share": 0.0}]
    code, text = run(str(file))
    assert (code, activations(client)) == (1, []) and "On other ground: 1" in text
    client.moved.append({"code": "330103", "level": "grid", "share": 0.05})
    client.posts.clear()
    for more in ([], ["--dry-run"]):
        code, text = run(str(file), *more)
        assert code == 1 and "3 live cases" in text and "5%" in text and "give the ground new codes" in text, text
    assert activations(client) == []
    assert run(str(file), "--accept")[0] == 0
    assert [body["accept"] for body in activations(client)] == [True]
