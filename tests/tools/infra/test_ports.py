"""A port is one launcher's from the moment it is chosen, and no other process answers in its place."""

import ast
import http.server
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from shared.devtools.infra import ports
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.ports import free_port, listens, port_free, reserve_port

STARTS = list(range(32_000, 32_700, 20))
random.shuffle(STARTS)  # another run of these tests may reserve meanwhile what looks free
ROOT = Path(__file__).parents[3]
# Another launcher: says what it gets of the range, then keeps it until its input ends.
OTHER = """
import sys
from shared.devtools.infra import ports
ports.PORTS = range(int(sys.argv[1]), int(sys.argv[2]))
print([port for port in ports.PORTS if ports.reserve_port(port)], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def small_range(monkeypatch: pytest.MonkeyPatch) -> range:
    """Ports that nobody else draws from: above those of launchers, others for each test, since reservations stay."""
    start = next(at for at in iter(STARTS.pop, None) if all(port_free(port) for port in range(at, at + 20)))
    monkeypatch.setattr(ports, "PORTS", range(start, start + 20))
    monkeypatch.setattr(ports, "_reservations", ports._Reservations())
    return ports.PORTS


@pytest.fixture(autouse=True)
def any_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "sample", lambda found, count: list(found)[:count])


def test_a_port_is_given_once_although_nobody_listens_yet(small_range: range) -> None:
    given = [free_port() for _ in small_range]
    assert sorted(given) == list(small_range)
    with pytest.raises(InfraError, match="no free port"):
        free_port()


def test_another_launcher_gets_none_of_ours_and_we_none_of_its_until_it_ends(small_range: range) -> None:
    ours = [free_port() for _ in range(5)]
    words = [sys.executable, "-c", OTHER, str(small_range.start), str(small_range.stop)]
    other = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        theirs = ast.literal_eval(other.stdout.readline())
        assert sorted(theirs + ours) == list(small_range)
        with pytest.raises(InfraError):
            free_port()
        assert not reserve_port(theirs[0])
        other.kill()
        other.wait(10)
        assert reserve_port(theirs[0])
    finally:
        other.kill()
        other.communicate()


def test_a_kept_port_may_be_reserved_again_by_the_same_launcher(small_range: range) -> None:
    port = free_port()
    assert reserve_port(port)


def test_a_child_that_ends_while_it_is_looked_at_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = psutil.Process(os.getpid())

    def has_ended(kind: str) -> None:
        raise psutil.NoSuchProcess(gone.pid)

    monkeypatch.setattr(gone, "net_connections", has_ended)
    monkeypatch.setattr(psutil.Process, "children", lambda _, recursive: [gone])
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listens(os.getpid(), server.getsockname()[1])


def test_only_the_process_that_listens_counts() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert listens(os.getpid(), server.server_port)
        assert not listens(bystander.pid, server.server_port)
    finally:
        bystander.kill()
        bystander.communicate()
        server.shutdown()
        server.server_close()
        thread.join()
