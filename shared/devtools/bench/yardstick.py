"""The yardstick: pgbench's TPC-B on the same Postgres, in the same run. Only ratios to it mean anything elsewhere."""

import re
import subprocess
from dataclasses import dataclass

from shared.devtools.infra.postgres import Postgres

SCALE = 50
CLIENTS = 8
DATABASE = "yardstick"


@dataclass(frozen=True)
class Yardstick:
    """Y: transactions per second; L: mean latency of one, in milliseconds."""

    y_tps: float
    l_ms: float


def measure(postgres: Postgres, seconds: int) -> Yardstick:
    """Run pgbench once; the first call of a server fills its tables.

    Raises:
        RuntimeError: pgbench failed or printed something else than its summary.
    """
    pgbench = str(postgres.pgbench)
    _run(postgres, [str(postgres.bin_folder / "psql"), "-qc", f"CREATE DATABASE {DATABASE}", "postgres"], may_fail=True)
    if "pgbench_accounts" not in _run(postgres, [str(postgres.bin_folder / "psql"), "-Atc", r"\dt", DATABASE]):
        _run(postgres, [pgbench, "-i", "-q", "-s", str(SCALE), DATABASE])
    output = _run(postgres, [pgbench, "-n", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), DATABASE])
    tps = re.search(r"tps = ([0-9.]+)", output)
    latency = re.search(r"latency average = ([0-9.]+) ms", output)
    if tps is None or latency is None:
        raise RuntimeError(f"pgbench said nothing usable: {output[-500:]}")
    return Yardstick(float(tps[1]), float(latency[1]))


def _run(postgres: Postgres, words: list[str], *, may_fail: bool = False) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=postgres.client_env, check=False, timeout=300)
    if done.returncode and not may_fail:
        raise RuntimeError(f"{words[0]} failed: {done.stderr[-500:]}")
    return done.stdout + done.stderr
