"""Of the places to send from nobody has all: not a webhook that answers slowly, a channel, or a kind of channel."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from services.notifications.domain import Channel, ChannelKind, ChannelParcel, Outcome
from services.notifications.outbound.channel import ChannelSender
from services.notifications.outbound.sender import Sender
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.store import people
from services.notifications.usecases import choosing, sending
from services.notifications.usecases import webhooks as usecases
from services.notifications.usecases.choosing import channel_places
from services.notifications.usecases.places import SLOW_S, Places
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.service.clockwork import Pulse
from tests.reads import analyze, rows_read
from tests.services.notifications.stage import NOON, Receiver, Stage
from tests.services.notifications.test_giving_up import SQL_WAITING
from tests.services.notifications.test_webhooks import register, sealer, step

LANES = ("wecom", "dingtalk", "feishu", "mail")


@pytest.fixture
async def webhooks(stage: Stage) -> AsyncIterator[Sender]:
    """The loop of webhooks, as the service runs it, with attempts that may take ten seconds."""
    settings = stage.settings.model_copy(update={"webhook_timeout_s": 10.0})
    transport = WebhookSender(settings, sealer(stage))
    sender = Sender(lambda: stage.pool, settings, transport, cast(ChannelSender, None), Pulse())
    task = asyncio.create_task(sender.webhooks_forever())
    yield sender
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.aclose()


@pytest.mark.usefixtures("webhooks")
async def test_a_webhook_that_answers_slowly_holds_up_nobody_else(stage: Stage) -> None:
    async with Receiver(delay_s=8).listening() as evil, Receiver().listening() as good:
        evil.secrets = [await register(stage, evil.url, "evil")]
        good.secrets = [await register(stage, good.url, "good")]
        await step(stage, *["evil"] * 100)
        async with asyncio.timeout(5):
            while len(evil.requests) < 8:
                await asyncio.sleep(0.05)
        await step(stage, *["good"] * 60)
        async with asyncio.timeout(6):
            while len(good.taken) < 60:
                await asyncio.sleep(0.05)
        assert len(evil.requests) <= sending.webhook_places(stage.settings).each == 8


def under_way(places: Places[Any], monkeypatch: pytest.MonkeyPatch, taken: dict[Any, int], for_s: float) -> None:
    """So many attempts of each have been under way for so long."""
    for key, n in taken.items():
        for _ in range(n):
            places.take(key)
    then_s = clock.monotonic_s()
    monkeypatch.setattr(clock, "monotonic_s", lambda: then_s + for_s)


async def hooks(stage: Stage, *companies: str, waiting: int = 30) -> dict[str, UUID]:
    for company in companies:
        await register(stage, "http://127.0.0.1:9/", company)
    found = {row["company"]: row["webhook_id"] for row in await stage.rows("SELECT company, webhook_id FROM webhooks")}
    for company in companies:
        await stage.rows(SQL_WAITING, "webhook", found[company], "pending", timedelta(0), waiting)
    return found


async def claimed(stage: Stage, places: Places[UUID]) -> dict[str, int]:
    parcels = await sending.claim_webhooks(stage.pool, stage.settings, places)
    companies = [one.webhook.company for one in parcels]
    return {company: companies.count(company) for company in companies}


async def test_what_is_under_way_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    places, found = sending.webhook_places(stage.settings), await hooks(stage, "aa", "bb")
    under_way(places, monkeypatch, {found["aa"]: 7}, 0)
    assert await claimed(stage, places) == {"aa": 1, "bb": 8}


async def test_who_is_slow_has_an_eighth_and_all_of_them_a_half(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [f"slow{n}" for n in range(4)]
    places, found = sending.webhook_places(stage.settings), await hooks(stage, *slow, "quick")
    under_way(places, monkeypatch, {found[one]: 3 for one in slow[:3]}, SLOW_S)
    await stage.rows("UPDATE webhooks SET active = false WHERE company = 'slow3'")
    assert await claimed(stage, places) == {"quick": 8, **dict.fromkeys(slow[:3], 1)}
    await stage.rows("UPDATE webhooks SET active = true")
    full = sending.webhook_places(stage.settings)
    under_way(full, monkeypatch, {found[one]: 6 for one in slow[:3]}, SLOW_S)
    full.take(found["slow3"])
    under_way(full, monkeypatch, {}, 2 * SLOW_S)
    assert await claimed(stage, full) == {"quick": 8}


async def test_who_is_slow_is_served_while_others_keep_all_busy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    places, found = sending.webhook_places(stage.settings), await hooks(stage, "q1", "q2", "q3", "slow")
    began_s = places.take(found["slow"])
    now_s = clock.monotonic_s()
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s + 2 * SLOW_S)
    places.give_back(began_s, found["slow"])
    assert (await claimed(stage, places))["slow"] == 4
    for _ in range(4):  # it has become quick
        places.give_back(places.take(found["slow"]), found["slow"])
    assert places.slow() == set()


async def test_a_full_webhooks_backlog_is_not_read(
    installation: Installation, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, found = sending.webhook_places(stage.settings), await hooks(stage, "evil", waiting=20_000)
    await analyze(installation, "notifications", "deliveries", "webhooks")
    under_way(places, monkeypatch, {found["evil"]: 8}, SLOW_S)
    async with stage.pool.acquire() as conn:
        before = await rows_read(conn, "deliveries", stage.pool)
        assert await sending.claim_webhooks(stage.pool, stage.settings, places) == []
        assert await rows_read(conn, "deliveries", stage.pool) - before < 100


async def channel(stage: Stage, kind: ChannelKind, waiting: int, age: timedelta = timedelta(0)) -> UUID:
    made = Channel(new_id(), kind, "sealed", "h", ("emergency",), "zh", "330114", verified=True)
    async with stage.pool.acquire() as conn:
        await people.put_channel(conn, made, None, NOON)
    await stage.rows(SQL_WAITING, "channel", made.channel_id, "pending", age, waiting)
    return made.channel_id


def kinds(parcels: list[ChannelParcel]) -> dict[str, int]:
    found = [one.channel.kind for one in parcels]
    return {kind: found.count(kind) for kind in found}


async def test_a_stuck_kind_leaves_the_others_their_places(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail gateway swallows packets, and older mail than the queue's page waits before one message to a bot."""
    places = channel_places(stage.settings)
    mails = [await channel(stage, "mail", 5, timedelta(hours=1)) for _ in range(40)]
    bot = await channel(stage, "wecom", 1)
    under_way(places, monkeypatch, {"mail": 16}, choosing.STUCK_S)
    [parcel] = await sending.claim_channels(stage.pool, stage.settings, places)
    assert parcel.channel.channel_id == bot
    waiting = await stage.rows(
        "SELECT attempts, next_attempt_at - now() AS wait FROM deliveries WHERE target_id = ANY ($1::uuid[])", mails
    )
    assert {row["attempts"] for row in waiting} == {0}
    assert all(row["wait"] <= timedelta(seconds=60) for row in waiting)


