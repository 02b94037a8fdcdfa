"""Two stations of the city at a market: one with network, one that takes vouchers from lists and says later which."""

import base64
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.rewards.usecases.signing import on_list
from shared.kit import clock
from tests.promises.support.market import Market

UPLOADS_AFTER = 4
"""So many vouchers are taken before the station finds its network again."""
Ask = Callable[[str, str, dict[str, str], Any], httpx.Response]
"""(verb, path, headers, body) → a definite answer of any process."""


@dataclass
class OfflineStation:
    """A counter without network, and what it physically has. It trusts its list and nothing else."""

    market: Market
    token: str
    pieces: int
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    cheats: set[str] = field(default_factory=set)
    """Codes that were shown elsewhere, too."""
    _list: dict[str, Any] = field(default_factory=dict)
    _hashes: set[str] = field(default_factory=set)
    _taken: list[dict[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, ask: Ask, code: str, *, cheat: bool) -> str:
        """Take a voucher: the station looks for it on its list, and fetches a new one where it is not there."""
        with self._lock:
            if cheat:
                self.cheats.add(code)
            if not self._knows(code) or len(self._taken) >= UPLOADS_AFTER:
                self._exchange(ask)
            if not self._knows(code) or any(one["code"] == code for one in self._taken):
                return "not on the list"
            if self.pieces < 1:
                return "nothing left"
            self.pieces -= 1
            self._taken.append({"code": code, "taken_at": clock.now().isoformat()})
            return "taken offline"

    def settle(self, ask: Ask) -> None:
        """Say what was taken since the last list."""
        with self._lock:
            self._upload(ask)

    def _knows(self, code: str) -> bool:
        plain = code.replace("-", "")
        return bool(self._list) and on_list(UUID(self._list["list_id"]), plain) in self._hashes

    def _exchange(self, ask: Ask) -> None:
        self._upload(ask)
        answer = ask("POST", "/v1/vouchers/lists", {"Authorization": self.token}, None).json()
        key = ask("GET", "/v1/vouchers/key", {}, None).json()["key"]
        if answer["key"] != key or not _verified(answer):
            self.problems.append("a list that nobody signed")
        self._list = orjson.loads(answer["text"])
        self._hashes = {entry["hash"] for entry in self._list["entries"]}

    def _upload(self, ask: Ask) -> None:
        """Twice, as a station does whose network goes again before the answer: the second gets the same."""
        if not self._list:
            return
        path = f"/v1/vouchers/lists/{self._list['list_id']}/takings"
        body = {"count": len(self._taken), "items": self._taken}
        first, second = (ask("POST", path, {"Authorization": self.token}, body) for _ in range(2))
        if first.status_code != 200 or first.json() != second.json():
            self.problems.append(f"uploaded twice: {first.text}, then {second.text}")
        for taken, came in zip(self._taken, first.json()["items"], strict=True):
            self.ends[came["outcome"]] += 1
            fair = ("sold", "double") if taken["code"] in self.cheats else ("sold",)
            if came["outcome"] not in fair:
                self.problems.append(f"taken once and in time, and {came}")
        self._list, self._taken = {}, []


def _verified(answer: dict[str, Any]) -> bool:
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(answer["key"]))
    key.verify(base64.b64decode(answer["signature"]), answer["text"].encode())
    return True
