"""`make up`: the suite alone, in the foreground; its state stays in .beegrid/ and survives a restart."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from shared.devtools import replicas
from shared.devtools.infra.errors import InfraError
from shared.devtools.suite import Suite, running_suite

STATE = Path(".beegrid")
WATCH_EVERY_S = 2.0


def stop_on_signals() -> threading.Event:
    """Ctrl-C, SIGTERM and a closed terminal all end the suite in order."""
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: leave now, the watchdog ends the rest
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, handle)
    return stop


def watch(suite: Suite, stop: threading.Event, console: Console, state: Path = STATE) -> None:
    """Until `stop`: restart every part that has ended, and run as many processes of a service as `state` asks for."""
    while not stop.wait(WATCH_EVERY_S):
        replicas.follow(suite, state, console)
        for name, process in suite.parts().items():
            if process.running or stop.is_set():
                continue
            console.print(f"[yellow]{name} 已退出，正在重启 / has ended, is being restarted; log: {process.spec.log}")
            try:
                process.start()
            except InfraError as error:
                console.print(f"[red]{error}")


def addresses(suite: Suite, console: Console) -> None:
    """Say where to go."""
    console.print(f"\n[bold]打开 / open[/bold]  {suite.url}/        城市总览 / city view: {suite.url}/city")
    console.print("操作 / operate  [cyan]uv run beegrid doctor[/cyan]   ·   结束 / end: Ctrl-C\n")


def main() -> int:
    """Exit status 0 after Ctrl-C, 1 when a server or service doesn't start."""
    console = Console(stderr=False)
    stop = stop_on_signals()
    port = int(os.environ["PORT"]) if os.environ.get("PORT") else None
    try:
        with running_suite(STATE, console.print, port=port) as suite:
            addresses(suite, console)
            watch(suite, stop, console)
            console.print("正在停止 / stopping …")
    except InfraError as error:
        console.print(f"[red]{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
