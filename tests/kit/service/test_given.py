"""What routes are given: by its type, or the process doesn't start; and one connection for the route alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter

from shared.kit.auth import Public, allow, policy_router
from shared.kit.messaging.work import Work
from shared.kit.postgres.batcher import Batcher
from shared.kit.problems import not_found
from shared.kit.service import Given, Reading, Service
from shared.kit.settings import KitSettings
from tests.kit.http.test_shared_answer import Unlimited
from tests.kit.test_background import SETTINGS
from tests.kit.web import client_of


@dataclass(frozen=True)
class Rules:
    most: int


class Pool:
    """Lends one connection, itself, and knows who has it."""

    def __init__(self) -> None:
        self.lent = 0
        self.given_back_after: list[str] = []

    def acquire(self, timeout: float) -> Any:
        assert timeout > 0, "nobody waits for ever"
        return self._lent()

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        self.lent += 1
        try:
            yield self
        except BaseException as error:
            self.given_back_after.append(type(error).__name__)
            raise
        else:
            self.given_back_after.append("")
        finally:
            self.lent -= 1


def routes() -> APIRouter:
    router = policy_router()

    @router.get("/v1/most")
    @allow(Public)
    async def most(rules: Given[Rules], settings: Given[KitSettings]) -> int:
        return rules.most + settings.http_port

    @router.get("/v1/lent")
    @allow(Public)
    async def lent(conn: Reading) -> int:
        number: int = conn.lent  # type: ignore[union-attr]  # the pool above
        return number

    @router.get("/v1/missing")
    @allow(Public)
    async def missing(conn: Reading) -> int:
        raise not_found("thing")

    @router.get("/v1/slow")
    @allow(Public, timeout_s=0.05)
    async def slow(conn: Reading) -> None:
        await asyncio.sleep(10)

    return router


@pytest.fixture
def service() -> Service:
    made = Service("nobody", KitSettings.model_validate(SETTINGS), title="test")
    made.include(routes())
    return made


@pytest.fixture
async def client(service: Service) -> AsyncIterator[tuple[Any, Pool]]:
    service.provide(Rules(7))
    app, pool = service.app(), Pool()
    service.pool = pool  # type: ignore[assignment]  # a stand-in
    app.state.limiter = Unlimited()
    async with client_of(app) as http:
        yield http, pool


async def test_a_route_is_given_what_is_provided_by_its_type(client: tuple[Any, Pool]) -> None:
    http, _ = client
    assert (await http.get("/v1/most")).json() == 7 + 8080


def test_what_nobody_provides_keeps_the_process_from_starting(service: Service) -> None:
    with pytest.raises(ValueError, match="nobody provides no Rules for /v1/most"):
        service.app()


def test_two_of_one_type_could_not_be_told_apart(service: Service) -> None:
    service.provide(Rules(1))
    with pytest.raises(ValueError, match="a Rules is provided already"):
        service.provide(Rules(2))


def test_of_a_generic_type_the_bare_one_counts(service: Service) -> None:
    async def use_case(_: Work, wishes: list[int]) -> list[str]:
        return [str(wish) for wish in wishes]

    service.batches(use_case)
    router = policy_router()

    @router.get("/v1/wish")
    @allow(Public)
    async def wish(batcher: Given[Batcher[int, str]]) -> str:
        return await batcher.submit(1)

    assert not service.provided.lacks([router])


async def test_it_is_given_back_before_the_answer_is_sent(client: tuple[Any, Pool], service: Service) -> None:
    """A slow reader would keep it."""
    http, pool = client
    app, lent = http._transport.app, []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            lent.append(pool.lent)
            await send(message)

        await app(scope, receive, sending)

    http._transport.app = watched
    assert (await http.get("/v1/lent")).json() == 1
    assert lent and not any(lent)


@pytest.mark.parametrize(
    ("path", "status", "after"),
    [("/v1/lent", 200, ""), ("/v1/missing", 404, "Refusal"), ("/v1/slow", 503, "CancelledError")],
)
async def test_a_reading_connection_is_the_routes_alone(
    client: tuple[Any, Pool], path: str, status: int, after: str
) -> None:
    """Given back whatever ends the route, and the pool learns of it: where nobody waits any more, it may be cut."""
    http, pool = client
    answer = await http.get(path)
    assert answer.status_code == status, answer.text
    assert (pool.lent, pool.given_back_after) == (0, [after])
