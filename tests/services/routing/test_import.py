"""Importing areas over HTTP: drafts, chunks, checks, activation."""

import asyncio
from dataclasses import replace
from typing import cast

import httpx
import pytest

from services.routing.usecases.current_map import CurrentMap
from shared.events.area_changed import AREA_CHANGED
from shared.geo.datum import wgs84_to_gcj02
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.ids import new_id
from shared.kit.service.clockwork import Pulse, Recurring
from shared.synthetic.city import city, feature_collection, grids
from tests.kit.held import Held
from tests.services.routing.conftest import Routing, box

A, B, C = "330114001001001", "330114001001002", "330114001002001"


async def test_the_demo_city_is_imported_and_located(routing: Routing) -> None:
    version = await routing.put_in_force(city())
    place = grids()[100].polygon.representative_point()
    found = await routing.call("GET", "/v1/routing/locate", params={"lng": place.x, "lat": place.y}, roles=["rider"])
    code = grids()[100].code
    assert (found["outcome"], found["grid_code"], found["version_id"]) == ("routed", code, version)
    assert found["area_path"] == ["330114", code[:9], code[:12]]
    assert found["fictional"] is True and "虚构边界" in found["notice"]
    detail = await routing.call("GET", f"/v1/areas/{code[:12]}", roles=["rider"])
    assert detail["level"] == "community" and detail["name"].endswith(("社区", "村"))
    assert 4 <= len(detail["children"]) <= 8 and detail["geometry"]["type"] in ("Polygon", "MultiPolygon")
    assert [area["code"] for area in detail["path"]] == ["3301", "330114", code[:9]]


async def test_gcj02_uploads_are_stored_as_wgs84(routing: Routing) -> None:
    version = await routing.draft(datum="gcj02")
    await routing.upload(version, [box(A, 120.5, 30.3)])
    await routing.activate(version)
    # The corner's place in the other datum moved by some 500 m, and so did the square.
    lng, _ = wgs84_to_gcj02([120.5], [30.3])
    exported = await routing.call("GET", "/v1/areas/export.geojson")
    west = min(x for x, _ in exported["features"][0]["geometry"]["coordinates"][0])
    assert west == pytest.approx(120.5 - (lng[0] - 120.5), abs=1e-4)
    assert exported["fictional"] is True and exported["features"][0]["properties"]["code"] == A
    located = {"lng": 120.5005, "lat": 30.305}
    gcj = await routing.call("GET", "/v1/routing/locate", params={**located, "datum": "gcj02"})
    wgs = await routing.call("GET", "/v1/routing/locate", params=located)
    assert (gcj["outcome"], wgs["outcome"]) == ("routed", "routed")
    edge = {"lng": 120.5095, "lat": 30.305}
    assert (await routing.call("GET", "/v1/routing/locate", params={**edge, "datum": "gcj02"}))["outcome"] == "routed"
    assert (await routing.call("GET", "/v1/routing/locate", params=edge))["outcome"] == "unroutable"


async def test_a_chunk_sent_again_changes_nothing_and_other_areas_of_a_code_are_refused(routing: Routing) -> None:
    version = await routing.draft()
    assert (await routing.upload(version, [box(A, 120.5, 30.3)]))["added"] == 1
    again = await routing.upload(version, [box(A, 120.5, 30.3), box(B, 120.51, 30.3)])
    assert (again["added"], again["unchanged"]) == (1, 1)
    refused = await routing.upload(version, [box(A, 120.6, 30.3), box(C, 120.7, 30.3)], status=422)
    assert [error["code"] for error in refused["errors"]] == [A]
    versions = (await routing.call("GET", "/v1/areas/versions"))["items"]
    assert (versions[0]["areas"], versions[0]["state"]) == (2, "draft")


