"""The benchmark's own arithmetic, what its table and the page say of a run, and of one that is older or shorter."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.devtools.bench import figures
from shared.devtools.bench.__main__ import add_growth, parsed
from shared.devtools.bench.figures import Round, Turn
from shared.devtools.bench.http_load import requests
from shared.devtools.bench.latency import of_commits, quantile_ms
from shared.devtools.bench.load import Sent
from shared.devtools.bench.machine import python_build
from shared.devtools.bench.report import lines
from shared.devtools.bench.yardstick import Yardstick
from shared.devtools.capacity.__main__ import document
from shared.kit.ids import new_id

YARD = Yardstick(2_000.0, 4.0)
WAY = ("routing", "cases", "points", "notifications")


def turn(per_second: float, python: float, postgres: float = 100.0, kafka: float = 50.0) -> Turn:
    return Turn(per_second, {"cases": python / 2, "points": python / 2, "postgres": postgres, "kafka": kafka})


def rounds() -> list[Round]:
    return [
        Round(turn(5_000, 150), turn(3_000, 300), YARD, turn(3_300, 300, postgres=70)),
        Round(turn(1_000, 350), turn(700, 600), YARD, turn(770, 600, postgres=80)),
        Round(turn(6_000, 150), turn(1_200, 1_350), YARD, turn(1_200, 1_350, postgres=90)),
    ]


def result() -> dict[str, Any]:
    """As bench.json has it, with the keys that others read."""
    return {
        "machine": {"python": python_build("'--enable-optimizations' '--with-lto'"), "cores": 2},
        "yardstick": {"y_tps": 2_000, "l_ms": 4.0},
        "five_hops": {
            **figures.five_hops(rounds()),
            "records_per_batch": {"cases ← x": 3.5},
            "floor": {"per_second": 5_000, "cpu_us": 300.0, "paced": {"p50_ms": 61.0, "p99_ms": 142.0}},
        },
        "paced": [
            {
                "share": 0.5,
                "per_second": 600,
                "p50_ms": 90.0,
                "p99_ms": 210.0,
                "per_hop_p99_ms": dict.fromkeys(WAY, 50.0),
            }
        ],
        "http": {"per_second": 500, "share_of_five_hops": 0.42, "p99_ms": 180.0, "answer_p99_ms": 30.0},
        "postings": {"ratio_to_single": 11.5},
        "hot_offer": {"ratio_to_row_lock": 14.2, "p99_ms": 12.0},
        "located_per_core_s": 512_345,
        "routed_per_core_s": 301_234,
        "start_s": 9.5,
        "idle": {"cores": 0.021, "pss_mib": 480.0, "by_part": {"services": 0.021, "kafka": 0.05}},
        "growth": figures.growth({"ground": {"reports": 5_000_000}, "dearer": 0.021}),
        "reconciled": True,
    }


def test_each_round_is_a_pair_and_the_middle_one_counts() -> None:
    found = figures.five_hops(rounds())
    assert found["floor_share"] == 0.6, "of 0.6, 0.7 and 0.2; not the quotient of two medians"
    assert found["floor_cpu_ratio"] == 1.5, "of 1.5, 1.5 and 5"
    assert found["per_second"] == 1_200
    assert found["ratio"] == 0.6
    assert found["floor"] == {"per_second": 5_000, "cpu_us": 300.0}
    assert found["cpu_us_by_part"]["suite"] == {"postgres": 100.0, "python": 600.0, "kafka": 50.0}
    assert found["cpu_us_by_part"]["floor"] == {"postgres": 100.0, "python": 350.0, "kafka": 50.0}


def test_what_is_tried_is_a_ratio_to_the_same_round() -> None:
    found = figures.tried(rounds(), {"random_page_cost": "1.1"})
    assert found is not None
    assert found["throughput"] == 1.1
    assert found["cpu_by_part"] == {"postgres": 0.8, "python": 1.0, "kafka": 1.0}
    assert figures.tried([Round(turn(2, 1), turn(1, 1), YARD)], {}) is None


def test_growth_to_five_million_is_said_of_nothing_smaller() -> None:
    assert figures.growth(None)["cpu_ratio_5m"] is None
    assert figures.growth({"ground": {"reports": 100_000}, "dearer": 0.3})["cpu_ratio_5m"] is None
    assert figures.growth({"ground": {"reports": 5_000_000}, "dearer": -0.02})["cpu_ratio_5m"] == 0.98


def test_the_comparison_adds_what_it_has_found_to_the_run_before_it(tmp_path: Path) -> None:
    out, aged = tmp_path / "bench.json", tmp_path / "bench-aged.json"
    aged.write_text(json.dumps({"ground": {"reports": 6_000_000}, "dearer": 0.04}))
    add_growth(out)
    assert not out.exists(), "there was no run"
    out.write_text(json.dumps({"reconciled": True, "growth": figures.growth(None)}))
    add_growth(out)
    assert json.loads(out.read_text()) == {
        "reconciled": True,
        "growth": {"cpu_ratio_5m": 1.04, "reports": 6_000_000, "cpu_ratio": 1.04},
    }


def test_latencies_go_from_commit_to_commit() -> None:
    sent = [Sent(new_id(), new_id(), 100.0 + number / 10) for number in range(101)]
    at_s: dict[str, dict[UUID, float]] = {}
    for hop, after_s in zip(WAY, (0.010, 0.030, 0.060, 0.100), strict=True):
        at_s[hop] = {one.rider_id if hop == "notifications" else one.report_id: one.at_s + after_s for one in sent}
    at_s["notifications"][sent[-1].rider_id] += 1.0
    found = of_commits(0.5, 10.0, sent, at_s)
    assert found.p50_ms == 100.0
    assert found.p99_ms > 100.0
    assert found.per_hop_p99_ms["routing"] == 10.0
    assert found.per_hop_p99_ms["cases"] == 20.0
    assert found.per_hop_p99_ms["points"] == 30.0
    assert found.per_hop_p99_ms["notifications"] > 40.0
    with pytest.raises(ValueError, match="too few"):
        of_commits(0.5, 10.0, sent[:1], at_s)
    with pytest.raises(KeyError):
        of_commits(0.5, 10.0, sent, {**at_s, "cases": {}})


def test_percentiles_are_of_the_values() -> None:
    assert quantile_ms([n / 1000 for n in range(1, 102)], 50) == 51.0
    assert quantile_ms([0.001] * 98 + [0.5] * 3, 99) == 500.0


@pytest.mark.parametrize(
    ("said", "pgo", "lto"),
    [
        ("'--enable-optimizations' '--with-lto'", True, True),
        ("'--prefix=/root/.pyenv/versions/3.11.7' '--enable-shared'", False, False),
        ("'--enable-optimizations' '--with-lto=no'", True, False),
        ("'--enable-shared' '--prefix=/usr' '--with-system-ffi'", None, None),
        ("", None, None),
    ],
)
def test_a_build_says_how_it_was_optimised(said: str, pgo: bool | None, lto: bool | None) -> None:
    found = python_build(said)
    assert (found["pgo"], found["lto"]) == (pgo, lto)


def test_a_report_is_signed_and_whole_on_the_wire() -> None:
    [made] = requests("http://127.0.0.1:8123", b"k" * 32, [new_id()], seed=1)
    head, _, body = made.raw.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/reports HTTP/1.1\r\nhost: 127.0.0.1:8123\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"webhook-signature: v1," in head
    assert str(made.rider_id).encode() in body


def test_the_table_shows_every_figure_beside_its_goal() -> None:
    shown = {what: (value, goal) for what, value, goal in lines(result())}
    assert shown["throughput / the floor's"] == ("0.6", "≥ 0.6")
    assert shown["CPU of an event / the floor's"] == ("1.5", "≤ 1.6")
    assert shown["at 50% of the capacity: p50 / p99, ms"][0] == "90.0 / 210.0"
    assert shown["points located a second and core"] == ("512,345", "≥ 500,000")
    assert shown["CPU of an event at 5 M reports / at 0"][0] == "1.021"


def test_a_short_run_shows_what_it_has() -> None:
    whole = result()
    short = {name: whole[name] for name in ("machine", "located_per_core_s", "routed_per_core_s", "reconciled")}
    bare = {**short, "five_hops": {"floor": whole["five_hops"]["floor"]}}
    shown = {what: value for what, value, _ in lines(bare)}
    assert shown["events a second, floor"] == "5,000"
    assert not any("HTTP" in what for what in shown)


def test_the_page_shows_the_floor_and_an_older_run_without_it() -> None:
    page = document(result())
    assert "| throughput / the floor's | 0.6 | ≥ 0.6 |" in page
    assert "| CPU µs an event, suite / floor: python | 600.0 / 350.0 |  |" in page
    assert "| at 50% of the capacity: p50 / p99, ms | 90.0 / 210.0 | ≤ 400, ≤ 3 × p50 |" in page
    assert "| the floor at as many as 50%: p50 / p99, ms | 61.0 / 142.0 |  |" in page
    old = result()
    for name in ("floor_share", "floor_cpu_ratio", "floor", "cpu_us_by_part"):
        del old["five_hops"][name]
    for name in ("machine", "http", "postings", "hot_offer", "located_per_core_s", "start_s", "idle", "growth"):
        del old[name]
    assert "the floor" not in document(old)


def test_sizes_follow_from_what_is_asked_for() -> None:
    assert (parsed([]).reports, parsed([]).rounds) == (60_000, 3)
    assert (parsed(["--aged", "100000"]).reports, parsed(["--aged", "100000"]).rounds) == (6_000, 1)
    assert parsed(["--aged", "5000000"]).rounds == 3
