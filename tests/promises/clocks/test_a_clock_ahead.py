"""A process whose clock is a day wrong ends, refuses, deletes and spends nothing that has time by the database's.

Each decision is brought to where an hour is left, and then taken by such a process.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.cases import domain, usecases
from services.cases.duplicates import DuplicateRule
from services.cases.usecases import Rules, Wish
from services.intake.store.objects import PhotoObjects
from services.intake.usecases.photos import Photos
from services.notifications.domain import Outcome
from services.notifications.settings import Settings
from services.notifications.usecases import preferences, sending, webhooks
from services.notifications.usecases.preferences import WantedChannel
from services.rewards.api.redeeming import Redeemed
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin
from shared.kit.postgres.db import Pool
from tests.services.intake.conftest import Intake, report
from tests.services.rewards.shop import Shop, wish
from tests.support import emptied, settings_of

PoolFor = Callable[[str], Awaitable[Pool]]
KEY = Sealer("a" * 43 + "=")
SQL_CLOSED_CASE = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, lng, lat, cell, seen_at,
                   opened_at, due_at, changed_at, report_count)
VALUES ($1, 5, 'closed', false, 'part-01001', 'hazard', '330114001001001', '{}', 120, 30, 0, now(), now(), now(),
        now() - interval '6 days 23 hours', 1)
"""
SQL_ITS_REPORT = """
INSERT INTO case_reports (report_id, case_id, version, ordinal, rider_id, company, text, photos)
VALUES (gen_random_uuid(), $1, 1, 1, $2, 'mt', '', '{}')
"""
SQL_UNUSED_PHOTO = """
INSERT INTO photos (photo_id, owner, sha256, phash, width, height, state, uploaded_at)
VALUES ($1, $2, 'x', 'x', 1, 1, 'stored', now() - interval '23 hours')
"""
SQL_WEBHOOK = """
INSERT INTO webhooks (company, webhook_id, url, sealed, sealed_previous, previous_until, version, updated_at)
VALUES ($1, $2, 'https://example.cn/', $3, $3, now() + interval '1 hour', 1, now())
"""
SQL_DELIVERY = """
INSERT INTO deliveries (event_id, lane, target_id, template, params, state, attempts, attempts_allowed, next_attempt_at,
                        created_at)
VALUES ($1, $2, $1, 'case_closed', '{}', 'failed', 1, 8, now() + $3::interval, now())
"""


@dataclass
class Scene:
    """What a decision needs, and the wrong clock, from when it is wrong on."""

    pool_for: PoolFor
    settings: Settings
    folder: Path
    turn_wrong: Callable[[], None]


async def a_case_may_be_reopened(scene: Scene) -> None:
    pool, case_id, reporter = await scene.pool_for("cases"), new_id(), new_id()
    await pool.execute(SQL_CLOSED_CASE, case_id)
    await pool.execute(SQL_ITS_REPORT, case_id, reporter)
    duplicates = DuplicateRule(30, 48, 0.6, usecases.likeness)
    rules = Rules(Catalogue.load(), duplicates, timedelta(hours=24), timedelta(days=7))
    rider = domain.Person(str(reporter), "", frozenset({"rider"}), lambda _: False)
    scene.turn_wrong()
    async with pool.acquire() as conn, conn.transaction():
        [taken] = await usecases.take_steps(await begin(conn), rules, rider, [Wish(case_id, domain.Order("reopened"))])
        now = await conn.fetchval("SELECT now()")
    assert isinstance(taken, domain.Taken), taken
    assert taken.case.changed_at == now < taken.case.due_at < now + timedelta(days=60)


async def a_voucher_is_good_and_its_offer_open(scene: Scene) -> None:
    shop = Shop(await scene.pool_for("rewards"))
    offer = await shop.offer(price=0, valid_until=clock.now() + timedelta(hours=1), valid_from=clock.now())
    first = await shop.redeem_one(offer)
    scene.turn_wrong()
    assert isinstance((await shop.redeem(wish(offer.id)))[0], Redeemed)
    assert await shop.sweep() == 0
    assert (await shop.verify(offer.merchant_id, await shop.code(first))).outcome == "used"


