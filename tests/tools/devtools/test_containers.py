"""What is looked at before containers start, without an engine; what needs one is `make compose-check`."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.devtools import compose_env
from shared.devtools.containers import engine, preflight, rotate
from shared.devtools.containers.check import __main__ as check
from shared.devtools.demo.target import browser_url
from shared.devtools.gen.files import ROOT
from shared.devtools.infra.ports import free_port
from shared.synthetic.door import Target

FULL = dict.fromkeys(preflight.REMEMBERED, "x")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project folder of its own, and no engine."""
    monkeypatch.setattr(engine, "absent", lambda: "nobody answers")
    monkeypatch.setattr(compose_env, "ROOT", tmp_path)
    for name in (".env.example", "Caddyfile"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "ops/deep").mkdir(parents=True)
    (tmp_path / "ops/deep/file").write_text("x")
    return tmp_path


def test_secrets_that_volumes_were_made_with_are_missed() -> None:
    assert preflight.forgotten(FULL, {"kafka", "postgres"}) == []
    assert preflight.forgotten({}, set()) == []
    lost = preflight.forgotten({"SEALING_KEY": "x", "POSTGRES_PASSWORD": ""}, {"postgres", "identity"})
    assert [one.split(":")[0] for one in lost] == ["POSTGRES_PASSWORD"]
    assert len(preflight.forgotten({}, {"postgres", "kafka", "objects", "grafana"})) == len(preflight.REMEMBERED)


