"""Addresses, Caddyfile and environment, without any server."""

import contextlib
import json
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.devtools.infra import caddy, kafka, kafka_files, suite
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.paths import Access, load_access
from shared.devtools.infra.ports import PORTS, free_port, port_free


def test_ports_and_password_stay(tmp_path: Path) -> None:
    first = load_access(tmp_path / "kafka.json", 2)
    assert load_access(tmp_path / "kafka.json", 2) == first
    assert len(set(first.ports)) == 2
    assert (tmp_path / "kafka.json").stat().st_mode & 0o077 == 0


def test_a_taken_port_is_replaced_and_the_password_stays(tmp_path: Path) -> None:
    first = load_access(tmp_path / "x.json", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.ports[0]))
        taken.listen()
        second = load_access(tmp_path / "x.json", 1)
    assert second.password == first.password
    assert second.ports != first.ports
    assert json.loads((tmp_path / "x.json").read_text())["ports"] == second.ports


def test_free_ports_lie_below_outgoing_connections() -> None:
    port = free_port()
    assert port in PORTS
    assert port_free(port)
    lowest = (
        int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) if os.path.exists("/proc") else 32768
    )
    assert lowest > PORTS.stop - 1 or lowest < PORTS.start


def test_caddyfile_gets_global_options_once() -> None:
    assert caddy.complete(":80 {\n}\n").startswith("{\n\tadmin off")
    own = "# ours\n{\n\tadmin off\n}\n:80 {\n}\n"
    assert caddy.complete(own) == own


def test_a_wrong_caddyfile_is_refused_with_caddys_words(tmp_path: Path) -> None:
    caddy.validate_caddyfile(":8080 {\n\trespond ok\n}\n", tmp_path)
    with pytest.raises(InfraError, match="unrecognized directive: nonsense"):
        caddy.validate_caddyfile(":8080 {\n\tnonsense\n}\n", tmp_path)


def test_running_servers_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(suite.POSTGRES_ADMIN_URL, "postgresql://a:b@db/postgres")
    monkeypatch.setenv(suite.REDIS_URL, "redis://cache/0")
    monkeypatch.setenv(suite.KAFKA_BOOTSTRAP, "kafka:9092")
    with pytest.raises(InfraError, match=suite.KAFKA_ADMIN_USER):
        suite.start_infra()
    monkeypatch.setenv(suite.KAFKA_ADMIN_USER, "admin")
    monkeypatch.setenv(suite.KAFKA_ADMIN_PASSWORD, "secret")
    with suite.start_infra() as infra:
        assert (infra.postgres, infra.kafka, infra.valkey, infra.guard) == (None, None, None, None)
        assert infra.environment()[suite.KAFKA_BOOTSTRAP] == "kafka:9092"


def test_unknown_servers_are_refused() -> None:
    with pytest.raises(ValueError, match="mongo"):
        suite.start_infra(want={"mongo"})


def test_kafka_denies_what_no_rule_allows() -> None:
    lines = kafka._properties(Path("/x"), Access([1, 2], "secret")).splitlines()
    assert "allow.everyone.if.no.acl.found=false" in lines
    assert "super.users=User:admin" in lines
    assert "auto.create.topics.enable=false" in lines
    assert not [line for line in lines if "ANONYMOUS" in line or ":PLAINTEXT" in line]


def test_no_java_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_files, "_java_version", lambda _java: 11)
    with pytest.raises(InfraError, match="BEEGRID_KAFKA_BOOTSTRAP"):
        kafka_files.find_java()


def test_two_on_a_fresh_machine_download_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each opens the lock by itself, as processes do; the resolver fails where another has just written a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jar, inside = tmp_path / "kafka.jar", threading.Barrier(2)

    def build(_endpoint: str, cache_dir: Path) -> SimpleNamespace:
        with contextlib.suppress(threading.BrokenBarrierError):
            inside.wait(0.3)
        with jar.open("x"):
            return SimpleNamespace(all_jars=[jar])

    monkeypatch.setitem(sys.modules, "jgo", SimpleNamespace(build=build))
    with ThreadPoolExecutor(2) as both:
        assert [one.result() for one in [both.submit(kafka_files.classpath) for _ in range(2)]] == [str(jar)] * 2