async def test_a_kind_that_is_only_busy_waits_for_its_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    places = channel_places(stage.settings)
    for _ in range(20):
        await channel(stage, "mail", 1)
    under_way(places, monkeypatch, {"mail": 15}, 0.1)
    assert kinds(await sending.claim_channels(stage.pool, stage.settings, places)) == {"mail": 1}
    [due] = await stage.rows("SELECT count(*) AS n FROM deliveries WHERE next_attempt_at <= now()")
    assert due["n"] == 19


async def test_a_channel_has_a_quarter_of_its_kinds_places(stage: Stage) -> None:
    flooded, other = await channel(stage, "mail", 300, timedelta(hours=1)), await channel(stage, "mail", 2)
    places = channel_places(stage.settings)
    seen: list[UUID] = []
    for _ in range(6):
        for parcel in await sending.claim_channels(stage.pool, stage.settings, places):
            seen.append(parcel.channel.channel_id)
            places.take(parcel.channel.channel_id, parcel.channel.kind)
    assert (seen.count(flooded), seen.count(other)) == (4, 2)
    assert {row["attempts"] for row in await stage.rows("SELECT attempts FROM deliveries")} == {0, 1}


async def test_each_kind_sends_from_threads_of_its_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = ChannelSender(stage.settings, sealer(stage), cast(Any, None))
    assert len({id(one) for one in sender._threads.values()}) == len(LANES)
    assert set(sender._threads) == set(LANES) == set(choosing.KINDS)
    await sender.aclose()


async def state(stage: Stage) -> tuple[int, float]:
    [row] = await stage.rows("SELECT failures, paused_until - now() AS pause FROM webhooks")
    return row["failures"], round(row["pause"].total_seconds(), -1)


async def test_setting_a_url_makes_no_failing_webhook_a_working_one(stage: Stage) -> None:
    await register(stage, "http://127.0.0.1:9/a")
    failing = "UPDATE webhooks SET failures = 9, paused_until = now() + interval '15 minutes'"
    await stage.rows(failing)

    async def put(url: str) -> None:
        async with stage.work() as work:
            assert await usecases.put(work, stage.settings, sealer(stage), "mt", url, rotate=False)

    await put("http://127.0.0.1:9/a")
    assert await state(stage) == (9, 900)
    for url in "bcab":  # each is tried, one delivery at a time, and no sooner than in five seconds
        await put(f"http://127.0.0.1:9/{url}")
        assert await state(stage) in {(1, 0), (1, 10)}
        [row] = await stage.rows("SELECT paused_until > now() AS paused FROM webhooks")
        assert row["paused"]
    await stage.rows(failing)
    async with stage.work() as work:
        assert await usecases.switch_off(work, "mt")
    await put("http://127.0.0.1:9/b")
    assert (await state(stage))[0] == 9
    await stage.rows(failing)
    async with stage.work() as work:
        assert await usecases.test(work, stage.settings, "mt")
    assert await state(stage) in {(9, 0), (9, 10)}


async def test_a_delivery_that_is_taken_makes_it_a_working_one(stage: Stage) -> None:
    await register(stage, "http://127.0.0.1:9/a")
    await step(stage, "mt")
    [parcel] = await sending.claim_webhooks(stage.pool, stage.settings)
    await stage.rows("UPDATE webhooks SET failures = 1")
    await sending.settle_webhook(stage.pool, parcel, Outcome(True, "taken"))
    [row] = await stage.rows("SELECT failures FROM webhooks")
    assert row["failures"] == 0
