"""The section on the benchmark's ratios and latencies, from build/bench.json; none where that is older than these."""

from collections.abc import Iterator, Mapping
from typing import Any


def sections(bench: Mapping[str, Any]) -> list[str]:
    """The section's parts, those that the run has measured."""
    five = bench["five_hops"]
    if "floor_share" not in five:
        return []
    parts = [_floor(bench, five), _parts(five)]
    if bench.get("paced"):
        parts.append(_paced(bench["paced"]))
    return ["## 与下限相比 / Against the floor\n", *parts, "".join(_beside(bench))]


def _floor(bench: Mapping[str, Any], five: Mapping[str, Any]) -> str:
    python = bench["machine"]["python"]
    optimised = {True: "with", False: "without", None: "perhaps with"}[python["pgo"]]
    built = f"Python {python['version']}, built {optimised} profile-guided optimisation"
    return (
        f"The floor is the same five hops bare in one process, on the same servers in the same run: "
        f"{five['floor']['per_second']:,} events a second. The suite, every service its own process, reaches "
        f"**{five['floor_share']:.2f}** of that, and an event costs **{five['floor_cpu_ratio']:.2f}** times its CPU. "
        f"{built}; {bench['machine']['cores']} cores.\n"
    )


def _parts(five: Mapping[str, Any]) -> str:
    suite, floor = five["cpu_us_by_part"]["suite"], five["cpu_us_by_part"]["floor"]
    rows = "".join(f"| {part} | {us:.0f} | {floor[part]:.0f} |\n" for part, us in suite.items())
    return f"| CPU µs an event | suite | floor |\n|---|---|---|\n{rows}"


def _paced(runs: list[Mapping[str, Any]]) -> str:
    hops = list(runs[0]["per_hop_p99_ms"])
    head = f"| share of the capacity | events/s | p50, ms | p99, ms | {' | '.join(f'p99 of {hop}' for hop in hops)} |\n"
    rows = "".join(
        f"| {one['share']:.0%} | {one['per_second']:,} | {one['p50_ms']:.0f} | {one['p99_ms']:.0f} | "
        f"{' | '.join(f'{ms:.0f}' for ms in one['per_hop_p99_ms'].values())} |\n"
        for one in runs
    )
    return f"{head}{'|---' * (4 + len(hops))}|\n{rows}"


def _beside(bench: Mapping[str, Any]) -> Iterator[str]:
    if http := bench.get("http"):
        yield (
            f"- Each report a signed POST, the load on the same cores: {http['share_of_five_hops']:.2f} of the events "
            f"a second; at half of that from request to the rider's message {http['p99_ms']:.0f} ms (p99).\n"
        )
    if postings := bench.get("postings"):
        yield f"- Postings in batches: {postings['ratio_to_single']:.1f} times as many as one by one.\n"
    if offer := bench.get("hot_offer"):
        yield (
            f"- An offer that 200 want at once: {offer['ratio_to_row_lock']:.1f} times as many redemptions as with a "
            f"row lock, {offer['p99_ms']:.0f} ms (p99).\n"
        )
    located, routed = bench["located_per_core_s"], bench["routed_per_core_s"]
    yield f"- Points located: {located:,} a second and core; with the decision about each {routed:,}.\n"
    if "start_s" in bench:
        idle = bench["idle"]
        yield (
            f"- Everything on one machine starts in {bench['start_s']:.1f} s; idle, all services take "
            f"{idle['cores']:.1%} of a core and {idle['pss_mib']:.0f} MiB.\n"
        )
