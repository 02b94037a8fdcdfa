"""Reports become routes or wait for a person; nothing is routed twice."""

import asyncio
from collections.abc import Sequence

import pytest

from services.routing.store import routes as route_store
from services.routing.store.routes import SQL_OLDEST_AGES
from services.routing.usecases import reports
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.events.report_routed import ReportRouted
from shared.kit import clock
from shared.kit.messaging.work import Event
from shared.kit.metrics import REGISTRY
from shared.kit.service import Service
from shared.kit.service.running import running
from tests.reads import analyze, rows_read
from tests.services.routing.conftest import Routing, box, event, report
from tests.support import settings_of

A, B, C = "330114001001001", "330114001001002", "330114002001001"
SQUARES = [box(A, 120.50, 30.3), box(B, 120.51, 30.3), box(C, 120.52, 30.3)]
NOBODY = {"items": [], "cursor": None}


async def handle(routing: Routing, events: Sequence[Event[ReportReceived]]) -> None:
    async with routing.service.work() as work:
        await reports.route_reports(routing.router(), work, events)


async def test_a_batch_is_routed_and_published(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    body = {"put": [{"department_kind": "water", "area_code": "330114001", "department": "xiasha-water"}]}
    await routing.call("PUT", "/v1/routing/responsibilities", body)
    inside, border = report(120.505, 30.305), report(120.51 - 1e-5, 30.305, 20)
    overlap, away = report(120.529, 30.305), report(121.5, 30.305)
    await handle(routing, [event(inside), event(border), event(overlap), event(away)])
    published = {row["report_id"]: row for row in await routing.published()}
    first = published[str(inside.report_id)]
    assert (first["outcome"], first["grid_code"], first["version"]) == ("routed", A, 1)
    assert first["area_path"] == ["330114", "330114001", "330114001001"]
    assert (first["department"], first["text"], first["alternatives"]) == ("xiasha-water", "井盖丢失", [])
    assert published[str(border.report_id)]["alternatives"] == [B]
    assert published[str(overlap.report_id)]["department"] is None
    last = published[str(away.report_id)]
    assert (last["outcome"], last["reason"], last["grid_code"]) == ("unroutable", "outside_every_grid", None)
    # Built without validation: the contract must hold all the same.
    for row in published.values():
        ReportRouted.model_validate(row)
    counts = await routing.call("GET", "/ops/routing/status")
    assert counts["tallies"] == {"routed": 3, "unroutable": 1}


@pytest.mark.parametrize("accuracy_m", [None, 650.0])
async def test_a_vague_place_is_published_and_assigned_by_a_person(routing: Routing, accuracy_m: float | None) -> None:
    await routing.put_in_force(SQUARES)
    body = report(120.505, 30.305, accuracy_m)
    await handle(routing, [event(body)])
    [waits] = await routing.published()
    routed = ReportRouted.model_validate(waits)
    assert (routed.outcome, routed.reason, routed.accuracy_m) == ("unroutable", "place_too_vague", accuracy_m)
    assert routed.alternatives == (A,)
    foreign = {"roles": ["dispatcher"], "areas": [C]}
    assert await routing.call("GET", "/v1/routing/unroutable", **foreign) == NOBODY
    [queued] = (await routing.call("GET", "/v1/routing/unroutable", roles=["dispatcher"], areas=[A]))["items"]
    assert (queued["reason"], queued["report"]["accuracy_m"]) == ("place_too_vague", accuracy_m)
    path = f"/v1/routing/unroutable/{body.report_id}/assign"
    await routing.call("POST", path, {"grid_code": A}, roles=["operator"])
    routed = ReportRouted.model_validate((await routing.published())[-1])
    assert (routed.outcome, routed.grid_code, routed.accuracy_m) == ("routed", A, accuracy_m)


def shown(level: str) -> float | None:
    return REGISTRY.get_sample_value("beegrid_routing_unroutable_oldest_age_seconds", {"level": level})


async def test_how_long_the_oldest_report_of_each_level_has_waited_is_shown(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    levels = ("emergency", "hazard", "hazard")
    waiting = [report(121.5, 30.305).model_copy(update={"level": level}) for level in levels]
    await handle(routing, [event(body) for body in waiting])
    async with routing.service.pool.acquire() as conn:
        for body, hours in zip(waiting, (1, 2, 30), strict=True):
            await conn.execute(
                "UPDATE unroutable SET waiting_since = now() - $2 * interval '1 hour' WHERE report_id = $1",
                body.report_id, hours,
            )  # fmt: skip
        await reports.measure_waiting(conn)
        assert shown("emergency") == pytest.approx(3_600, abs=60)
        assert shown("hazard") == pytest.approx(30 * 3_600, abs=60)
        assert shown("routine") == 0
        path = f"/v1/routing/unroutable/{waiting[2].report_id}/assign"
        await routing.call("POST", path, {"grid_code": A})
        await reports.measure_waiting(conn)
        assert shown("hazard") == pytest.approx(2 * 3_600, abs=60)


async def test_asking_for_the_oldest_looks_into_an_index_and_at_no_history(routing: Routing) -> None:
    async with routing.service.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        rows = await conn.fetch(f"EXPLAIN {SQL_OLDEST_AGES}", ["emergency", "hazard"])
    plan = "\n".join(row[0] for row in rows)
    assert "using unroutable_level on unroutable" in plan, plan
    assert "Sort" not in plan and "Seq Scan" not in plan and " routes" not in plan, plan


async def test_the_same_report_under_another_event_id_changes_nothing(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    body = report(120.505, 30.305)
    await handle(routing, [event(body), event(body)])
    await handle(routing, [event(body)])
    assert len(await routing.published()) == 1


async def test_without_a_map_everything_waits_and_a_person_assigns(routing: Routing) -> None:
    body = report(120.505, 30.305)
    await handle(routing, [event(body)])
    assert (await routing.published())[0]["reason"] == "no_active_map"
    await routing.put_in_force(SQUARES)
    assert await routing.call("GET", "/v1/routing/unroutable", roles=["dispatcher"]) == NOBODY
    foreign = {"roles": ["dispatcher"], "areas": ["330105"]}
    assert await routing.call("GET", "/v1/routing/unroutable", **foreign) == NOBODY
    mine = {"roles": ["dispatcher"], "areas": ["330114001"]}
    queue = (await routing.call("GET", "/v1/routing/unroutable", **mine))["items"]
    assert [(item["report_id"], item["report"]["text"]) for item in queue] == [(str(body.report_id), "井盖丢失")]
    path = f"/v1/routing/unroutable/{body.report_id}/assign"
    await routing.call("POST", path, {"grid_code": C}, status=403, **mine)
    await routing.call("POST", path, {"grid_code": "330114001"}, status=422, **mine)
    await routing.call("POST", path, {"grid_code": A}, status=403, roles=["rider"], areas=["330114"])
    assigned = await routing.call("POST", path, {"grid_code": A}, **mine)
    assert (assigned["outcome"], assigned["version"], assigned["grid_code"]) == ("routed", 2, A)
    last = (await routing.published())[-1]
    assert (last["outcome"], last["version"], last["grid_code"]) == ("routed", 2, A)
    assert last["area_path"] == ["330114", "330114001", "330114001001"]
    assert last["received_at"] == (await routing.published())[0]["received_at"]
    # The same once more is the same answer; another grid is refused with the present one.
    assert await routing.call("POST", path, {"grid_code": A}, **mine) == assigned
    conflict = await routing.call("POST", path, {"grid_code": B}, status=409, **mine)
    assert conflict["grid_code"] == A
    assert await routing.call("GET", "/v1/routing/unroutable") == NOBODY
    assert len(await routing.published()) == 2


async def test_two_dispatchers_at_once_assign_one_grid(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    body = report(121.5, 30.3)
    await handle(routing, [event(body)])
    path, headers = f"/v1/routing/unroutable/{body.report_id}/assign", routing.headers("operator")
    answers = await asyncio.gather(
        *(routing.http.post(path, json={"grid_code": code}, headers=headers) for code in (A, B, C))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert [row["version"] for row in await routing.published()] == [1, 2]


async def test_an_unknown_report_is_not_found(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    path = f"/v1/routing/unroutable/{report(0, 0).report_id}/assign"
    assert (await routing.call("POST", path, {"grid_code": A}, status=404))["status"] == 404


async def test_responsibilities_are_changed_only_as_seen(routing: Routing) -> None:
    path = "/v1/routing/responsibilities"
    row = {"department_kind": "gas", "area_code": "330114", "department": "D1", "name": "燃气公司"}
    first = await routing.call("PUT", path, {"put": [row], "expected_revision": 0})
    moved = await routing.call("PUT", path, {"put": [row], "expected_revision": 0}, status=409)
    assert moved["revision"] == first["revision"] == 1
    assert await routing.call("GET", path) == {"revision": 1, "items": [row], "cursor": None}
    key = {"department_kind": "gas", "area_code": "330114"}
    await routing.call("PUT", path, {"remove": [key], "expected_revision": 1})
    assert (await routing.call("GET", path))["items"] == []
    await routing.call("PUT", path, {"put": [row]}, roles=["dispatcher"], status=403)


async def test_reports_from_kafka_are_routed(routing: Routing) -> None:
    await routing.put_in_force(SQUARES)
    values = settings_of(routing.installation, "intake")
    publisher = Service("intake", values, title="publisher")
    bodies = [report(120.505 + 0.01 * (n % 3), 30.305) for n in range(30)]
    async with running(publisher):
        async with publisher.work() as work:
            for body in bodies:
                work.publish(REPORT_RECEIVED, body, version=1)
        deadline_s = clock.monotonic_s() + 20
        while await routing.service.pool.fetchval("SELECT count(*) FROM routes") < 30:
            assert clock.monotonic_s() < deadline_s, "not routed within 20 s"
            await asyncio.sleep(0.05)
    assert sorted({row["grid_code"] for row in await routing.published()}) == [A, B, C]


async def test_a_page_of_the_queue_reads_a_row_a_grid_and_a_few_pages(routing: Routing) -> None:
    """However many wait elsewhere, and however many grids an office has."""
    await routing.put_in_force(SQUARES)
    async with routing.service.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO routes (report_id, version, outcome, alternatives, routed_at) "
            "SELECT gen_random_uuid(), 1, 'unroutable', '{}', now() FROM generate_series(1, 6000)"
        )
        # the first 4,000 wait elsewhere, the rest near one of a hundred grids
        await conn.execute(
            "INSERT INTO unroutable SELECT report_id, 'outside_every_grid', now() + n * interval '1 s', "
            "CASE WHEN n <= 4000 THEN 'elsewhere' ELSE 'G' || n % 100 END, '{}' "
            "FROM (SELECT report_id, row_number() OVER () AS n FROM routes) AS r"
        )
        await analyze(routing.installation, "routing", "unroutable")
        mine = [f"G{n}" for n in range(100)]
        for _ in range(7):
            before = await rows_read(conn, "unroutable")
            found = await route_store.waiting(conn, None, 51, mine)
            read = await rows_read(conn, "unroutable") - before
        everything = await conn.fetch(
            "SELECT report_id FROM unroutable WHERE near = ANY($1) ORDER BY waiting_since, report_id LIMIT 51", mine
        )
    assert [one.report_id for one in found] == [row[0] for row in everything]
    assert read <= 100 + 5 * 51
