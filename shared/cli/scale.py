"""`beegrid scale`: more or fewer processes of a service of the suite on this machine."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.client import CliError, find_suite, suite_folder
from shared.cli.screen import Screen
from shared.cli.whole_files import whole_text
from shared.events import registry
from shared.kit import clock
from shared.provision.services import service_names

out = Screen()
PATIENCE_S = 120.0
REPLICAS = "replicas.json"


def scale(
    service: Annotated[str, typer.Argument(help="服务 / which service")],
    processes: Annotated[int, typer.Argument(help="进程数 / how many processes", min=1)],
) -> None:
    """扩缩容 / Let a service of the local suite run in so many processes; they share its partitions."""
    if service not in service_names():
        raise CliError("没有这个服务 / No such service", service, hint=f"one of {', '.join(service_names())}")
    folder = suite_folder()
    if folder is None or "pid" not in find_suite().facts:
        raise CliError(
            "不是本机系统 / Not a suite of `make up` here",
            hint=f"compose: docker compose up -d --no-recreate --scale {service}={processes} · Kubernetes: KEDA scales "
            f"by lag; its bounds: kubectl -n beegrid edit scaledobject {service}",
        )
    most = max((topic.partitions for topic in registry.consumed_by(service)), default=1)
    if processes > most:
        raise CliError(
            "超过分区数 / More than partitions",
            f"its topics have {most}; further processes would read nothing",
            hint=f"beegrid scale {service} {most}",
        )
    ask(folder, service, processes)
    should = set(names(service, processes))
    give_up_s = clock.monotonic_s() + PATIENCE_S
    with out.status(f"{service} → {processes}"):
        while (now := _running(service)) != should:
            if wanted(folder).get(service) != processes:
                raise CliError(
                    "未能启动 / It did not start", hint="the terminal of `make up` and .beegrid/logs say why"
                )
            if clock.monotonic_s() > give_up_s:
                raise CliError(
                    "没有动静 / Nothing happens",
                    f"running: {', '.join(sorted(now))}",
                    hint="is `make up` (or `make demo`, after its day) still there?",
                )
            time.sleep(0.5)
    out.print(f"[green]{service}: {processes} 个进程 / process(es)[/green], {most} 个分区共享 / partitions shared")
    out.print("积压 / behind: beegrid outbox")


def wanted(folder: Path) -> dict[str, int]:
    """Processes by service, as last asked for; services that aren't named have one."""
    try:
        found = json.loads((folder / REPLICAS).read_text())
    except (OSError, ValueError):  # none asked for; a file that somebody has spoilt asks for nothing
        return {}
    return {str(name): count for name, count in found.items() if isinstance(count, int) and count >= 1}


def ask(folder: Path, service: str, count: int) -> None:
    """Ask the launcher for so many processes of a service: it looks into the file all the time."""
    asked = {**wanted(folder), service: count}
    with whole_text(folder / REPLICAS) as target:
        json.dump(asked, target)


def names(service: str, count: int) -> list[str]:
    """What the processes are called."""
    return [service, *(f"{service}-{number}" for number in range(2, count + 1))]


def _running(service: str) -> set[str]:
    """Names of its processes, as the launcher lists them."""
    running = find_suite().facts.get("services", {})
    return {name for name in running if name == service or name.rpartition("-")[0] == service}
