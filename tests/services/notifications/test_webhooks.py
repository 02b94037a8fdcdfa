"""Companies are notified at least once, signed, and an outage of theirs loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from standardwebhooks import Webhook as Verifier

from services.notifications.outbound.webhook import WebhookSender
from services.notifications.store import deliveries, webhooks
from services.notifications.usecases import cases, sealing, sending
from services.notifications.usecases import webhooks as usecases
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.auth.resealing import Progress, Resealing
from shared.kit.ids import new_id
from shared.known.knowing import follow_companies
from tests.services.notifications.stage import Receiver, Stage, reported, stepped
from tests.support import company_is


@pytest.fixture
async def sender(stage: Stage) -> AsyncIterator[WebhookSender]:
    """The transport."""
    made = WebhookSender(stage.settings, sealer(stage))
    yield made
    await made.aclose()


def sealer(stage: Stage) -> Sealer:
    return Sealer(stage.settings.sealing_key.get_secret_value())


async def register(stage: Stage, url: str, company: str = "mt", *, rotate: bool = False) -> bytes:
    """A company with a webhook; the secret."""
    await stage.hear(follow_companies, company_is(company)) if not rotate else None
    async with stage.work() as work:
        done = await usecases.put(work, stage.settings, sealer(stage), company, url, rotate=rotate)
    assert done is not None and done.secret is not None
    return done.secret


async def turn(stage: Stage, sender: WebhookSender) -> int:
    """Claim, send and settle what is due. How many."""
    parcels = await sending.claim_webhooks(stage.pool, stage.settings)
    await asyncio.gather(*(_one(stage, sender, parcel) for parcel in parcels))
    return len(parcels)


async def _one(stage: Stage, sender: WebhookSender, parcel: sending.WebhookParcel) -> None:
    await sending.settle_webhook(stage.pool, parcel, await sender.send(parcel))


async def step(stage: Stage, *companies: str, reports: int = 2, transition: str = "claimed") -> None:
    events = [
        stepped(transition, reports, await stage.case([new_id() for _ in range(reports)], company))
        for company in companies
    ]
    await stage.hear(partial(cases.notify_of_cases, stage.settings), *events)


async def test_a_company_learns_of_its_own_reports_signed(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver().listening() as receiver:
        receiver.secrets = [await register(stage, receiver.url)]
        await step(stage, "mt", "other")
        assert await turn(stage, sender) == 1
    [body] = receiver.taken
    assert body["type"] == "report.status_changed"
    assert (body["data"]["transition"], body["data"]["sequence"]) == ("claimed", 3)
    assert len(body["data"]["report_ids"]) == 2
    assert not {"lng", "lat", "riders", "note", "actor"} & body["data"].keys()
    [sent] = await stage.deliveries("sent")
    assert receiver.requests[0]["webhook-id"] == str(sent.delivery_id)


async def test_an_attached_report_is_sent_alone(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver().listening() as receiver:
        receiver.secrets = [await register(stage, receiver.url)]
        opened, attached = reported([new_id(), new_id()])
        for event in (opened, attached):  # a turn each: what one turn sends arrives in any order
            await stage.hear(partial(cases.notify_of_cases, stage.settings), event)
            await turn(stage, sender)
        claimed = stepped("claimed", 2, opened.data.case_id)
        await stage.hear(partial(cases.notify_of_cases, stage.settings), claimed)
        await turn(stage, sender)
    first, second = (str(event.data.report.report_id) for event in (opened, attached))
    assert [body["data"]["report_ids"] for body in receiver.taken] == [[first], [second], [first, second]]


async def test_a_changed_body_does_not_verify(stage: Stage, sender: WebhookSender) -> None:
    """The receiver of these tests sees the difference: the check must be able to fail."""
    async with Receiver().listening() as receiver:
        await register(stage, receiver.url)
        receiver.secrets = [b"somebody else's"]
        await step(stage, "mt")
        await turn(stage, sender)
    assert receiver.taken == []
    [failed] = await stage.deliveries("failed")
    assert "no answer" in (failed.reason or "")


async def test_an_outage_loses_nothing_and_costs_few_attempts(stage: Stage, sender: WebhookSender) -> None:
    receiver = Receiver()
    async with receiver.listening():
        receiver.secrets = [await register(stage, receiver.url)]
    for _ in range(30):
        await step(stage, "mt")
    for _ in range(6):  # the company's server is away
        await turn(stage, sender)
        async with stage.pool.acquire() as conn:
            await conn.execute("UPDATE webhooks SET paused_until = '-infinity'")
    spent = sum(one.attempts for one in [*await stage.deliveries("failed"), *await stage.deliveries("pending")])
    assert spent <= sending.webhook_places(stage.settings).each + 5
    async with receiver.listening():
        for _ in range(12):
            await stage.hurry()
            await turn(stage, sender)
    assert len(await stage.deliveries("sent")) == 30
    assert len({request["webhook-id"] for request in receiver.requests}) == len(receiver.taken) == 30
    [hook] = await stage.rows("SELECT failures FROM webhooks")
    assert hook["failures"] == 0


async def test_a_failing_company_is_left_alone_and_others_are_served(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver(answers=[500]).listening() as bad, Receiver().listening() as good:
        await register(stage, bad.url, "bad")
        good.secrets = [await register(stage, good.url, "good")]
        await step(stage, *["bad"] * 20, *["good"] * 12)
        for _ in range(6):
            await turn(stage, sender)
    assert len(good.taken) == 12
    assert len(bad.requests) <= sending.webhook_places(stage.settings).each
    [hook] = await stage.rows("SELECT failures, paused_until FROM webhooks WHERE company = 'bad'")
    assert hook["failures"] == 1
    assert hook["paused_until"] > clock.now()


async def test_after_eight_attempts_a_delivery_is_dead_visible_and_can_be_retried(
    stage: Stage, sender: WebhookSender
) -> None:
    async with Receiver(answers=[503]).listening() as receiver:
        secret = await register(stage, receiver.url)
        await step(stage, "mt")
        for _ in range(10):
            await stage.hurry()
            await turn(stage, sender)
        assert len(receiver.requests) == stage.settings.delivery_attempts_max == 8
        [dead] = await stage.deliveries("dead")
        assert dead.reason == "8 attempts failed, the last one: answered 503"
        async with stage.pool.acquire() as conn:
            attempts = (await deliveries.attempts(conn, [dead.delivery_id]))[dead.delivery_id]
            figures = await deliveries.figures(conn)
            assert await deliveries.retry(conn, [dead.delivery_id], clock.now(), 8) == [dead.delivery_id]
        assert [(one.attempt, one.outcome, one.status) for one in attempts] == [(n, "retry", 503) for n in range(1, 9)]
        assert [(lane, state, n) for lane, state, n, _ in figures if n] == [("webhook", "dead", 1)]
        receiver.answers, receiver.secrets = [200], [secret]
        await stage.hurry()
        await turn(stage, sender)
    assert len(receiver.taken) == 1
    assert len({request["webhook-id"] for request in receiver.requests}) == 1


async def test_gone_switches_the_webhook_off(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver(answers=[410]).listening() as receiver:
        await register(stage, receiver.url)
        await step(stage, "mt", "mt")
        await turn(stage, sender)
        await step(stage, "mt")
        await stage.hurry()
        assert await turn(stage, sender) == 0
    assert len(receiver.requests) == 2
    await sending.sweep(stage.pool, stage.settings)
    assert len(await stage.deliveries("dead")) == 2


async def test_a_rotation_signs_with_both_secrets_for_a_while(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver().listening() as receiver:
        old = await register(stage, receiver.url)
        new = await register(stage, receiver.url, rotate=True)
        assert old != new
        receiver.secrets = [old, new]
        await step(stage, "mt")
        await turn(stage, sender)
        async with stage.pool.acquire() as conn:
            await conn.execute("UPDATE webhooks SET previous_until = $1", clock.now() - timedelta(seconds=1))
        receiver.secrets = [new]
        await step(stage, "mt")
        await turn(stage, sender)
    assert len(receiver.taken) == 3
    assert len(receiver.requests[1]["webhook-signature"].split()) == 1


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirects_are_not_followed(stage: Stage, sender: WebhookSender, status: int) -> None:
    elsewhere, receiver = Receiver(), Receiver(answers=[status])
    async with elsewhere.listening(), receiver.listening():
        receiver.headers = {"location": elsewhere.url}
        await register(stage, receiver.url)
        await step(stage, "mt")
        await turn(stage, sender)
    assert elsewhere.requests == []
    assert "redirects" in ((await stage.deliveries("failed"))[0].reason or "")


async def test_a_slow_receiver_costs_no_more_than_the_time_limit(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver(delay_s=3).listening() as receiver:
        await register(stage, receiver.url)
        await step(stage, "mt")
        started_s = clock.monotonic_s()
        await turn(stage, sender)
        assert clock.monotonic_s() - started_s < 2.5
    assert (await stage.deliveries("failed"))[0].reason == "no answer within 1 s"


async def test_the_receivers_wish_to_wait_is_kept(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver(answers=[429], headers={"retry-after": "600"}).listening() as receiver:
        await register(stage, receiver.url)
        await step(stage, "mt")
        await turn(stage, sender)
    [failed] = await stage.deliveries("failed")
    assert failed.next_attempt_at - clock.now() > timedelta(seconds=590)


async def test_a_private_address_is_refused_at_connect_time(stage: Stage) -> None:
    strict = WebhookSender(stage.settings.model_copy(update={"webhook_networks_allowed": ()}), sealer(stage))
    async with Receiver().listening() as receiver:
        await register(stage, receiver.url.replace("127.0.0.1", "localhost"))
        await step(stage, "mt")
        await turn(stage, strict)
    await strict.aclose()
    assert receiver.requests == []
    assert (await stage.deliveries("dead"))[0].reason == "not allowed: the host's address isn't public"


async def test_several_processes_send_each_delivery_once(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver(delay_s=0.01).listening() as receiver:
        receiver.secrets = [await register(stage, receiver.url)]
        for _ in range(60):
            await step(stage, "mt")

        async def process() -> None:
            while await turn(stage, sender):
                pass

        await asyncio.gather(*(process() for _ in range(4)))
        while await turn(stage, sender):
            pass
    assert len(receiver.requests) == len(receiver.taken) == 60
    assert len({request["webhook-id"] for request in receiver.requests}) == 60


async def test_a_process_that_dies_after_the_claim_loses_nothing(stage: Stage, sender: WebhookSender) -> None:
    async with Receiver().listening() as receiver:
        receiver.secrets = [await register(stage, receiver.url)]
        await step(stage, "mt")
        [abandoned] = await sending.claim_webhooks(stage.pool, stage.settings)
        assert await turn(stage, sender) == 0
        await stage.hurry()  # the lease ends
        assert await turn(stage, sender) == 1
        # the first process was only asleep: its bad news comes too late to count
        late = sending.Outcome(False, "no answer")
        await sending.settle_webhook(stage.pool, abandoned, late)
    assert len(await stage.deliveries("sent")) == 1


async def test_a_switched_off_webhook_gives_up_what_waits(stage: Stage) -> None:
    async with Receiver().listening() as receiver:
        await register(stage, receiver.url)
        await step(stage, "mt")
        async with stage.work() as work:
            assert await usecases.switch_off(work, "mt")
            assert await usecases.test(work, stage.settings, "mt") is None
    await sending.sweep(stage.pool, stage.settings)
    [dead] = await stage.deliveries("dead")
    assert "switched off" in (dead.reason or "")
    async with stage.pool.acquire() as conn:
        assert await webhooks.active_by_company(conn) == {}


async def test_what_cannot_be_delivered_in_time_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await register(stage, "http://127.0.0.1:9/")
    await step(stage, "mt")
    async with stage.pool.acquire() as conn:
        await conn.execute("UPDATE deliveries SET created_at = $1", clock.now() - timedelta(hours=71))
        # this replica's clock is three hours ahead, and decides nothing
        monkeypatch.setattr(clock, "_OFFSET", timedelta(hours=3))
        await sending.sweep(stage.pool, stage.settings)
        assert await stage.deliveries("dead") == []
        await conn.execute("UPDATE deliveries SET created_at = created_at - interval '2 hours'")
    monkeypatch.setattr(clock, "_OFFSET", timedelta(0))
    await sending.sweep(stage.pool, stage.settings)
    assert (await stage.deliveries("dead"))[0].reason == "not deliverable in time; never tried"


def test_the_verifier_of_these_tests_refuses_a_wrong_secret() -> None:
    with pytest.raises(Exception, match="No matching signature"):
        Verifier(b"a" * 32).verify(
            b"{}",
            {"webhook-id": "x", "webhook-timestamp": str(int(clock.unix_s())), "webhook-signature": "v1,YWJj"},
        )


async def test_secrets_and_addresses_go_under_the_new_sealing_key(stage: Stage) -> None:
    async with Receiver().listening() as receiver:
        secrets = [await register(stage, receiver.url), await register(stage, receiver.url, rotate=True)]
    old = stage.settings.sealing_key.get_secret_value()
    async with stage.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO channels (channel_id, area, kind, sealed, hint, topics, created_at)"
            " VALUES ($1, '33', 'mail', $2, 'h', '{}', now())",
            channel := new_id(),
            Sealer(old).seal(b"a@b.cn", SEALED_FOR, str(channel)),
        )
    both, only_new = Sealer(f"{'b' * 43}=,{old}"), Sealer("b" * 43 + "=")
    for key in reversed(both.keys):
        resealing = Resealing(sealing.secrets(both), stage.work)
        assert await resealing.count() == {key.id: 3}
        assert await resealing.renew("", 10.0) == Progress(3, 0 if key is both.keys[0] else 3, None)
    async with stage.pool.acquire() as conn:
        found = await webhooks.webhook(conn, "mt")
        address = await conn.fetchval("SELECT sealed FROM channels")
    assert found is not None
    assert usecases.unsealed(only_new, found, clock.now()) == secrets[::-1]
    assert only_new.unseal(address, SEALED_FOR, str(channel)) == b"a@b.cn"
