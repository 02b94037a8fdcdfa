"""What stays, by arithmetic: deletes keep up with a country, and where they would not the page says so."""

from datetime import timedelta

import pytest

from shared.devtools.capacity import staying
from shared.devtools.capacity.__main__ import document
from shared.devtools.capacity.model import PLACES
from shared.devtools.capacity.staying import SWEEPING_PODS, SWEPT_PER_S_LEAST, Kept, behind, deletes, kept, section
from shared.devtools.gen.files import ROOT
from shared.kit.postgres.retention import Sweep, Table, Way
from shared.provision.services import service_names, tables_of
from tests.tools.devtools.test_capacity import BENCH

CITY, _, COUNTRY = PLACES
STAYS = Table("never", "a row", Way.STAYS, "for good", "the test", per_report=1.0)


def test_one_sweeper_of_each_service_keeps_up_with_a_country() -> None:
    assert SWEEPING_PODS == 1
    assert behind(kept(), COUNTRY, SWEPT_PER_S_LEAST) == []


def test_what_falls_behind_is_named() -> None:
    """As the inbox would, were it swept."""
    swept = Kept("notifications", "inbox", 24.0, 22.0, staying.DELETED)
    [late] = behind([*kept(), swept], COUNTRY, SWEPT_PER_S_LEAST)
    assert late.startswith("notifications must delete")
    assert "falls behind" in section({**BENCH, "sweep_rows_per_s": 100})
    assert "falls behind" not in section({**BENCH, "sweep_rows_per_s": 40_000})


def test_each_growing_table_is_there_once() -> None:
    found = [one.name for one in kept()]
    assert len(set(found)) == len(found)
    declared = {
        f"{service}.{table.name}"
        for service in service_names(ROOT)
        for table in tables_of(service)
        if table.per_report and table.way is not Way.DRAINED
    }
    assert declared <= set(found)
    assert {f"{service}.inbox" for service in ("routing", "points", "tracking")} <= set(found)
    assert {"intake.inbox_derived", "intake.request_ids"} <= set(found)
    assert not any(name.endswith((".outbox", "intake.inbox_other")) for name in found)


def test_rows_are_those_of_the_days_that_they_stay() -> None:
    by_name = {one.name: one for one in kept()}
    messages = by_name["notifications.messages"]
    assert (messages.per_report, messages.days, messages.shrinks) == (5.0, 365, staying.DELETED)
    assert messages.rows(CITY) == CITY.per_day * 5 * 365
    assert messages.deletes_per_s(CITY) == pytest.approx(CITY.per_day * 5 / 86_400)
    inbox = by_name["routing.inbox"]
    assert (inbox.days, inbox.shrinks, inbox.deletes_per_s(COUNTRY)) == (24, staying.DROPPED, 0)
    assert by_name["intake.request_ids"].days == pytest.approx(1 / 24)
    assert (by_name["rewards.redemptions"].days, by_name["rewards.redemptions"].shrinks) == (None, staying.NEVER)
    steps = by_name["cases.steps"]
    assert (steps.days, steps.shrinks, steps.rows(CITY)) == (None, staying.NEVER, CITY.per_day * 4 * 365)
    attempts = by_name["notifications.delivery_attempts"]
    assert (attempts.days, attempts.shrinks) == (30, staying.DELETED), "they leave with their deliveries"


def test_a_services_tables_add_up() -> None:
    two = [Kept("a", name, 2.0, 1.0, staying.DELETED) for name in ("x", "y")]
    assert deletes([*two, Kept("a", "z", 9.0, None, staying.NEVER)], CITY) == {
        "a": pytest.approx(4 * CITY.per_day / 86_400)
    }


def test_declarations_become_ways() -> None:
    swept = Table("t", "a row", Way.SWEPT, "a day", "the test", Sweep("at", timedelta(hours=36)), per_report=1.0)
    assert staying._of("a", swept, 1.0, swept) == Kept("a", "t", 1.0, 1.5, staying.DELETED)
    assert staying._of("a", STAYS, 1.0, STAYS) == Kept("a", "never", 1.0, None, staying.NEVER)
    drained = Table("d", "a row", Way.DRAINED, "briefly", "the test", per_report=1.0)
    assert staying._of("a", drained, 1.0, drained) is None


def test_the_page_keeps_measured_and_reckoned_apart() -> None:
    storage = {**BENCH["storage"], "bytes_per_row": {"cases.steps": 1024.0}}  # type: ignore[dict-item]  # a dictionary of dictionaries
    lines = document({**BENCH, "storage": storage, "sweep_rows_per_s": 8_000}).splitlines()
    [steps] = [line for line in lines if line.startswith("| `cases.steps`")]
    [routes] = [line for line in lines if line.startswith("| `routing.routes`")]
    assert f"/ {CITY.per_day * 4 * 365 * 1024 / 1024**3:,.1f} |" in steps
    assert "≈" not in steps and "≈" in routes
    assert any("2.0 times the yardstick" in line for line in lines)
