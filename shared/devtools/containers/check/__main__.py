"""All parts in their order, on one suite. KEEP=1 leaves it there; names of parts run these alone after `up`."""

import os
import signal
import sys
from collections.abc import Callable

import httpx

from shared.devtools.containers import engine
from shared.devtools.containers.check import faults, running
from shared.devtools.containers.check.place import Fault, Place, made
from shared.devtools.containers.engine import EngineError
from shared.kit import clock

PARTS: tuple[Callable[[Place], str], ...] = (
    running.environment,
    running.images,
    running.up,
    running.layers,
    running.probes,
    running.balanced,
    running.replaced,
    running.away,
    running.upgraded,
    running.monitoring,
    faults.wrong_passwords,
    faults.kafka_away,
    faults.lost_environment,
    faults.rotated,
    faults.toolbox,
)
FIRST = {"environment", "images", "up"}


def main() -> int:
    """0: all holds, or there is no engine, which is said; 1: something doesn't."""
    chosen = set(sys.argv[1:])
    if unknown := chosen - {part.__name__ for part in PARTS}:
        print(f"no such part: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    if away := engine.absent():
        print(f"SKIPPED: nothing of docker-compose.yml was tried, for no container engine answers ({away})")
        return 0
    if old := engine.too_old():
        print("\n".join(old), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed
    failed = 0
    with made(keep=os.environ.get("KEEP") == "1") as place:
        for part in PARTS:
            name = part.__name__
            if chosen and name not in chosen | FIRST:
                continue
            began_s = clock.monotonic_s()
            try:
                words = part(place)
            except (Fault, EngineError, httpx.HTTPError) as error:
                failed += 1
                words = f"FAILED: {error}"
            print(f"{name:<18}{clock.monotonic_s() - began_s:6.0f} s  {words}", flush=True)
            if failed and name in FIRST:
                break
    print(f"{len(PARTS) if not chosen else len(chosen | FIRST)} parts, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
