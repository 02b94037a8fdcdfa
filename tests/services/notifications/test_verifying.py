"""A mail address gets nothing but a code until its owner has entered that. Real Postgres, a real mail server."""

import asyncio
from datetime import time, timedelta
from uuid import UUID

import pytest

from services.notifications.domain import CODE_PAUSE, CODE_TRIES_MAX, CODE_VALID, CODES_MAX, CODES_WINDOW
from services.notifications.store import people
from services.notifications.usecases import preferences, sending, verifying
from services.notifications.usecases.preferences import UnknownChannel, WantedChannel
from services.notifications.usecases.verifying import TooManyCodes, VerifiedAlready
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.metrics import REGISTRY
from shared.kit.privacy.erasure import Erasure, Leaver
from tests.services.notifications.mail import Mailbox, choose, codes, hold, mailing, sealer, turn
from tests.services.notifications.stage import NOON, Stage

ADDRESS = "zhang@example.cn"
Box = tuple[Mailbox, int]


async def ask(stage: Stage, rider: UUID, channel: UUID) -> None:
    async with stage.work() as work:
        await verifying.ask(work, sealer(stage), rider, channel)


async def verify(stage: Stage, rider: UUID, channel: UUID, code: str, seals: Sealer | None = None) -> str:
    async with stage.work() as work:
        return await verifying.verify(work, seals or sealer(stage), rider, channel, code)


async def mailed(stage: Stage, box: Box, rider: UUID, channel: UUID) -> str:
    """Ask for a code, and read it in the mail box."""
    async with mailing(stage, box[1]) as sender:
        await ask(stage, rider, channel)
        assert await turn(stage, sender) == 1
    return codes(box[0])[-1]


async def later(stage: Stage, by: timedelta) -> None:
    """So much time passes for codes and for whoever counts them."""
    await stage.rows("UPDATE code_limits SET last_at = last_at - $1::interval, window_from = window_from - $1", by)
    await stage.rows("UPDATE channel_codes SET expires_at = expires_at - $1::interval", by)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("beegrid_notifications_address_codes_total", {"outcome": outcome}) or 0.0


async def test_an_address_gets_a_code_and_nothing_else_until_the_code_is_entered(stage: Stage, mailbox: Box) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False, quiet=(time(0), time(23, 59)))
    before = {outcome: counted(outcome) for outcome in ("asked", "sent", "wrong", "verified")}
    await hold(stage, rider)
    code = await mailed(stage, mailbox, rider, channel)  # also in quiet hours: somebody is waiting for it
    await hold(stage, rider)
    async with mailing(stage, mailbox[1]) as sender:
        assert await turn(stage, sender) == 0
    [(to, _)] = mailbox[0].mails
    assert (to, len(await stage.rows("SELECT FROM deliveries"))) == ([ADDRESS], 1)
    wrong = f"{(int(code) + 1) % 10**8:08}"
    assert [await verify(stage, rider, channel, one) for one in (wrong, code, wrong)] == [
        "wrong",
        "verified",
        "verified",
    ]
    await stage.rows("UPDATE preferences SET quiet_from = NULL, quiet_until = NULL")
    await hold(stage, rider)
    async with mailing(stage, mailbox[1]) as sender:
        assert await turn(stage, sender) == 1
    assert len(mailbox[0].mails) == 2
    assert {outcome: counted(outcome) - n for outcome, n in before.items()} == {
        "asked": 1, "sent": 1, "wrong": 1, "verified": 2
    }  # fmt: skip
    with pytest.raises(VerifiedAlready):
        await ask(stage, rider, channel)


async def test_no_table_has_a_code_or_an_address(stage: Stage, mailbox: Box) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    code = await mailed(stage, mailbox, rider, channel)
    tables = ("deliveries", "delivery_attempts", "channel_codes", "code_limits", "channels")
    kept = [await stage.rows(f"SELECT t::text FROM {table} t") for table in tables]
    assert all(kept)
    assert code not in str(kept) and code.encode().hex() not in str(kept) and "zhang" not in str(kept)


async def test_another_address_is_unverified_and_gets_nothing_that_waited(stage: Stage, mailbox: Box) -> None:
    """The rider is verified, has mail and a code waiting, and then enters somebody else's address."""
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS)

    async def change(version: int, address: str, channel: UUID | None) -> preferences.Preferences:
        async with stage.work() as work:
            wanted = WantedChannel(channel, "mail", address, ("points",))
            return await preferences.replace(
                work, sealer(stage), rider, language=None, quiet=None, channels=[wanted], version=version
            )

    for version, named in ((1, channel), (2, None)):
        same = (await change(version, ADDRESS, named)).channels[0]
        assert (same.channel_id, same.verified, same.topics) == (channel, True, ("points",))
    await hold(stage, rider)
    second = (await change(3, "victim@example.cn", channel)).channels[0]
    assert second.channel_id != channel and not second.verified
    await ask(stage, rider, second.channel_id)
    third = (await change(4, "another.victim@example.cn", second.channel_id)).channels[0]
    assert third.channel_id != second.channel_id and not third.verified
    async with mailing(stage, mailbox[1]) as sender:
        await hold(stage, rider)
        assert await turn(stage, sender) == 0
    await sending.sweep(stage.pool, stage.settings)
    assert await stage.rows("SELECT FROM deliveries") == []
    assert mailbox[0].mails == []


