"""Words and numbers that no store can hold are refused by the field's name, also as one among many."""

from typing import Any
from uuid import UUID

import pytest

from shared.devtools.gen.files import ROOT
from shared.provision.services import service_names
from tests.doors.strangers.conftest import Doors

HUGE = "525930234974679138304"
REPORT = {
    "rider": "r1",
    "kind": "local-gas-smell",
    "place": {"lng": 120.2, "lat": 30.3, "datum": "wgs84"},
    "occurred_at": "2026-11-20T08:00:00Z",
}
RIDER = {"name": "王小哥"}


@pytest.mark.parametrize("service", service_names(ROOT))
def test_letters_are_asked_for_by_numbers_that_exist(service: str, doors: Doors) -> None:
    base = f"/ops/{service}/dead-letters"
    for path, field in (
        (f"{base}?after={HUGE}", "query.after"),
        (f"{base}?topic=a%00b", "query.topic"),
        (f"{base}/{HUGE}", "path.letter_id"),
        (f"{base}/9554137520798599168", "path.letter_id"),
    ):
        answer = doors.ask(service, "operator", "GET", path)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), path
    for body, field in (
        ({"ids": [int(HUGE)], "reason": "because"}, "body.ids.0"),
        ({"ids": [1], "reason": "be\x00cause"}, "body.reason"),
        ({"ids": [1], "topic": "\x00", "reason": "because"}, "body.topic"),
    ):
        answer = doors.ask(service, "operator", "POST", f"{base}/replay", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), body
    assert doors.ask(service, "operator", "GET", f"{base}?after={2**63 - 1}").json() == []


@pytest.mark.parametrize("service", service_names(ROOT))
def test_an_exchange_of_sealing_keys_goes_on_from_where_one_was(service: str, doors: Doors) -> None:
    base = f"/ops/{service}/keys/reseal"
    for cursor in (".0", "0.x", "0.00000000-0000-0000-0000-00000000000", "1.-", "٣"):
        answer = doors.ask(service, "operator", "POST", f"{base}?cursor={cursor}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.cursor"), cursor
    for cursor in ("", "0.", "9.", f"0.{UUID(int=7)}"):
        assert doors.ask(service, "operator", "POST", f"{base}?cursor={cursor}").json()["cursor"] is None, cursor


@pytest.mark.parametrize(
    ("service", "caller", "path", "field"),
    [
        ("points", "rider", "/v1/points/me/entries?cursor=%D9%A1.%D9%A1", "query.cursor"),  # digits of another script
        ("notifications", "operator", "/v1/webhooks?cursor=%00", "query.cursor"),
        ("notifications", "operator", "/v1/notifications/deliveries?cursor=%00", "query.cursor"),
        ("cases", "operator", "/v1/cases?due_before=0001-01-01T00:00:00%2B14:00", "query.due_before"),
        ("tracking", "operator", "/v1/tracking/hops?since=0001-01-01T00:00:00%2B14:00", "query.since"),
        ("routing", "operator", "/v1/areas?cursor=%00", "query.cursor"),
        ("routing", "operator", "/v1/areas/export.geojson?within=%E5%8C%BA", "query.within"),
        ("riders", "company", "/v1/riders/a%00b", "path.rider"),
    ],
)
def test_addresses_say_what_is_wrong_with_them(service: str, caller: str, path: str, field: str, doors: Doors) -> None:
    answer = doors.ask(service, caller, "GET", path)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text


BAD_RIDERS: list[tuple[dict[str, Any], str]] = [
    ({"name": "a\x00b"}, "name"),
    ({"name": "\ud800"}, "name"),
    ({"name": "two\nlines"}, "name"),
    ({"name": "长" * 100_000}, "name"),
    ({"external_id": "\x00"}, "external_id"),
    ({"external_id": "号码"}, "external_id"),
    ({"consent_at": "9999-12-31T23:59:59-14:00"}, "consent_at"),
]
BAD_REPORTS: list[tuple[dict[str, Any], str]] = [
    ({"text": "a\x00b"}, "text"),
    ({"text": "a\udfff"}, "text"),
    ({"kind": "\x00"}, "kind"),
    ({"rider": "r\x00"}, "rider"),
    ({"photos": ["\x00"]}, "photos.0"),
    ({"text": "字" * 100_000}, "text"),
    ({"place": {"lng": 1e400, "lat": 30.3, "datum": "wgs84"}}, "place.lng"),
]


@pytest.mark.parametrize(
    ("service", "what", "usual", "bad", "most"),
    [("riders", "riders", RIDER, BAD_RIDERS, 1_000), ("intake", "reports", REPORT, BAD_REPORTS, 500)],
)
def test_one_bad_item_among_hundreds_is_named_and_costs_no_other(
    service: str, what: str, usual: dict[str, Any], bad: list[tuple[dict[str, Any], str]], most: int, doors: Doors
) -> None:
    items = [{"external_id": f"{what}-{n}", **usual} for n in range(most // 2)]
    for at, (change, _) in enumerate(bad):
        items[10 * at + 5] |= change
    answer = doors.ask(service, "company", "POST", f"/v1/{what}:batch", {"items": items})
    assert answer.status_code == 200, answer.text
    results = answer.json()["items"]
    for at, (change, field) in enumerate(bad):
        result = results.pop(9 * at + 5)
        assert result["status"] == "refused", change
        assert result["problem"]["field"].endswith(field), (result, field)
    assert {one["status"] for one in results} == {"created" if what == "riders" else "accepted"}


def test_words_are_kept_and_codes_are_brought_into_one_form(doors: Doors) -> None:
    odd = {"external_id": "ｒ２", "name": "مۇھەممەت 𠮷 👷🏽"}
    answer = doors.ask("riders", "company", "POST", "/v1/riders:batch", {"items": [odd]})
    assert answer.json()["items"][0]["external_id"] == "r2"
    read = doors.ask("riders", "company", "GET", "/v1/riders/r2").json()
    assert (read["external_id"], read["name"]) == ("r2", odd["name"])
