"""Lists that name the same thing twice, otherwise right: what generated requests seldom get as far as."""

from typing import Any
from uuid import uuid4

import httpx

from shared.devtools.gen.files import ROOT
from shared.provision.services import service_names
from tests.doors.strangers.conftest import Doors
from tests.doors.strangers.test_intake_doors import report
from tests.services.intake.test_imaging import encoded, picture

SQUARE = [[[120.5, 30.3], [120.51, 30.3], [120.51, 30.31], [120.5, 30.31], [120.5, 30.3]]]


def outcomes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["status"] for one in answer.json()["items"]]


def test_a_report_with_one_photo_twice_and_itself_twice(doors: Doors) -> None:
    photo = doors.post("intake", "company", "/v1/photos", encoded(picture(), "PNG"), "image/png").json()["photo_id"]
    one = report(uuid4().hex, photos=[photo, photo])
    assert doors.ask("intake", "company", "POST", "/v1/reports", one).status_code == 201
    other = report(uuid4().hex, photos=[photo, photo])
    batch = {"items": [other, other, one]}
    assert outcomes(doors.ask("intake", "company", "POST", "/v1/reports:batch", batch)) == [
        "accepted",
        *["repeated"] * 2,
    ]


def test_riders_and_outlets_twice(doors: Doors) -> None:
    number = uuid4().hex
    riders = {"items": [{"external_id": number, "name": name} for name in ("甲", "甲", "乙", "甲")]}
    answer = outcomes(doors.ask("riders", "company", "POST", "/v1/riders:batch", riders))
    assert answer == ["created", "unchanged", "changed", "changed"]
    code = f"o{number[:8]}"
    outlets = {"items": [{"code": code, "name": name, "address": "x"} for name in ("一店", "二店", "二店")]}
    saved = doors.ask("riders", "company", "POST", "/v1/outlets:batch", outlets)
    assert saved.status_code in (200, 422), saved.text


def test_areas_responsibilities_and_successors_twice(doors: Doors) -> None:
    draft = doors.ask("routing", "operator", "POST", "/v1/areas/versions", {"label": "twice"}).json()["version_id"]
    area = {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": SQUARE},
        "properties": {"code": "330114001001001", "name": "一", "level": "grid"},
    }  # fmt: skip
    path = f"/v1/areas/versions/{draft}"
    twice = {"type": "FeatureCollection", "features": [area, area]}
    added = doors.ask("routing", "operator", "POST", f"{path}/features", twice)
    assert added.status_code in (200, 409, 422), added.text
    mapping = [{"old_code": "G1", "new_code": "330114001001001"}] * 2
    wanted = {"mapping": mapping, "dry_run": True}
    assert doors.ask("routing", "operator", "POST", f"{path}/activate", wanted).status_code == 422
    water: dict[str, Any] = {"department_kind": "water", "area_code": "330114", "department": "w"}
    key = {"department_kind": "water", "area_code": "330114"}
    responsible = "/v1/routing/responsibilities"
    assert doors.ask("routing", "operator", "PUT", responsible, {"put": [water, water]}).status_code == 422
    assert doors.ask("routing", "operator", "PUT", responsible, {"remove": [key, key]}).status_code == 200


def test_steps_twice(doors: Doors) -> None:
    step = {"case_id": str(uuid4()), "step": "claim"}
    answer = doors.ask("cases", "operator", "POST", "/v1/cases:transition", {"items": [step, step]})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["items"]
    assert first == second  # there is no such case


def test_an_operator_s_numbers_twice(doors: Doors) -> None:
    for service in service_names(ROOT):
        for path in ("dead-letters/replay", "dead-letters/discard", "outbox/stuck/retry", "outbox/stuck/discard"):
            body = {"ids": [1, 1], "reason": "because"}
            answer = doors.ask(service, "operator", "POST", f"/ops/{service}/{path}", body)
            assert answer.status_code < 500, (service, path, answer.text)
        codes = {"codes": ["330114", "330114"]}
        answer = doors.ask(service, "operator", "POST", f"/ops/{service}/areas/dependents", codes)
        assert answer.status_code == 200, (service, answer.text)