async def test_a_code_is_good_for_its_channel_a_while_and_a_few_tries(stage: Stage, mailbox: Box) -> None:
    rider, stranger = new_id(), new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    foreign = await choose(stage, stranger, "mail", ADDRESS, verified=False)
    theirs = await mailed(stage, mailbox, stranger, foreign)
    for other in (foreign, new_id()):  # somebody else's channel looks like none
        with pytest.raises(UnknownChannel):
            await verify(stage, rider, other, theirs)
        with pytest.raises(UnknownChannel):
            await ask(stage, rider, other)
    assert await verify(stage, rider, channel, theirs) == "expired"  # none was sent for it
    first = await mailed(stage, mailbox, rider, channel)
    assert await verify(stage, rider, channel, theirs) == "wrong"
    await later(stage, CODE_PAUSE)
    second = await mailed(stage, mailbox, rider, channel)
    assert await verify(stage, rider, channel, first) == "wrong"  # another one is good now
    tries = [await verify(stage, rider, channel, "00000000") for _ in range(CODE_TRIES_MAX)]
    assert tries == ["wrong"] * (CODE_TRIES_MAX - 1) + ["expired"]
    assert await verify(stage, rider, channel, second) == "expired"  # right, and too late
    await later(stage, CODE_PAUSE)
    third = await mailed(stage, mailbox, rider, channel)
    await later(stage, CODE_VALID)
    assert await verify(stage, rider, channel, third) == "expired"
    assert [row["verified_at"] for row in await stage.rows("SELECT verified_at FROM channels")] == [None, None]


async def test_of_many_guesses_at_once_few_count(stage: Stage, mailbox: Box) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    await mailed(stage, mailbox, rider, channel)
    guesses = await asyncio.gather(*(verify(stage, rider, channel, f"{n:08}") for n in range(20)))
    assert sorted(guesses) == ["expired"] * (20 - CODE_TRIES_MAX) + ["wrong"] * CODE_TRIES_MAX


async def test_a_rider_may_ask_now_and_then(stage: Stage) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    limited = counted("rider_limit")
    results = await asyncio.gather(*(ask(stage, rider, channel) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, TooManyCodes) for one in results) == 3
    for _ in range(CODES_MAX - 1):
        await later(stage, CODE_PAUSE)
        await ask(stage, rider, channel)
    await later(stage, CODE_PAUSE)
    with pytest.raises(TooManyCodes) as refused:
        await ask(stage, rider, channel)
    assert CODE_PAUSE.total_seconds() < refused.value.wait_s <= CODES_WINDOW.total_seconds()
    assert counted("rider_limit") == limited + 4
    assert len(await stage.rows("SELECT FROM deliveries")) == 1  # one that waits is enough
    await later(stage, timedelta(seconds=refused.value.wait_s))
    await ask(stage, rider, channel)


async def test_strangers_cannot_flood_an_address_and_do_not_learn_of_each_other(stage: Stage, mailbox: Box) -> None:
    """Each has an account of their own, and writes the same address in another way."""
    before = counted("address_limit")
    async with mailing(stage, mailbox[1]) as sender:
        for n in range(CODES_MAX + 4):
            rider = new_id()
            channel = await choose(stage, rider, "mail", f"Zhang+{n}@Example.cn", verified=False)
            await ask(stage, rider, channel)  # the same answer for all
            await turn(stage, sender)
    assert len(mailbox[0].mails) == CODES_MAX
    assert counted("address_limit") == before + 4
    await later(stage, CODES_WINDOW)
    assert await mailed(stage, mailbox, rider, channel)


async def test_a_code_that_cannot_be_delivered_is_no_operators_business(stage: Stage, mailbox: Box) -> None:
    box, port = mailbox
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    box.answer = "550 no such user"
    before = counted("undelivered")
    async with mailing(stage, port) as sender:
        await ask(stage, rider, channel)
        for _ in range(4):
            await turn(stage, sender)
            await stage.hurry()
        assert await stage.rows("SELECT FROM deliveries") == []
        assert counted("undelivered") == before + 1
        await later(stage, CODE_PAUSE)
        box.answer = "451 try later"  # the code is made when it leaves: an outage uses none up
        await ask(stage, rider, channel)
        await turn(stage, sender)
        await later(stage, CODE_VALID)
        box.answer = "250 OK"
        await stage.hurry()
        await turn(stage, sender)
    assert await verify(stage, rider, channel, codes(mailbox[0])[-1]) == "verified"


async def test_codes_go_with_their_rider_and_in_time(stage: Stage, mailbox: Box) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    await mailed(stage, mailbox, rider, channel)
    async with stage.pool.acquire() as conn, conn.transaction():
        leaver = Leaver(rider, "n", NOON)
        await Erasure(lambda: stage.pool, 60.0, people.forget, None).take(conn, [leaver])
    for table in ("channels", "channel_codes", "deliveries"):
        assert await stage.rows(f"SELECT FROM {table}") == []
    [left] = await stage.rows("SELECT subject FROM code_limits")
    assert left["subject"].startswith("address:")  # swept within a day: nobody gets around it by leaving


async def test_a_code_outlives_an_exchange_of_the_sealing_key(stage: Stage, mailbox: Box) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    code = await mailed(stage, mailbox, rider, channel)
    both = Sealer(f"{'b' * 43}=,{stage.settings.sealing_key.get_secret_value()}")
    assert await verify(stage, rider, channel, code, both) == "verified"


async def test_a_process_whose_clock_is_ahead_ends_no_code(
    stage: Stage, mailbox: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    rider = new_id()
    channel = await choose(stage, rider, "mail", ADDRESS, verified=False)
    code = await mailed(stage, mailbox, rider, channel)
    monkeypatch.setattr(clock, "_OFFSET", timedelta(days=1))
    with pytest.raises(TooManyCodes):
        await ask(stage, rider, channel)
    assert await verify(stage, rider, channel, code) == "verified"
