"""A company's name server that doesn't answer holds up its own webhook and nobody else's."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.notifications.outbound.guard import Guard
from services.notifications.outbound.names import LOOKUPS_MAX, LookupsBusy, Resolver, Unresolvable
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.usecases import sending
from shared.kit import clock
from tests.services.notifications.stage import Receiver, Stage
from tests.services.notifications.test_webhooks import register, sealer, step, turn

PUBLIC = "93.184.216.34"


@dataclass
class Names:
    """Name servers: those of `….slow.example` don't answer before `answer` is set, and then know nothing."""

    answer: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made, real = Names(), socket.getaddrinfo

    def getaddrinfo(host: Any, *values: Any, **named: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, *values, **named)
        made.asked.append(host)
        if host.endswith(".slow.example"):
            made.answer.wait(30)
            raise socket.gaierror("no server answers")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield made
    made.answer.set()


async def impatient(resolver: Resolver, host: str, company: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await resolver.addresses(host, company)


async def test_others_names_are_found_while_many_wait(names: Names) -> None:
    """Also by whoever else uses the threads that the process shares: the driver of its database does."""
    resolver = Resolver()
    for n in range(LOOKUPS_MAX - 1):
        await impatient(resolver, f"h{n}.slow.example", f"evil{n}")
    async with asyncio.timeout(5):
        assert await resolver.addresses("hooks.example", "good") == [PUBLIC]
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        await asyncio.to_thread(lambda: None)


async def test_a_company_has_one_lookup_under_way_however_often_it_asks(names: Names) -> None:
    resolver = Resolver()
    for _ in range(5):
        await impatient(resolver, "a.slow.example", "evil")
    with pytest.raises(LookupsBusy):
        await resolver.addresses("b.slow.example", "evil")
    assert names.asked == ["a.slow.example"]
    assert await resolver.addresses("hooks.example", "good") == [PUBLIC]


async def test_a_failure_is_remembered_for_a_while(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver, now_s = Resolver(), clock.monotonic_s()
    names.answer.set()
    for _ in range(3):
        with pytest.raises(Unresolvable):
            await resolver.addresses("a.slow.example", "evil")
    assert names.asked == ["a.slow.example"]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s + 60)
    with pytest.raises(Unresolvable):
        await resolver.addresses("a.slow.example", "evil")
    assert names.asked == ["a.slow.example"] * 2


async def test_where_all_lookups_are_under_way_nothing_is_counted_as_an_attempt(stage: Stage, names: Names) -> None:
    settings = stage.settings.model_copy(update={"webhook_networks_allowed": ("127.0.0.0/8", "::1/128")})
    transport = WebhookSender(settings, sealer(stage))
    transport.guard._resolver = Resolver(lookups_max=1)
    await register(stage, "http://a.slow.example/", "evil")
    await step(stage, "evil")
    await turn(stage, transport)
    async with Receiver().listening() as receiver:
        receiver.secrets = [await register(stage, receiver.url.replace("127.0.0.1", "localhost"), "good")]
        await step(stage, "good")
        # while it was failing, its pause isn't the probe's lease either
        await stage.rows("UPDATE webhooks SET failures = 3 WHERE company = 'good'")
        for _ in range(3):
            assert await turn(stage, transport) == 1
            [good] = await stage.rows(
                "SELECT failures, paused_until - now() AS pause FROM webhooks WHERE company = 'good'"
            )
            assert good["failures"] == 3 and good["pause"].total_seconds() <= 5
            await stage.rows("UPDATE webhooks SET paused_until = '-infinity' WHERE company = 'good'")
            await stage.rows("UPDATE deliveries SET next_attempt_at = now() WHERE state = 'pending'")
        [waiting] = await stage.deliveries("pending")
        assert waiting.attempts == 0
        assert await stage.rows("SELECT FROM delivery_attempts WHERE delivery_id = $1", waiting.delivery_id) == []
        names.answer.set()
        async with asyncio.timeout(5):
            while not receiver.taken:
                await asyncio.sleep(0.05)
                await stage.rows("UPDATE webhooks SET paused_until = '-infinity' WHERE company = 'good'")
                await stage.rows("UPDATE deliveries SET next_attempt_at = now() WHERE state = 'pending'")
                await turn(stage, transport)
    await transport.aclose()
    assert [one.attempts for one in await stage.deliveries("sent")] == [1]


async def test_a_late_word_that_nothing_was_tried_changes_nothing(stage: Stage) -> None:
    await register(stage, "http://127.0.0.1:9/")
    await step(stage, "mt")
    [abandoned] = await sending.claim_webhooks(stage.pool, stage.settings)
    await stage.hurry()
    [held] = await sending.claim_webhooks(stage.pool, stage.settings)
    await sending.settle_webhook(stage.pool, abandoned, sending.Outcome(False, "busy", put_off=True))
    [waiting] = await stage.deliveries("pending")
    assert (waiting.attempts, waiting.next_attempt_at) == (2, held.delivery.next_attempt_at)


async def test_the_machines_own_names_are_known() -> None:
    guard = Guard(http_allowed=False, hosts=(), networks_allowed=("127.0.0.0/8", "::1/128"))
    assert (await guard.resolve("https://localhost/")).url in {"https://127.0.0.1:443/", "https://[::1]:443/"}