async def test_invalid_polygons_are_repaired_or_named(routing: Routing) -> None:
    version = await routing.draft()

    def feature(code: str, *corners: tuple[float, float]) -> dict[str, object]:
        geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        return {"type": "Feature", "properties": {"code": code, "name": code}, "geometry": geometry}

    path = f"/v1/areas/versions/{version}/features"
    bow_tie = feature(A, (120.0, 30.0), (120.02, 30.02), (120.02, 30.0), (120.0, 30.02))
    added = await routing.call("POST", path, {"features": [bow_tie]})
    assert added["repaired"][0]["code"] == A and "Self-intersection" in added["repaired"][0]["problem"]
    flat = feature(B, (120.0, 30.0), (120.01, 30.0), (120.02, 30.0))
    metres = feature(C, (500_000.0, 3_300_000.0), (500_100.0, 3_300_000.0), (500_100.0, 3_300_100.0))
    town = feature("X4", (10.0, 20.0), (40.0, 20.0), (40.0, 50.0))
    equator = feature("X5", (115.5141, 0.0003), (115.5142, 0.0003), (115.5142, 0.0004))
    exchanged = feature("X3", (43.8, 87.6), (43.8, 87.61), (43.81, 87.61))
    twice = feature("X1", (120.0, 30.0), (120.01, 30.0), (120.01, 30.01))
    nothing = {"type": "Feature", "properties": {"code": "X2", "name": "x"}, "geometry": None}
    refused = await routing.call(
        "POST", path, {"features": [flat, metres, town, equator, exchanged, twice, twice, nothing]}, status=422
    )
    problems = {error["code"]: error["problem"] for error in refused["errors"]}
    assert set(problems) == {B, C, "X1", "X2", "X3", "X4", "X5"} and "exchanged" in problems["X3"]
    assert "outside China" in problems["X4"] and "outside China" in problems["X5"]
    assert "degrees" in problems[C] and "twice" in problems["X1"] and "needs a polygon" in problems["X2"]
    await routing.call("POST", path, {"features": [{**flat, "geometry": {"type": "Point"}}]}, status=422)


async def test_overlaps_and_holes_are_reported_and_strict_refuses(routing: Routing) -> None:
    version = await routing.draft()
    around = [(x, y) for x in range(3) for y in range(3) if (x, y) != (1, 1)]
    ring = [box(f"33011400100100{n}", 120.5 + 0.01 * x, 30.3 + 0.01 * y) for n, (x, y) in enumerate(around)]
    await routing.upload(version, [*ring, box(C, 120.495, 30.3)])
    refused = await routing.activate(version, strict=True, status=409)
    assert refused["findings"]["overlaps_total"] == 1
    assert (await routing.call("GET", "/v1/areas"))["version_id"] is None
    findings = (await routing.activate(version))["findings"]
    assert findings["overlaps"][0]["codes"] == [ring[0].code, C]
    # Half of a cell: 0.005 by 0.01 degrees.
    assert findings["overlaps"][0]["square_metres"] == pytest.approx(480 * 1108, rel=0.02)
    assert findings["holes_total"] == 1 and len(findings["holes"][0]["codes"]) == 8
    assert findings["holes"][0]["square_metres"] == pytest.approx(961 * 1108, rel=0.02)


async def test_a_new_version_disturbs_nothing_until_it_is_activated(routing: Routing) -> None:
    first = await routing.put_in_force([box(A, 120.5, 30.3)])
    second = await routing.draft()
    await routing.upload(second, [box(B, 120.5, 30.3)])
    params = {"lng": 120.505, "lat": 30.305}
    assert (await routing.call("GET", "/v1/routing/locate", params=params))["grid_code"] == A
    await routing.activate(second)
    assert (await routing.call("GET", "/v1/routing/locate", params=params))["grid_code"] == B
    await routing.upload(second, [box(C, 120.6, 30.3)], status=409)
    await routing.activate(first)
    assert (await routing.call("GET", "/v1/routing/locate", params=params))["grid_code"] == A
    in_force = {v["version_id"] for v in (await routing.call("GET", "/v1/areas/versions"))["items"] if v["in_force"]}
    assert in_force == {first}
    history = await routing.service.pool.fetch("SELECT version_id FROM activations ORDER BY activation_id")
    assert [str(row["version_id"]) for row in history] == [first, second, first]


async def test_the_areas_of_the_map_in_force_are_published(routing: Routing) -> None:
    first = await routing.put_in_force([box(A, 120.5, 30.3), box("G10", 120.51, 30.3, parent_code=A[:12])])
    published = {row["area_code"]: row for row in await routing.published(AREA_CHANGED)}
    assert set(published) == {"3301", "330114", A[:9], A[:12], A, "G10"}
    assert published["G10"] == {
        "version": 1, "area_code": "G10", "level": "grid", "path": ["3301", "330114", A[:9], A[:12]], "in_force": True,
        "successors": [], "map_version": first, "key": "G10",
    }  # fmt: skip
    assert routing.service.tree.covers("330114", "G10") and routing.service.tree.has_grid("G10")
    # the same once more, and a map where one grid is elsewhere and one is gone: only what changed
    assert (await routing.activate(first))["changed"] == 0
    second = await routing.draft()
    await routing.upload(second, [box(A, 120.5, 30.3, parent_code=B[:12]), box(B, 120.51, 30.3)])
    refused = await routing.activate(second, status=409, strict=False)
    assert (refused["code"], refused["total"], refused["codes"]) == ("areas_vanish", 1, ["G10"])
    assert len(await routing.published(AREA_CHANGED)) == 6
    await routing.activate(second)
    again = (await routing.published(AREA_CHANGED))[6:]
    assert {(row["area_code"], row["version"], row["in_force"]) for row in again} >= {("G10", 2, False), (B, 1, True)}
    assert routing.service.tree.covers("330114", "G10") and not routing.service.tree.has_grid("G10")


