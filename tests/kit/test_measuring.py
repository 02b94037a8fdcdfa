"""Rare measurements: only the leader's, never a stale value, never too expensive; and certificates' ends."""

import asyncio
import math
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Gauge

from shared.kit import clock, measuring
from shared.kit.ids import derived_id, made_at, new_id
from shared.kit.measuring import Measuring, forget
from shared.kit.tls import not_after_s
from tests.support import until


def pool() -> Any:
    @asynccontextmanager
    async def acquire(**_: float) -> Any:
        yield "connection"

    return SimpleNamespace(acquire=acquire)


async def test_only_the_leader_measures_and_a_former_one_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "LEADER_POLL_S", 0.01)
    plain = Gauge("plain", "-", registry=CollectorRegistry())
    labelled = Gauge("labelled", "-", ("of",), registry=CollectorRegistry())
    state = {"leads": False, "rounds": 0}

    async def measure(conn: object) -> None:
        assert conn == "connection"
        state["rounds"] += 1
        plain.set(5)
        labelled.labels("x").set(1)

    task = asyncio.create_task(
        Measuring(lambda: bool(state["leads"]), pool, measure, (plain, labelled), every_s=0.02).run()
    )
    await until(lambda: math.isnan(plain._value.get()))
    assert state["rounds"] == 0
    state["leads"] = True
    await until(lambda: state["rounds"] >= 2)
    assert plain._value.get() == 5
    state["leads"] = False
    await until(lambda: math.isnan(plain._value.get()) and not next(iter(labelled.collect())).samples)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_takes_long_comes_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(self: Measuring, pause_s: float) -> None:
        rests.append(pause_s)
        raise asyncio.CancelledError

    async def measure(conn: object) -> None:
        await asyncio.sleep(0.05)

    monkeypatch.setattr(Measuring, "_rest", rest)
    with pytest.raises(asyncio.CancelledError):
        await Measuring(lambda: True, pool, measure, (), every_s=0.1).run()
    assert rests[0] >= 0.05 * 50


def test_nothing_to_forget_is_fine() -> None:
    forget(())


def certificate(days: int) -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    now = clock.now()
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
    return made.sign(key, None).public_bytes(Encoding.PEM)


def test_the_first_certificate_to_end_counts(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate(90) + certificate(10) + certificate(50))
    assert not_after_s(file) == pytest.approx(clock.unix_s() + 10 * 86400, abs=5)
    file.write_text("nothing")
    with pytest.raises(ValueError):
        not_after_s(file)


def test_an_id_shows_when_it_was_made() -> None:
    at = made_at(new_id())
    assert at is not None
    assert abs((clock.now() - at).total_seconds()) < 1
    assert made_at(derived_id("x")) is None
