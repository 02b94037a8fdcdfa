"""A backup knows which sealing keys it needs; a suite without one of them doesn't take it."""

from typing import Any

import httpx
import pytest

from shared.cli.backup import seals
from shared.cli.client import Client, CliError

Keys = dict[str, int]


def suite(monkeypatch: pytest.MonkeyPatch, keys: Keys, of: dict[str, Keys] | None = None) -> None:
    """Play services: ids of sealing keys with the secrets that each has sealed, some services differing."""

    def answer(request: httpx.Request) -> httpx.Response:
        service = request.url.path.split("/")[2]
        sealing = [{"id": id_, "made_at": None, "secrets": n} for id_, n in (of or {}).get(service, keys).items()]
        return httpx.Response(200, json={"sealing": sealing, "unknown": 0, "issuer": []})

    monkeypatch.setattr(seals, "connect", lambda **_: Client("http://suite", "t", httpx.MockTransport(answer)))


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: httpx.Request) -> Any:
        raise httpx.ConnectError("away")

    made = Client("http://suite", "t", httpx.MockTransport(refuse), patient=False)
    monkeypatch.setattr(seals, "connect", lambda **_: made)


def test_only_keys_that_have_sealed_something_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    suite(monkeypatch, {"new": 0, "old": 2}, {"intake": {"new": 1, "old": 1}})
    assert seals.needed() == ["new", "old"]
    suite(monkeypatch, {"new": 3, "old": 0})
    assert seals.needed() == ["new"]


def test_a_suite_whose_services_have_all_keys_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    suite(monkeypatch, {"new": 0, "old": 0})
    assert seals.check(["old"]) is None
    assert seals.check([]) is None


def test_a_suite_where_one_service_lacks_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    suite(monkeypatch, {"new": 0, "old": 0}, {"riders": {"new": 0}})
    with pytest.raises(CliError, match="needed: old") as refused:
        seals.check(["new", "old"])
    assert "nothing was written" in refused.value.hint and "--unsealed" in refused.value.hint


def test_what_cannot_be_asked_is_said_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    assert seals.needed() is None
    assert "taken" in (seals.check(None) or "")
    assert "doesn't answer" in (seals.check(["old"]) or "")
