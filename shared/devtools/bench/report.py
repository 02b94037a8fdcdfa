"""The table that the benchmark prints: what was measured beside what is to be reached."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

Line = tuple[str, str, str]
"""What, its value, its goal."""
PACED_GOALS = {0.15: "≤ 150", 0.5: "≤ 400, ≤ 3 × p50", 0.8: "≤ 1,000"}


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print it; what wasn't measured is left out."""
    table = Table(title="五跳基准 / five hops on real Kafka")
    for title in ("what", "value", "goal"):
        table.add_column(title)
    for line in lines(result):
        table.add_row(*line)
    console.print(table)


def lines(result: Mapping[str, Any]) -> Iterator[Line]:
    """All lines, in order."""
    python = result["machine"]["python"]
    yield "Python", f"{python['version']}, PGO {python['pgo']}, LTO {python['lto']}", "optimised where there is one"
    yield from _five_hops(result["five_hops"])
    for one in result.get("paced", ()):
        name = f"at {one['share']:.0%} of the capacity"
        yield f"{name}: p50 / p99, ms", f"{one['p50_ms']} / {one['p99_ms']}", PACED_GOALS.get(one["share"], "")
        hops = "  ".join(f"{hop} {ms:.0f}" for hop, ms in one["per_hop_p99_ms"].items())
        yield f"{name}: p99 of each hop, ms", hops, ""
    if bare := result["five_hops"].get("floor", {}).get("paced"):
        yield "the floor at as many as 50%: p50 / p99, ms", f"{bare['p50_ms']} / {bare['p99_ms']}", ""
    yield from _beside(result)
    yield "points located a second and core", f"{result['located_per_core_s']:,}", "≥ 500,000"
    yield "points routed a second and core", f"{result['routed_per_core_s']:,}", ""
    yield from _rest(result)
    yield "reconciled", str(result["reconciled"]), "True"


def _five_hops(five: Mapping[str, Any]) -> Iterator[Line]:
    if "floor_share" in five:
        yield "throughput / the floor's", str(five["floor_share"]), "≥ 0.6"
        yield "CPU of an event / the floor's", str(five["floor_cpu_ratio"]), "≤ 1.6"
        yield "throughput / pgbench's (Y)", str(five["ratio"]), ""
        yield "events a second, suite / floor", f"{five['per_second']:,} / {five['floor']['per_second']:,}", ""
        suite, floor = five["cpu_us_by_part"]["suite"], five["cpu_us_by_part"]["floor"]
        for part, spent in suite.items():
            yield f"CPU µs an event, suite / floor: {part}", f"{spent} / {floor[part]}", ""
        for name, spent in five["cpu_us_per_event"].items():
            yield f"CPU µs an event: {name}", str(spent), ""
    else:
        yield "events a second, floor", f"{five['floor']['per_second']:,}", ""
        yield "CPU µs an event, floor", str(five["floor"]["cpu_us"]), ""
    for topic, mean in five.get("records_per_batch", {}).items():
        yield f"records a batch: {topic}", str(mean), ""


def _beside(result: Mapping[str, Any]) -> Iterator[Line]:
    if http := result.get("http"):
        yield "HTTP POST / five hops", str(http["share_of_five_hops"]), "≥ 0.4"
        yield "HTTP POST to message at half of that: p99, ms", str(http["p99_ms"]), ""
    if postings := result.get("postings"):
        yield "postings in batches / one by one", str(postings["ratio_to_single"]), "≥ 8"
        if "hottest_to_young" in postings:
            title = f"postings on an account of {postings['hottest_entries']:,} entries / on a young one"
            yield title, str(postings["hottest_to_young"]), "≥ 0.8"
    if offer := result.get("hot_offer"):
        yield "a hot offer / a row lock", str(offer["ratio_to_row_lock"]), ""
        yield "a hot offer, 200 racers: p99, ms", str(offer["p99_ms"]), ""


def _rest(result: Mapping[str, Any]) -> Iterator[Line]:
    if "start_s" in result:
        yield "start of everything, s", str(result["start_s"]), "≤ 15"
        idle = result["idle"]
        yield "idle, all services: cores", str(idle["cores"]), "≤ 0.03"
        yield "idle, all services: MiB, proportional", str(idle["pss_mib"]), "≤ 600"
        yield "idle: cores by part", "  ".join(f"{name} {cores}" for name, cores in idle["by_part"].items()), ""
    growth = result.get("growth", {})
    if growth.get("cpu_ratio_5m") is not None:
        yield "CPU of an event at 5 M reports / at 0", str(growth["cpu_ratio_5m"]), "≤ 1.15"
    elif growth.get("reports"):
        yield f"CPU of an event at {growth['reports']:,} reports / at 0", str(growth["cpu_ratio"]), "≤ 1.15"