async def test_successors_are_named_carried_over_and_published(routing: Routing) -> None:
    await routing.put_in_force([box(A, 120.5, 30.3), box(B, 120.51, 30.3)])
    rows = [{"department_kind": kind, "area_code": A, "department": "D1"} for kind in ("gas", "water")]
    rows.append({"department_kind": "gas", "area_code": C, "department": "D2"})
    await routing.call("PUT", "/v1/routing/responsibilities", {"put": rows})
    kept = await routing.call("POST", "/ops/routing/areas/dependents", {"codes": [A, B]})
    assert kept == {"dependents": {"responsibilities": {A: 2}}}
    other, third = "330105001001001", "330105001001002"
    second = await routing.draft()
    await routing.upload(second, [box(C, 120.5, 30.3), box(other, 120.51, 30.3), box(third, 120.52, 30.3)])
    lines = [
        {"old_code": A, "new_code": third, "share": 0.3}, {"old_code": A, "new_code": C, "share": 0.7},
        {"old_code": B, "new_code": other},
    ]  # fmt: skip
    faulty = [
        {"old_code": "G9", "new_code": C}, {"old_code": A, "new_code": "G9"}, {"old_code": A, "new_code": "330105"},
        {"old_code": "330114", "new_code": C}, *lines[:1], *lines[:1],
    ]  # fmt: skip
    for dry_run in (True, False):
        wrong = await routing.activate(second, status=422, mapping=faulty, dry_run=dry_run)
        assert wrong["code"] == "invalid_mapping" and [error["line"] for error in wrong["errors"]] == [1, 2, 3, 4, 6]
    before = await routing.published(AREA_CHANGED)
    tried = await routing.activate(second, mapping=lines, accept=True, dry_run=True)
    assert {one["code"]: one["successors"] for one in tried["vanishing"]}[A] == [C, third]
    assert await routing.published(AREA_CHANGED) == before and routing.service.tree.has_grid(A)
    refused = await routing.activate(second, status=409, mapping=lines)
    assert refused["codes"] == [A[:12]], "the community has no successor yet"
    await routing.activate(second, mapping=lines, accept=True)
    published = {row["area_code"]: row for row in (await routing.published(AREA_CHANGED))[len(before) :]}
    assert (published[A]["in_force"], published[A]["successors"]) == (False, [C, third])
    found = (await routing.call("GET", "/v1/routing/responsibilities"))["items"]
    where = {(one["department_kind"], one["area_code"]): one["department"] for one in found}
    assert where == {("gas", C): "D2", ("gas", third): "D1", ("water", C): "D1", ("water", third): "D1"}
    assert routing.service.tree.covers("330114001001", other), "who had B has the ground that took it over"


async def test_imports_and_responsibilities_come_in_pages(routing: Routing) -> None:
    made = [await routing.draft() for _ in range(5)]
    seen: list[str] = []
    place: dict[str, str] | None = {}
    while place is not None:
        page = await routing.call("GET", "/v1/areas/versions", params={"limit": 2, **place})
        seen += [one["version_id"] for one in page["items"]]
        place = {"cursor": page["cursor"]} if page["cursor"] else None
    assert seen[:5] == made[::-1]
    await routing.put_in_force([box(A, 120.5, 30.3), box(B, 120.51, 30.3), box(C, 120.52, 30.3)])
    rows = [{"department_kind": kind, "area_code": area, "department": "D"} for kind in "abc" for area in (A, B, C)]
    await routing.call("PUT", "/v1/routing/responsibilities", {"put": rows})
    for areas, of_mine in (((), 9), ((B,), 3)):
        found: list[tuple[str, str]] = []
        place = {}
        while True:
            params = {"limit": 2, **place}
            page = await routing.call("GET", "/v1/routing/responsibilities", params=params, areas=areas)
            found += [(one["department_kind"], one["area_code"]) for one in page["items"]]
            if page["cursor"] is None:
                break
            place = {"cursor": page["cursor"]}
        assert len(found) == of_mine and found == sorted(set(found))


