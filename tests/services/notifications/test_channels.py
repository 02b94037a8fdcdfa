"""Mail and group bots: through apprise, in quiet hours not, and not faster than the bot takes them."""

import asyncio
from datetime import datetime, time, timedelta
from email.header import decode_header, make_header
from functools import partial
from typing import Any

import pytest

from services.notifications.domain import Channel, Outcome
from services.notifications.outbound import channel as outbound
from services.notifications.store import people
from services.notifications.usecases import cases, notifying, preferences, sending
from services.notifications.usecases.preferences import Outdated, UnknownChannel, WantedChannel
from shared.devtools.infra.ports import free_port
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.notifications.mail import Mailbox, choose, hold, mailing, sealer, turn
from tests.services.notifications.stage import HEARS_RIDERS, NOON, Stage, moved, stepped
from tests.support import rider_is


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """The database's time, as far as sending asks for it."""

    async def database_now(_conn: Any) -> datetime:
        return now

    monkeypatch.setattr(sending, "database_now", database_now)


async def test_a_mail_arrives_in_the_riders_language(stage: Stage, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    zh, en = new_id(), new_id()
    await stage.hear(HEARS_RIDERS, rider_is(en, locale="en"))
    await choose(stage, zh, "mail", "zhang@example.cn")
    await choose(stage, en, "mail", "lee@example.cn")
    await hold(stage, zh, en)
    async with mailing(stage, port) as sender:
        assert await turn(stage, sender) == 2
    subjects = {to[0]: str(make_header(decode_header(mail["Subject"]))) for to, mail in box.mails}
    assert subjects == {"zhang@example.cn": "随手拍已受理", "lee@example.cn": "Your report is being handled"}
    bodies = "".join(
        part.get_payload(decode=True).decode()
        for _, mail in box.mails for part in mail.walk() if not part.is_multipart()
    )  # fmt: skip
    assert "50 积分" in bodies
    assert "50 points" in bodies
    assert len(await stage.deliveries("sent")) == 2


async def test_an_outage_of_the_mail_server_loses_nothing(stage: Stage, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    rider = new_id()
    await choose(stage, rider, "mail", "zhang@example.cn")
    await hold(stage, rider)
    box.answer = "451 try later"
    async with mailing(stage, port) as sender:
        assert await turn(stage, sender) == 1
        assert await turn(stage, sender) == 0
        [failed] = await stage.deliveries("failed")
        assert failed.attempts == 1
        box.answer = "250 OK"
        await stage.hurry()
        assert await turn(stage, sender) == 1
    assert len(box.mails) == 1


async def test_a_dead_address_ends_and_says_why_without_the_address(stage: Stage) -> None:
    rider = new_id()
    await choose(stage, rider, "mail", "zhang@example.cn")
    await hold(stage, rider)
    async with mailing(stage, free_port()) as sender:  # nobody listens there
        for _ in range(9):
            await stage.hurry()
            await turn(stage, sender)
    [dead] = await stage.deliveries("dead")
    assert dead.attempts == 8
    rows = await stage.rows("SELECT * FROM deliveries d JOIN delivery_attempts a USING (delivery_id)")
    assert "zhang" not in str(rows)


async def test_addresses_are_sealed_at_rest(stage: Stage) -> None:
    rider = new_id()
    await choose(stage, rider, "mail", "zhang.san@example.cn")
    rows = await stage.rows("SELECT * FROM channels")
    assert "zhang" not in str(rows)
    assert rows[0]["hint"] == "z***@example.cn"


async def test_quiet_hours_put_off_without_an_attempt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    rider = new_id()
    await choose(stage, rider, "mail", "zhang@example.cn", quiet=(time(11), time(13)))
    at(monkeypatch, NOON)
    async with stage.pool.acquire() as conn, conn.transaction():
        work = notifying.Work(conn, now=NOON)
        await notifying.notify_of_movements(stage.settings, work, [moved(rider)])
    assert await sending.claim_channels(stage.pool, stage.settings) == []
    [waiting] = await stage.deliveries("pending")
    assert (waiting.attempts, waiting.next_attempt_at) == (0, NOON + timedelta(hours=1))
    at(monkeypatch, NOON + timedelta(hours=1))
    assert len(await sending.claim_channels(stage.pool, stage.settings)) == 1


async def test_a_group_bot_gets_twenty_a_minute(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten messages at once leave three seconds apart, whoever claims them, and none is counted as a failure."""
    bot = Channel(new_id(), "dingtalk", "sealed", "h", ("emergency",), "zh", "330114", verified=True)
    async with stage.pool.acquire() as conn:
        await people.put_channel(conn, bot, None, NOON)
    start = clock.now()
    await stage.hear(partial(cases.notify_of_cases, stage.settings), *(stepped("opened") for _ in range(10)))
    left: list[int] = []
    for second in range(0, 31):
        at(monkeypatch, start + timedelta(seconds=second, milliseconds=500))
        both = await asyncio.gather(*(sending.claim_channels(stage.pool, stage.settings) for _ in range(2)))
        for parcel in [parcel for claimed in both for parcel in claimed]:
            left.append(second)
            await sending.settle_channel(stage.pool, parcel.delivery, Outcome(True, "taken"))
    assert left == list(range(0, 30, 3))
    assert {one.attempts for one in await stage.deliveries("sent")} == {1}


async def test_apprise_runs_in_a_thread_and_its_failures_are_outcomes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    names: list[str] = []

    def notify(*_: Any) -> Outcome:
        names.append(threading.current_thread().name)
        return Outcome(False, "the channel didn't take it")

    monkeypatch.setattr(outbound, "_notify", notify)
    rider = new_id()
    await choose(stage, rider, "wecom", "wecombot://abcdefgh")
    await hold(stage, rider)
    async with mailing(stage, 1) as sender:
        assert await turn(stage, sender) == 1
    assert names[0].startswith("apprise")
    assert len(await stage.deliveries("failed")) == 1


@pytest.mark.parametrize(
    ("kind", "address", "good"),
    [
        ("wecom", "wecombot://abcdefgh", True),
        ("dingtalk", "dingtalk://token12345678901234567890", True),
        ("feishu", "feishu://token123456", True),
        ("wecom", "json://169.254.169.254/latest", False),
        ("dingtalk", "mailto://127.0.0.1?to=a@b.cn", False),
        ("feishu", "file:///etc/passwd", False),
        ("mail", "mailto://127.0.0.1", False),
    ],
)
def test_a_riders_address_cannot_point_anywhere_else(kind: str, address: str, good: bool) -> None:
    assert outbound.usable(kind, address) is good


async def test_preferences_keep_change_and_remove_channels(stage: Stage) -> None:
    rider, other = new_id(), new_id()
    kept = await choose(stage, rider, "mail", "zhang@example.cn")
    foreign = await choose(stage, other, "mail", "li@example.cn")

    async def put(version: int, *channels: WantedChannel) -> preferences.Preferences:
        async with stage.work() as work:
            return await preferences.replace(
                work, sealer(stage), rider, language="en", quiet=None, channels=channels, version=version
            )

    only_points = await put(1, WantedChannel(kept, "mail", None, ("points",)))
    assert (only_points.version, only_points.language) == (2, "en")
    assert [(one.channel_id, one.topics) for one in only_points.channels] == [(kept, ("points",))]
    with pytest.raises(UnknownChannel):
        await put(2, WantedChannel(foreign, "mail", None, ("points",)))
    with pytest.raises(UnknownChannel):
        await put(2, WantedChannel(None, "mail", None, ("points",)))
    with pytest.raises(Outdated):
        await put(1)
    await hold(stage, rider)
    assert (await put(2)).channels == ()
    assert await sending.claim_channels(stage.pool, stage.settings) == []
    await sending.sweep(stage.pool, stage.settings)
    assert await stage.deliveries("pending") == []


async def test_of_two_writers_one_wins(stage: Stage) -> None:
    rider = new_id()

    async def put(language: Any) -> bool:
        try:
            async with stage.work() as work:
                await preferences.replace(
                    work, sealer(stage), rider, language=language, quiet=None, channels=(), version=0
                )
        except Outdated:
            return False
        return True

    assert sorted(await asyncio.gather(put("zh"), put("en"), put("zh"))) == [False, False, True]
