"""Simulated grid workers, departments and verifiers: they look at their lists and act, only faster than real ones."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from shared.synthetic.door import Door
from shared.synthetic.people import person_name

# One look at a list, one request: a person with 40 cases. Hundreds of steps at once keep the process from its topics.
STEPS_PER_REQUEST = 100
LOOK_EVERY_S = 0.7
INVALID_SHARE = 0.03
DEPARTMENT_SHARE = 0.3


@dataclass
class Street:
    """The people of one street, with their tokens."""

    code: str
    worker: str
    department: str
    dispatcher: str
    verifier: str


@dataclass
class People:
    """Everybody who works on cases; `steps` counts what they did."""

    door: Door
    streets: list[Street]
    steps: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 reproducible, no secret

    async def work(self, stop: asyncio.Event) -> None:
        """Work until asked to stop."""
        async with asyncio.TaskGroup() as tasks:
            for street in self.streets:
                tasks.create_task(self._street(street, stop))

    async def _street(self, street: Street, stop: asyncio.Event) -> None:
        while not stop.is_set():
            done = await self._handle_open(street)
            done += await self._verify(street)
            if not done:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _handle_open(self, street: Street) -> int:
        """Invalidate a few, claim and handle the others; emergencies first, as the list has them."""
        cases = await self._list(street.worker, street.code, "open", STEPS_PER_REQUEST // 2)
        invalid = [case for case in cases if self.chance.random() < INVALID_SHARE]
        others = [case for case in cases if case not in invalid]
        by_department = [case for case in others if case["department"] and self.chance.random() < DEPARTMENT_SHARE]
        by_worker = [case for case in others if case not in by_department]
        await self._take(street.dispatcher, invalid, ["invalidate"], "现场未发现问题")
        await self._take(street.department, by_department, ["claim", "handle"], "已修复")
        await self._take(street.worker, by_worker, ["claim", "handle"], "已到现场处理")
        return len(cases)

    async def _verify(self, street: Street) -> int:
        cases = await self._list(street.verifier, street.code, "handled", STEPS_PER_REQUEST // 2)
        await self._take(street.verifier, cases, ["verify", "close"], "现场核查属实")
        return len(cases)

    async def _list(self, token: str, area: str, state: str, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.door.get("/v1/cases", token, grid=area, state=state, limit=limit))[
            "items"
        ]
        return found

    async def _take(self, token: str, cases: list[dict[str, Any]], steps: list[str], note: str) -> None:
        if not cases:
            return
        wanted = [{"case_id": case["case_id"], "step": step, "note": note} for case in cases for step in steps]
        answer = await self.door.post("/v1/cases:transition", {"items": wanted}, token)
        for wish, item in zip(wanted, answer["items"], strict=True):
            self.steps[wish["step"] if item["ok"] else f"refused {item['problem']['code']}"] += 1


def hire(door: Door, streets: list[str]) -> People:
    """Named people for every street."""

    def token(number: int, street: str, role: str) -> str:
        return door.token(f"{role}-{street}", person_name(number), [role], areas=[street], ttl_s=24 * 3600)

    return People(
        door,
        [
            Street(
                code,
                worker=token(index * 4, code, "grid_worker"),
                department=token(index * 4 + 1, code, "department"),
                dispatcher=token(index * 4 + 2, code, "dispatcher"),
                verifier=token(index * 4 + 3, code, "verifier"),
            )
            for index, code in enumerate(streets)
        ],
    )
