"""How many long answers are open at once, before and after those who read them leave."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from shared.devtools.identity import Identity
from shared.kit.auth import Caller, Person, allow, policy_router
from shared.kit.http.open_answers import RETRY_AFTER_S, OpenAnswers
from tests.kit.held import Held
from tests.kit.web import app_of


class Door:
    """An app with one long answer."""

    def __init__(self, folder: Path) -> None:
        self.answers = OpenAnswers(of_caller=2, of_all=3)
        self.closed = 0
        self._identity = Identity.open(folder)
        router = policy_router()

        @router.get("/v1/long", response_class=Response)
        @allow(Person)
        async def long(caller: Caller) -> Response:
            return self.answers.stream(caller.key, self._pieces(), media_type="text/plain", headers={"X-Own": "1"})

        self.app = app_of([router], folder)

    def ask(self, person: str) -> Held:
        return Held(self.app, "/v1/long", {"Authorization": f"Bearer {self._identity.token(person, '某', ['rider'])}"})

    async def _pieces(self) -> AsyncGenerator[bytes]:
        try:
            for _ in range(3):
                yield b"x" * 1_000
        finally:
            self.closed += 1


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def test_a_caller_has_a_few_open_and_a_process_some_more(door: Door) -> None:
    first, second = door.ask("a"), door.ask("a")
    assert [await first.begun(), await second.begun()] == [200, 200]
    third = door.ask("a")
    assert await third.begun() == 429
    assert third.headers["retry-after"] == str(RETRY_AFTER_S)
    other = door.ask("b")
    assert await other.begun() == 200
    last = door.ask("c")
    assert await last.begun() == 503
    assert last.headers["retry-after"] == str(RETRY_AFTER_S)
    assert door.answers.open == 3
    first.read()
    assert await first.whole() == b"x" * 3_000
    again = door.ask("c")
    assert await again.begun() == 200
    for one in (second, other, again):
        one.read()
        await one.whole()
    assert door.answers.open == 0
    assert door.answers._open == {}


@pytest.mark.parametrize("how", ["leaves", "is out of time"])
async def test_whoever_goes_makes_room(door: Door, how: str) -> None:
    held = [door.ask("a"), door.ask("a")]
    assert [await one.begun() for one in held] == [200, 200]
    assert door.answers.open == 2
    for one in held:
        if how == "leaves":
            one.leave()
        else:
            one.cancel()
    await asyncio.gather(*(one.task for one in held), return_exceptions=True)
    assert door.answers.open == 0
    assert door.closed == 2
    assert await door.ask("a").begun() == 200


async def test_what_is_never_sent_is_not_open(door: Door) -> None:
    made: Any = door.answers.stream("a", door._pieces(), media_type="text/plain", headers={})
    assert door.answers.open == 0
    del made