async def an_unused_photo_stays(scene: Scene) -> None:
    pool, photo = await scene.pool_for("intake"), new_id()
    await pool.execute(SQL_UNUSED_PHOTO, photo, str(photo))
    scene.turn_wrong()
    workers: Any = None  # nothing is decoded
    await Photos(lambda: pool, PhotoObjects(f"file://{scene.folder}"), workers, unused_hours=24).purge()
    assert await pool.fetchval("SELECT state FROM photos WHERE photo_id = $1", photo) == "stored"


async def a_report_is_of_now_or_of_the_future(scene: Scene) -> None:
    intake, seen = Intake(await scene.pool_for("intake")), clock.now()
    await intake.company()
    await intake.rider()
    scene.turn_wrong()
    numbers = str(new_id()), str(new_id())
    rejections = await intake.take(
        [
            report(numbers[0], occurred_at=seen.isoformat()),
            report(numbers[1], occurred_at=(seen + timedelta(hours=2)).isoformat()),
        ]
    )
    assert [one.code for one in rejections] == ["occurred_in_future"]
    received = await intake.pool.fetchval("SELECT received_at FROM reports WHERE external_id = $1", numbers[0])
    assert abs(received - seen) < timedelta(minutes=1)


async def a_former_secret_signs(scene: Scene) -> None:
    pool, webhook = await scene.pool_for("notifications"), new_id()
    company = f"c{webhook.hex[:12]}"
    await pool.execute(SQL_WEBHOOK, company, webhook, KEY.seal(b"secret", company, str(webhook)))
    await pool.execute(SQL_DELIVERY.replace("$1, 'case", f"'{webhook}', 'case"), new_id(), "webhook", timedelta(0))
    scene.turn_wrong()
    [parcel] = await sending.claim_webhooks(pool, scene.settings)
    assert len(webhooks.unsealed(KEY, parcel.webhook, parcel.at)) == 2
    assert abs(parcel.at - await pool.fetchval("SELECT now()")) < timedelta(minutes=1)


async def a_failed_delivery_waits_for_its_time(scene: Scene) -> None:
    pool, rider = await scene.pool_for("notifications"), new_id()
    wanted = [WantedChannel(None, "wecom", "wecombot://abcdefgh12345678", ("case",))]
    async with pool.acquire() as conn, conn.transaction():
        saved = await preferences.replace(
            await begin(conn), KEY, rider, language=None, quiet=None, channels=wanted, version=0
        )
    channel = saved.channels[0].channel_id
    sql = SQL_DELIVERY.replace("$1, 'case", f"'{channel}', 'case")
    for wait in (timedelta(0), timedelta(hours=1)):
        await pool.execute(sql, new_id(), "channel", wait)
    scene.turn_wrong()
    [parcel] = await sending.claim_channels(pool, scene.settings)
    assert await sending.claim_channels(pool, scene.settings) == []  # nor is it taken while another has it
    await sending.settle_channel(pool, parcel.delivery, Outcome(False, "no answer"))
    due, now = await _due(pool, channel)
    assert now < due < now + timedelta(hours=1)
    assert await sending.claim_channels(pool, scene.settings) == []


async def _due(pool: Pool, channel: object) -> tuple[datetime, datetime]:
    row = await pool.fetchrow("SELECT min(next_attempt_at), now() FROM deliveries WHERE target_id = $1", channel)
    assert row is not None
    return row[0], row[1]


TABLES = {
    "intake": "known_companies, known_riders, reports, photos",
    "notifications": "preferences, channels, channel_codes, webhooks, deliveries, delivery_attempts",
    "rewards": "merchants, offers, redemptions, voucher_attempts, idempotency_keys",
}
DECISIONS = (
    a_case_may_be_reopened,
    a_voucher_is_good_and_its_offer_open,
    an_unused_photo_stays,
    a_report_is_of_now_or_of_the_future,
    a_former_secret_signs,
    a_failed_delivery_waits_for_its_time,
)


@pytest.mark.parametrize("wrong", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.__name__)
async def test_a_wrong_clock_decides_nothing(
    decision: Callable[[Scene], Awaitable[None]],
    wrong: timedelta,
    installation: Installation,
    pool_for: PoolFor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_of(installation, "notifications")
    for service, tables in TABLES.items():
        await emptied(installation, service, tables)
    await decision(Scene(pool_for, settings, tmp_path, lambda: monkeypatch.setattr(clock, "_OFFSET", wrong)))