def lost(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(engine, "absent", lambda: "")
    monkeypatch.setattr(engine, "too_old", list)
    monkeypatch.setattr(engine, "volumes", lambda: {"kafka", "postgres"})
    monkeypatch.setattr(preflight, "ports", lambda _: [])
    monkeypatch.setattr(sys, "argv", ["env", *words])
    return compose_env.main()


def test_no_new_secrets_beside_old_volumes(
    no_engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lost(monkeypatch) == 1
    said = capsys.readouterr().err
    assert "KAFKA_ADMIN_PASSWORD: the volume kafka was made with another one" in said
    assert "down --volumes" in said
    assert not (no_engine / ".env").exists()
    assert lost(monkeypatch, "--anyway") == 0
    assert compose_env.assignments((no_engine / ".env").read_text())["SEALING_KEY"]
    assert lost(monkeypatch) == 0


def test_it_says_that_it_could_not_look(
    no_engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["env"])
    assert compose_env.main() == 0
    assert "no container engine answers (nobody answers)" in capsys.readouterr().out


def test_an_engine_that_is_too_old_is_named(
    no_engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "absent", lambda: "")
    monkeypatch.setattr(engine, "docker", lambda *_: "24.0.7\n")
    monkeypatch.setattr(engine, "compose", lambda *_: "v2.40.1\n")
    monkeypatch.setattr(sys, "argv", ["env"])
    assert compose_env.main() == 1
    assert capsys.readouterr().err == "Docker Engine 24.0.7 is too old: docker-compose.yml needs 25.0 or newer\n"
    assert not (no_engine / ".env").exists()


@pytest.mark.parametrize(
    ("version", "wanted"), [("26.1.5+dfsg1", (26, 1)), ("v2.26.1-4", (2, 26)), ("5.6.1", (5, 6)), ("dev", (0, 0))]
)
def test_versions(version: str, wanted: tuple[int, int]) -> None:
    assert engine.numbers(version) == wanted


def test_a_taken_port_is_named_with_its_variable() -> None:
    free = free_port()
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        parts: dict[str, Any] = {
            "caddy": {"ports": [{"host_ip": "127.0.0.1", "published": str(taken), "target": 8080}]},
            "kafka": {"ports": [{"host_ip": "127.0.0.1", "published": str(free), "target": 9094}]},
            "cases": {},
        }
        raw = {
            "caddy": {"ports": ["${BEEGRID_PUBLISH:-127.0.0.1:8080}:8080"]},
            "kafka": {"ports": ["${BEEGRID_KAFKA_PUBLIC_BIND:-127.0.0.1}:${BEEGRID_KAFKA_PUBLIC_PORT:-9094}:9094"]},
        }
        found = list(preflight.taken(parts, raw, set()))
        assert found == [f"port {taken} of caddy is taken by another program: set BEEGRID_PUBLISH in .env"]
        assert list(preflight.taken(parts, raw, {taken})) == []
        parts["kafka"]["ports"][0]["published"] = str(taken)
        assert "set BEEGRID_KAFKA_PUBLIC_PORT" in list(preflight.taken(parts, raw, set()))[1]


def test_files_of_containers_become_readable(no_engine: Path) -> None:
    (no_engine / "ops/deep").chmod(0o700)
    (no_engine / "ops/deep/file").chmod(0o600)
    changed = preflight.readable(no_engine)
    assert {"ops/deep", "ops/deep/file"} <= set(changed)
    assert (no_engine / "ops/deep").stat().st_mode & 0o777 == 0o755
    assert (no_engine / "ops/deep/file").stat().st_mode & 0o777 == 0o644
    assert preflight.readable(no_engine) == []


def test_a_new_password_is_in_env_before_the_server_has_it(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off at any place, the same again has both passwords."""
    (no_engine / ".env").write_text("# mine\nPOSTGRES_PASSWORD=old\nOTHER=1\n")
    tried: list[tuple[str, str]] = []

    def breaks(old: str, new: str) -> None:
        tried.append((old, new))
        raise engine.EngineError("gone")

    monkeypatch.setitem(rotate.SERVERS, "POSTGRES_PASSWORD", ("postgres", breaks))
    with pytest.raises(engine.EngineError):
        rotate.rotate("POSTGRES_PASSWORD")
    (_, new), known = tried[0], compose_env.assignments((no_engine / ".env").read_text())
    assert (known["POSTGRES_PASSWORD"], known["POSTGRES_PASSWORD_NEXT"]) == ("old", new)
    monkeypatch.setitem(rotate.SERVERS, "POSTGRES_PASSWORD", ("postgres", lambda *pair: tried.append(pair)))
    rotate.rotate("POSTGRES_PASSWORD")
    assert tried[1] == ("old", new)
    assert (no_engine / ".env").read_text() == f"# mine\nPOSTGRES_PASSWORD={new}\nOTHER=1\n"
    assert (no_engine / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("published", "wanted"),
    [
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("0.0.0.0:80", "http://localhost:80"),
        ("10.1.2.3:8443", "http://10.1.2.3:8443"),
        ("8081", "http://localhost:8081"),
        ("", "http://caddy:8080"),
    ],
)
def test_the_demo_s_address_is_one_for_a_browser(monkeypatch: pytest.MonkeyPatch, published: str, wanted: str) -> None:
    monkeypatch.setenv("BEEGRID_PUBLISHED", published)
    nobody: Any = None
    assert browser_url(Target("http://caddy:8080", nobody, nobody, ())) == wanted


def test_the_whole_check_says_aloud_that_nothing_was_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "absent", lambda: "nobody answers")
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check.main() == 0
    assert capsys.readouterr().out.startswith("SKIPPED: nothing of docker-compose.yml was tried")


async def test_the_probe_needs_no_package() -> None:
    """As a container's health check runs it; what it says of good, bad and no answers."""
    words = {
        "/readyz": b"HTTP/1.1 200 OK\r\n\r\n{}",
        "/bad": b"HTTP/1.1 503 Busy\r\n\r\nnot yet",
        "/odd": b"SSH-2.0\r\n",
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        writer.write(words[path])
        await writer.drain()
        writer.close()

    async def probe(path: str, port: int) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-X", "importtime", str(ROOT / "shared/kit/probe.py"), path,
            env={**os.environ, "BEEGRID_HTTP_PORT": str(port)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, imported = await process.communicate()
        assert b"urllib" not in imported
        assert b"http.client" not in imported
        return process.returncode, out.decode().strip()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await probe("/readyz", port) == (0, "{}")
        assert await probe("/bad", port) == (1, "503 Busy not yet")
        assert await probe("/odd", port) == (1, "no HTTP answer")
    code, words = await probe("/readyz", port)
    assert code == 1
    assert "refused" in words
