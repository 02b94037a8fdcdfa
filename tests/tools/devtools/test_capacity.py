"""The model's arithmetic, and that the simulated rush hour finds the part that is really too small."""

from dataclasses import replace

import pytest

from shared.devtools.capacity.__main__ import document, equipment_of
from shared.devtools.capacity.model import BUSY_MOST, LIFE, PLACES, Measured, plan
from shared.devtools.capacity.simulation import Equipment, first_limit, rush_hour
from shared.synthetic.pace import rush

BENCH = {
    "yardstick": {"y_tps": 4000, "l_ms": 2.0},
    "five_hops": {
        "ratio": 1.5,
        "per_second": 6000,
        "cpu_us_per_event": {
            "intake": 20.0, "routing": 40.0, "cases": 60.0, "points": 50.0, "notifications": 30.0,
            "kafka": 40.0, "postgres": 130.0, "riders": 1.0,
        },
    },
    "storage": {
        "rows_per_report": {"routing": 2.0, "cases": 3.0},
        "bytes_per_report": {"routing": 400, "cases": 900},
        "kafka_bytes_per_report": 1200,
    },
    "reconciled": True,
}  # fmt: skip
MEASURED = Measured.of(BENCH)
CITY = PLACES[0]


def test_a_report_costs_its_whole_life() -> None:
    assert MEASURED.life_s("cases") == pytest.approx(60e-6 * LIFE["cases"])
    assert MEASURED.life_s("intake") > 20e-6, "and its request"
    assert "riders" not in MEASURED.cpu_s


def test_pods_carry_the_busiest_minute() -> None:
    for place in PLACES:
        made = plan(MEASURED, place)
        for name, pods in made.pods.items():
            assert pods >= 2
            assert place.peak * MEASURED.life_s(name) / pods <= BUSY_MOST + 1e-9
        assert made.partitions >= max(pods for name, pods in made.pods.items() if name != "intake")
    assert plan(MEASURED, CITY).postgres_bytes == pytest.approx(CITY.per_day * 365 * 1300)


def test_an_hour_has_the_mean_and_the_peak_that_were_asked_for() -> None:
    seconds = rush(90.0, 1 / 3)
    assert max(seconds) == pytest.approx(90.0, rel=0.01)
    assert sum(seconds) / len(seconds) == pytest.approx(30.0, rel=0.01)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place.riders))
def test_the_planned_size_keeps_up(place: object) -> None:
    made = plan(MEASURED, place)  # type: ignore[arg-type]  # the id function makes pytest forget the type
    outcome = rush_hour(MEASURED, equipment_of(made), made.place.peak)
    assert outcome.saturated is None
    assert max(outcome.wait_s.values()) < 1


@pytest.mark.parametrize("weak", ["intake", "routing", "cases", "points", "notifications"])
def test_the_weak_service_saturates_first(weak: str) -> None:
    need = {name: 1000 * MEASURED.life_s(name) for name in MEASURED.services}
    pods = {name: max(1, round(4 * cores + 1)) for name, cores in need.items()} | {weak: 1}
    tight = replace(MEASURED, cpu_s={**MEASURED.cpu_s, weak: MEASURED.cpu_s[weak] * 40})
    limit = first_limit(tight, Equipment(pods, {"postgres": 100.0, "kafka": 100.0}), 100.0)
    assert limit.part == weak


@pytest.mark.parametrize("weak", ["postgres", "kafka"])
def test_a_weak_server_saturates_first(weak: str) -> None:
    cores = {"postgres": 100.0, "kafka": 100.0} | {weak: 0.05}
    pods = dict.fromkeys(MEASURED.services, 50)
    assert first_limit(MEASURED, Equipment(pods, cores), 100.0).part == weak


def test_more_of_everything_carries_more() -> None:
    made = plan(MEASURED, PLACES[1])
    small = equipment_of(made)
    large = Equipment({n: 2 * p for n, p in small.pods.items()}, {n: 2 * c for n, c in small.cores.items()})
    peak = PLACES[1].peak
    assert first_limit(MEASURED, large, peak).times > 1.7 * first_limit(MEASURED, small, peak).times


def test_a_measurement_without_costs_is_refused() -> None:
    free = Measured(cpu_s=dict.fromkeys(LIFE, 1e-15) | {"postgres": 1e-15, "kafka": 1e-15})
    with pytest.raises(ValueError, match="nothing saturates"):
        first_limit(free, Equipment(dict.fromkeys(LIFE, 10), {"postgres": 10, "kafka": 10}), 0.001)


def test_the_page_says_when_a_run_was_wrong() -> None:
    assert "worthless" not in document(BENCH)
    assert "worthless" in document({**BENCH, "reconciled": False})
