"""The section on a city in its third year, from build/bench-aged.json, which `make bench` writes as well."""

from collections.abc import Mapping
from typing import Any

from shared.devtools.gen.files import table


def section(found: Mapping[str, Any]) -> str:
    """The section. Raises KeyError where `found` isn't what the benchmark writes."""
    ground = found["ground"]
    n = f"{ground['reports']:,}"
    return "\n".join(
        [
            "## 第三年 / The third year\n",
            f"The same events on an empty suite and on one with {n} reports of three years, on the same servers, in "
            f"turn; of each the cheapest turn counts. Loading took {ground['took_s']:.0f} s; counts reconciled: "
            f"{found['reconciled']}.\n",
            _costs(found, n),
            "Milliseconds over HTTP, one asker after the other, Redis flushed before each, and figures read from the "
            "database for each (a running suite reads them every three seconds):\n",
            _pages(found, n),
            _rush(found),
            f"The longest statements of the services' own roles at {n} reports, of all their calls:\n",
            _statements(found),
        ]
    )


def _costs(found: Mapping[str, Any], n: str) -> str:
    empty, aged = found["cpu_us_per_event"]["empty"], found["cpu_us_per_event"]["aged"]
    rows = [(name, f"{empty[name]:.0f}", f"{aged[name]:.0f}") for name in empty]
    rows.append(("all", f"{sum(empty.values()):.0f}", f"{sum(aged.values()):.0f}"))
    at_0, at_n = (", ".join(f"{turn['per_second']:,.0f}" for turn in found["turns"][of]) for of in ("empty", "aged"))
    rows.append(("events a second, by turn", at_0, at_n))
    costs = table(f"| CPU µs an event | at 0 | at {n} |", rows)
    return f"{costs}\nAn event costs {found['dearer']:+.1%} (goal: at most +15 %).\n"


def _pages(found: Mapping[str, Any], n: str) -> str:
    at_0 = {(one["service"], one["path"], one.get("areas")): one for one in found["asked"]["empty"]}
    rows: list[tuple[str, ...]] = []
    status: list[tuple[float, str]] = []
    for one in found["asked"]["aged"]:
        was = at_0[one["service"], one["path"], one.get("areas")]
        of = f" ({one['areas']})" if one.get("areas") else ""
        if one["path"].startswith("/ops/") or one["path"] == "/metrics":
            status.append((one["p99_ms"], f"{one['service']} {one['path']}"))
        else:
            ratio = one["p50_ms"] / was["p50_ms"]
            at = (was["p50_ms"], one["p50_ms"]), (was["p99_ms"], one["p99_ms"])
            p50, p99 = ([f"{ms:.1f}" for ms in pair] for pair in at)
            rows.append((one["service"], f"`{one['path']}`{of}", *p50, f"{ratio:.2f}", *p99))
    slowest, where = max(status)
    return (
        table(f"| service | address | p50 at 0 | p50 at {n} | ratio | p99 at 0 | p99 at {n} |", rows)
        + f"\nOperators' status, dead letters and gauges of all services: {slowest:.1f} ms at most ({where}).\n"
    )


def _rush(found: Mapping[str, Any]) -> str:
    if (rush := found["rush"]) is None:
        return ""
    return (
        f"{rush['askers']} who open `/city` at the same moment after Redis was flushed cause {rush['reads']} reading "
        f"of the database; the last one waited {rush['slowest_ms']:.0f} ms.\n"
    )


def _statements(found: Mapping[str, Any]) -> str:
    def ms(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    rows = [
        (one["service"], ms(one["max_ms_at_0"]), ms(one["max_ms"]), ms(one.get("own_ms")), ms(one["mean_ms_at_0"]),
         ms(one["mean_ms"]), f"{one['calls']:,}", f"`{one['statement'][:90].replace('|', chr(92) + '|')}`")
        for one in found["statements"][:10]
    ]  # fmt: skip
    head = "| service | longest at 0, ms | longest, ms | without waits for the disk | mean at 0, ms | mean, ms | calls "
    return table(f"{head}| statement |", rows)