async def test_a_responsibility_that_stands_twice_is_refused_with_its_place(routing: Routing) -> None:
    def line(area: str, department: str) -> dict[str, str]:
        return {"department_kind": "gas", "area_code": area, "department": department}

    for second in ("330114", "３３０１１４"):
        body = {"put": [line("330114", "D1"), line("330115", "D2"), line(second, "D3")]}
        refused = await routing.call("PUT", "/v1/routing/responsibilities", body, status=422)
        errors = [(one["field"], one["problem"]) for one in refused["errors"]]
        assert errors == [("body.put.2", "names the same kind and area as item 0")]
    assert (await routing.call("GET", "/v1/routing/responsibilities"))["items"] == []
    both = {"put": [line("330114", "D1")], "remove": [{"department_kind": "gas", "area_code": "330114"}] * 2}
    await routing.call("PUT", "/v1/routing/responsibilities", both)
    found = (await routing.call("GET", "/v1/routing/responsibilities"))["items"]
    assert [one["department"] for one in found] == ["D1"]


async def test_a_draft_can_be_removed_and_what_was_in_force_can_not(routing: Routing) -> None:
    first = await routing.put_in_force([box(A, 120.5, 30.3)])
    second = await routing.draft()
    await routing.upload(second, [box(B, 120.5, 30.3)])
    for _ in range(2):
        await routing.call("DELETE", f"/v1/areas/versions/{second}", status=204)
    problem = await routing.call("DELETE", f"/v1/areas/versions/{first}", status=409)
    assert problem["code"] == "not_a_draft"
    assert [row["version_id"] for row in (await routing.call("GET", "/v1/areas/versions"))["items"]] == [first]
    assert {str(row["version_id"]) for row in await routing.service.pool.fetch("SELECT * FROM areas")} == {first}
    await routing.call("DELETE", f"/v1/areas/versions/{first}", status=403, roles=("dispatcher",))


async def test_a_draft_beside_another_has_its_areas_and_leaves_it_alone(routing: Routing) -> None:
    in_force = await routing.put_in_force([box(A, 120.5, 30.3), box(B, 120.51, 30.3)])
    draft = await routing.draft()
    await routing.upload(draft, [box("S1", 120.5, 30.3, level="street", parent_code="S2")])
    body = {"label": "copy", "level": "grid", "beside": draft}
    copy = await routing.call("POST", "/v1/areas/versions", body, status=201)
    assert (copy["state"], copy["areas"]) == ("draft", 1) and copy["version_id"] != draft
    second = [box(A, 120.5, 30.3), box("S2", 120.51, 30.3, level="street", parent_code="S1")]
    assert (await routing.upload(copy["version_id"], second))["added"] == 2
    round_ = await routing.activate(copy["version_id"], dry_run=True, status=422)
    assert {error["code"] for error in round_["errors"]} == {"S1", "S2"}
    clash = [box("S1", 120.9, 30.3, level="street")]
    assert (await routing.upload(copy["version_id"], clash, status=422))["errors"][0]["code"] == "S1"
    versions = {one["version_id"]: one["areas"] for one in (await routing.call("GET", "/v1/areas/versions"))["items"]}
    assert versions[draft] == 1
    await routing.call("DELETE", f"/v1/areas/versions/{copy['version_id']}", status=204)
    assert draft in {one["version_id"] for one in (await routing.call("GET", "/v1/areas/versions"))["items"]}
    await routing.call("POST", "/v1/areas/versions", {**body, "beside": in_force}, status=409)
    await routing.call("POST", "/v1/areas/versions", {**body, "beside": str(new_id())}, status=404)
    assert len((await routing.call("GET", "/v1/areas/versions"))["items"]) == 2, "what was refused leaves no draft"


async def test_other_processes_notice_a_new_version_by_themselves(routing: Routing) -> None:
    other = CurrentMap(routing.service.pool_of)
    await other.refresh()
    following = asyncio.create_task(Recurring(other.refresh, Pulse(), 0.05, 0.05).run())
    try:
        version = await routing.put_in_force([box(A, 120.5, 30.3)])
        async with asyncio.timeout(5):
            while str(other.value.version_id) != version:
                await asyncio.sleep(0.02)
        body = {"put": [{"department_kind": "water", "area_code": "330114", "department": "D1"}]}
        await routing.call("PUT", "/v1/routing/responsibilities", body)
        async with asyncio.timeout(5):
            while other.value.department("water", A) != "D1":
                await asyncio.sleep(0.02)
    finally:
        following.cancel()


async def test_versions_that_cannot_route_are_refused(routing: Routing) -> None:
    empty = await routing.draft()
    assert (await routing.activate(empty, status=422))["code"] == "no_grids"
    lost = await routing.draft()
    await routing.upload(lost, [box("G1", 120.5, 30.3, parent_code="C9")])
    assert (await routing.activate(lost, status=422))["errors"][0]["code"] == "G1"
    await routing.activate("019b0000-0000-7000-8000-000000000000", status=404)


async def test_parents_in_a_circle_are_refused_by_their_codes(routing: Routing) -> None:
    for names in ({"A1": "A1"}, {"A1": "A2", "A2": "A1"}):
        version = await routing.draft(level="district")
        above = [replace(box(code, 120.5, 30.3, level="district"), parent_code=up) for code, up in names.items()]
        await routing.upload(version, [*above, box("G1", 120.5, 30.3, parent_code="A1")])
        for dry_run in (True, False):
            refused = await routing.activate(version, status=422, dry_run=dry_run, accept=True)
            assert [one["code"] for one in refused["errors"]] == list(names), "and not the grid below them"


async def test_activating_what_changed_meanwhile_is_a_conflict(routing: Routing) -> None:
    version = await routing.draft()
    await routing.upload(version, [box(A, 120.5, 30.3)])
    results = await asyncio.gather(*(_activate(routing, version) for _ in range(4)))
    assert sorted(set(results)) in ([200], [200, 409])
    assert results.count(200) >= 1
    assert (await routing.call("GET", "/v1/areas"))["version_id"] == version


async def _activate(routing: Routing, version: str) -> int:
    path = f"/v1/areas/versions/{version}/activate"
    return (await routing.http.post(path, json={}, headers=routing.headers("operator"))).status_code


async def test_only_operators_import(routing: Routing) -> None:
    for role in ("rider", "dispatcher", "grid_worker"):
        await routing.call("POST", "/v1/areas/versions", {"label": "x"}, roles=[role], status=403)
    answer: httpx.Response = await routing.http.get("/v1/areas")
    assert answer.status_code == 401


async def test_the_export_is_cached_by_version(routing: Routing) -> None:
    await routing.put_in_force(grids()[:20])
    headers = routing.headers("rider")
    answer = await routing.http.get("/v1/areas/export.geojson", headers=headers)
    assert answer.headers["content-type"] == "application/geo+json"
    assert len(answer.json()["features"]) == 20
    assert set(answer.json()["features"][0]["properties"]) <= {
        *feature_collection(grids()[:1])["features"][0]["properties"],
        "path",
    }
    assert answer.headers["content-encoding"] == "gzip"
    plain = await routing.http.get("/v1/areas/export.geojson", headers={**headers, "Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()
    headers["If-None-Match"] = f'"another", {answer.headers["etag"]}'
    assert (await routing.http.get("/v1/areas/export.geojson", headers=headers)).status_code == 304


async def test_a_person_has_the_map_as_a_file_a_few_times_a_minute(routing: Routing) -> None:
    token = routing.installation.identity.token("u2", "王工", ["rider"])
    headers = {"Authorization": f"Bearer {token}"}
    most = routing.service.settings.exports_per_minute
    answers = [await routing.http.get("/v1/areas/export.geojson", headers=headers) for _ in range(most + 1)]
    assert [answer.status_code for answer in answers] == [200] * most + [429]
    headers["If-None-Match"] = answers[0].headers["etag"]
    assert (await routing.http.get("/v1/areas/export.geojson", headers=headers)).status_code == 304


async def test_a_person_has_two_maps_open_that_they_read_slowly(routing: Routing) -> None:
    await routing.put_in_force(grids()[:20])
    token = routing.installation.identity.token("u3", "王工", ["rider"])
    app = cast(httpx.ASGITransport, routing.http._transport).app

    def asked(**more: str) -> Held:
        return Held(app, "/v1/areas/export.geojson", {"Authorization": f"Bearer {token}", **more})

    held = [asked(), asked(**{"Accept-Encoding": "gzip"})]
    assert [await one.begun() for one in held] == [200, 200]
    assert await asked().begun() == 429
    assert (await routing.http.get("/v1/areas/export.geojson", headers=routing.headers("rider"))).status_code == 200
    for one in held:
        one.read()
        assert await one.whole()
    assert routing.service.provided.get(OpenAnswers).open == 0


async def test_areas_are_listed_in_pages(routing: Routing) -> None:
    await routing.put_in_force(grids()[:7])
    seen: list[str] = []
    place: dict[str, str] = {}
    while True:
        page = await routing.call("GET", "/v1/areas", params={"level": "grid", "limit": 3, **place})
        seen += [area["code"] for area in page["items"]]
        if page["cursor"] is None:
            break
        place = {"cursor": page["cursor"]}
    assert seen == [area.code for area in grids()[:7]]
