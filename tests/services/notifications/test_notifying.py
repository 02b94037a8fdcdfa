"""Who is notified of what, once, in a constant number of statements."""

from datetime import date
from functools import partial
from uuid import UUID

import pytest

from services.notifications.domain import TEMPLATES, Channel
from services.notifications.store import messages, people
from services.notifications.usecases import cases, notifying
from services.notifications.usecases import preferences as choices
from shared.events.badge_awarded import BADGE_AWARDED, BadgeAwarded
from shared.events.points_expiring import POINTS_EXPIRING, PointsExpiring
from shared.events.signup_changed import SIGNUP_CHANGED, SignupChanged
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.areas import store as known_store
from shared.kit.areas.following import KnownAreas
from shared.kit.areas.store import KeptArea
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Gone, begin
from shared.kit.privacy.erasure import Erasure, Leaver, each_of
from shared.known.knowing import retire_riders
from shared.known.riders import forget as forget_known
from tests.services.notifications.stage import (
    GRID,
    HEARS_RIDERS,
    NOON,
    RIDERS,
    Stage,
    moved,
    redeemed,
    stepped,
)
from tests.support import event_of, rider_is


async def inbox(stage: Stage, rider: UUID) -> list[messages.Message]:
    async with stage.pool.acquire() as conn:
        return await messages.page(conn, rider, None, 100)


async def add_channel(stage: Stage, rider: UUID | None, topics: tuple[str, ...], area: str | None = None) -> UUID:
    channel = Channel(new_id(), "mail", "sealed", "h", topics, None, area, verified=True)
    async with stage.pool.acquire() as conn:
        await people.put_channel(conn, channel, rider, NOON)
    return channel.channel_id


async def test_a_hold_says_where_the_report_is_and_what_it_earns(stage: Stage) -> None:
    rider = new_id()
    held = moved(rider)
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), held)
    [message] = await inbox(stage, rider)
    assert (message.message_id, message.topic, message.template) == (held.id, "points", "report_accepted")
    assert message.params["grid_code"] == GRID
    assert (message.params["amount"], message.params["pending"]) == (50, 120)
    assert message.params["report_id"] == str(held.data.source_id)


async def test_a_badge_is_announced_once_and_by_its_name(stage: Stage) -> None:
    rider = new_id()
    body = BadgeAwarded(award_id=new_id(), rider_id=rider, code="streak-7", zh="七日连巡", en="Seven", awarded_at=NOON)
    awarded = event_of(BADGE_AWARDED, body)
    for _ in range(2):
        await stage.hear(partial(notifying.notify_of_badges, stage.settings), awarded)
    [message] = await inbox(stage, rider)
    assert (message.template, message.params) == ("badge_awarded", {"badge_zh": "七日连巡", "badge_en": "Seven"})


async def test_a_sign_up_is_announced_but_for_what_riders_do_themselves(stage: Stage) -> None:
    rider = new_id()
    heard = [
        SignupChanged.model_validate({
            "signup_id": new_id(), "activity_id": new_id(), "rider_id": rider, "what": what, "number": 3, "turn": 3,
            "title_zh": "集体生日会", "title_en": "Birthday", "address": "驿站", "starts_at": NOON,
            "signup_until": NOON, "changed_at": NOON,
        })
        for what in ("moved_up", "cancelled")
    ]  # fmt: skip
    events = [event_of(SIGNUP_CHANGED, one) for one in heard]
    await stage.hear(partial(notifying.notify_of_signups, stage.settings), *events)
    [message] = await inbox(stage, rider)
    assert (message.topic, message.template) == ("rewards", "activity_moved_up")
    assert message.params["address"] == "驿站"
    assert message.params["activity_id"] == str(heard[0].activity_id)


async def test_the_same_event_notifies_once(stage: Stage) -> None:
    rider, other = new_id(), new_id()
    await add_channel(stage, rider, ("points", "case"))
    held, claimed = moved(rider), stepped("claimed", 2, await stage.case([rider, other]))
    for _ in range(3):
        await stage.hear(partial(notifying.notify_of_movements, stage.settings), held)
        await stage.hear(partial(cases.notify_of_cases, stage.settings), claimed)
    assert len(await inbox(stage, rider)) == 2
    assert len(await inbox(stage, other)) == 1
    assert len(await stage.deliveries("pending")) == 2


@pytest.mark.parametrize(
    ("movement", "source", "template"),
    [
        ("held", "report", "report_accepted"), ("posted", "report", "report_posted"),
        ("voided", "report", "report_voided"), ("refused", "report", "report_no_points"),
        ("reversed", "report", "points_reversed"), ("reversed", "redemption", "points_reversed"),
        ("posted", "deed", "deed_posted"), ("voided", "deed", "deed_voided"), ("refused", "deed", "deed_no_points"),
        ("reversed", "deed", "points_reversed"), ("held", "deed", None),
        ("held", "redemption", None), ("posted", "redemption", None), ("refused", "redemption", None),
    ],
)  # fmt: skip
async def test_movements(stage: Stage, movement: str, source: str, template: str | None) -> None:
    rider = new_id()
    movement_of_points = moved(rider, movement, source=source, amount=-20, reason="来电13812345678")
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), movement_of_points)
    found = await inbox(stage, rider)
    assert [one.template for one in found] == ([template] if template else [])
    for one in found:
        assert TEMPLATES[one.template] <= one.params.keys()
        assert one.params.get("amount", 20) == 20
        assert "13812345678" not in str(one.params)


@pytest.mark.parametrize("source", ["report", "deed"])
async def test_points_that_wait_for_a_budget_say_so_and_name_the_rule(stage: Stage, source: str) -> None:
    rider = new_id()
    words = {"why_zh": "依据规则「签到」（第 2 版）", "why_en": "by a rule"}
    waiting = moved(rider, source=source, reason="budget_waits", **words)
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), waiting)
    [message] = await inbox(stage, rider)
    assert (message.template, message.params["amount"]) == ("points_waiting", 50)
    assert f"{source}_id" in message.params
    assert message.params["why"] == {"zh": "依据规则「签到」（第 2 版）", "en": "by a rule"}


async def test_a_hold_without_a_grid_still_notifies(stage: Stage) -> None:
    rider = new_id()
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), moved(rider, grid_code=None))
    assert [one.template for one in await inbox(stage, rider)] == ["report_held"]


@pytest.mark.parametrize(
    "transition", ["claimed", "info_requested", "handled", "verified", "closed", "invalidated", "reopened"]
)
async def test_every_reporter_is_notified_of_each_step(stage: Stage, transition: str) -> None:
    riders = [new_id() for _ in range(3)]
    event = stepped(transition, 3, await stage.case(riders), note="请打 13812345678")
    await stage.hear(partial(cases.notify_of_cases, stage.settings), event)
    for rider in riders:
        [message] = await inbox(stage, rider)
        assert TEMPLATES[message.template] <= message.params.keys()
        assert "13812345678" not in str(message.params)
        assert "lng" not in message.params


@pytest.mark.parametrize("transition", ["opened", "attached", "repeated", "returned", "redispatched", "info_given"])
async def test_steps_that_notify_nobody(stage: Stage, transition: str) -> None:
    rider = new_id()
    await stage.hear(partial(cases.notify_of_cases, stage.settings), stepped(transition, 1, await stage.case([rider])))
    assert await inbox(stage, rider) == []


@pytest.mark.parametrize(("state", "template"), [
    ("issued", "voucher_issued"), ("used", "voucher_used"), ("expired", "voucher_expired"),
    ("refused", "redemption_refused"), ("requested", None), ("cancelled", None),
])  # fmt: skip
async def test_redemptions(stage: Stage, state: str, template: str | None) -> None:
    rider = new_id()
    await stage.hear(partial(notifying.notify_of_redemptions, stage.settings), redeemed(rider, state, expires_at=NOON))
    found = await inbox(stage, rider)
    assert [one.template for one in found] == ([template] if template else [])
    assert all(TEMPLATES[one.template] <= one.params.keys() for one in found)


async def test_only_wanted_topics_leave_the_app(stage: Stage) -> None:
    rider = new_id()
    channel = await add_channel(stage, rider, ("points",))
    await stage.hear(partial(cases.notify_of_cases, stage.settings), stepped("claimed", 1, await stage.case([rider])))
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), moved(rider), moved(new_id()))
    [queued] = await stage.deliveries("pending")
    assert (queued.target_id, queued.template) == (channel, "report_accepted")
    assert len(await inbox(stage, rider)) == 2


async def test_an_emergency_is_shown_to_its_area_at_once(stage: Stage) -> None:
    here = await add_channel(stage, None, ("emergency",), area="330114")
    await add_channel(stage, None, ("emergency",), area="330106")
    await stage.hear(
        partial(cases.notify_of_cases, stage.settings),
        stepped("opened"),
        stepped("opened", level="routine"),
        stepped("claimed"),
    )
    [queued] = await stage.deliveries("pending")
    assert (queued.target_id, queued.template) == (here, "emergency_opened")
    assert queued.params.keys() >= TEMPLATES["emergency_opened"]


async def test_an_area_is_no_beginning_of_a_code(stage: Stage) -> None:
    tree = AreaTree.of([
        KnownArea("G1", "district", (), True),
        KnownArea("330106", "district", (), True),
        KnownArea("G10", "grid", ("G1",), True),
        KnownArea("G11", "grid", ("330106",), True),
    ])  # fmt: skip
    above = await add_channel(stage, None, ("emergency",), area="G1")
    itself = await add_channel(stage, None, ("emergency",), area="G10")
    other = await add_channel(stage, None, ("emergency",), area="330106")
    known = KnownAreas(lambda: stage.pool, 60)
    known.tree = tree
    notify = partial(cases.notify_of_cases, stage.settings, known=known)
    await stage.hear(notify, stepped("opened", grid_code="G10"))
    assert {one.target_id for one in await stage.deliveries("pending")} == {above, itself}
    await stage.hear(notify, stepped("opened", grid_code="G11"))
    assert [one.target_id for one in await stage.deliveries("pending")].count(other) == 1
    assert len(await stage.deliveries("pending")) == 3, "G11 begins with G1 and lies elsewhere"


async def test_channels_of_an_area_that_vanished_are_its_successors(stage: Stage) -> None:
    areas = [
        KnownArea("330103", "district", (), False, ("330102", "330105")),
        KnownArea("330102", "district", (), True),
        KnownArea("330105", "district", (), True),
        KnownArea("330114", "district", (), True),
    ]
    sealer = Sealer(stage.settings.sealing_key.get_secret_value())
    moving = new_id()
    sealed = sealer.seal(b"ops@example.org", choices.SEALED_FOR, str(moving))
    async with stage.pool.acquire() as conn:
        channel = Channel(moving, "mail", sealed, "h", ("emergency",), None, "330103")
        await people.put_channel(conn, channel, None, NOON)
    staying = await add_channel(stage, None, ("emergency",), area="330114")
    async with stage.pool.acquire() as conn, conn.transaction():
        await known_store.keep(conn, [KeptArea(area, 1) for area in areas])
        assert await choices.count_by_area(conn, ["330103"]) == {"emergency channels": {"330103": 1}}
        carried = [await choices.carry_channels(sealer, await begin(conn)) for _ in range(2)]
        found = {one.area: one for one in await people.operator_channels(conn, UUID(int=0), 100)}
        await conn.execute("DELETE FROM known_areas")
        await conn.execute("DELETE FROM known_map")
    assert carried == [1, 0] and set(found) == {"330102", "330105", "330114"}
    assert (found["330102"].channel_id, found["330114"].channel_id) == (moving, staying)
    addresses = {
        sealer.unseal(found[area].sealed, choices.SEALED_FOR, str(found[area].channel_id))
        for area in ("330102", "330105")
    }
    assert addresses == {b"ops@example.org"}, "the copy leads to the same place"


async def test_the_riders_language_is_known(stage: Stage) -> None:
    rider = new_id()
    await stage.hear(HEARS_RIDERS, rider_is(rider, 2, locale="en"))
    async with stage.pool.acquire() as conn:
        assert await messages.reader(conn, rider) == (0, None, "en")


async def test_who_left_loses_addresses_and_who_was_erased_everything(stage: Stage) -> None:
    left, erased, stays = riders = [new_id() for _ in range(3)]
    for rider in riders:
        await add_channel(stage, rider, ("points",))
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), *map(moved, riders))
    await stage.hear(
        HEARS_RIDERS,
        rider_is(left, 2, active=False),
        rider_is(erased, 1),
        rider_is(stays, 2),
    )
    leaver = Leaver(erased, "erased:" + "0" * 40, NOON)
    async with stage.pool.acquire() as conn, conn.transaction():
        await Erasure(lambda: stage.pool, 60.0, each_of([forget_known, people.forget]), None).take(conn, [leaver])
    assert [row["rider_id"] for row in await stage.rows("SELECT rider_id FROM channels")] == [stays]
    assert [len(await inbox(stage, rider)) for rider in riders] == [1, 0, 1]
    assert {one.target_id for one in await stage.deliveries("pending")}.isdisjoint({erased})
    # late events write nothing again
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), moved(erased), moved(stays))
    await stage.hear(HEARS_RIDERS, rider_is(erased, 3))
    assert [len(await inbox(stage, rider)) for rider in riders] == [1, 0, 2]
    for table in ("known_riders", "messages", "deliveries", "channels", "preferences"):
        assert await stage.pool.fetchval(f"SELECT count(*) FROM {table} WHERE rider_id = $1", erased) == 0


async def test_whose_state_has_left_the_topic_loses_addresses(stage: Stage) -> None:
    gone, newer = riders = [new_id() for _ in range(2)]
    for rider in riders:
        await add_channel(stage, rider, ("points",))
    states = [rider_is(gone, 5), rider_is(newer, 6)]
    await stage.hear(HEARS_RIDERS, *states)
    left = [Gone(new_id(), None, one.key, 5, NOON, one.record) for one in states]
    await stage.hear(partial(retire_riders, RIDERS), *left)  # type: ignore[arg-type]  # a handler of tombstones
    assert [row["rider_id"] for row in await stage.rows("SELECT rider_id FROM channels")] == [newer]


@pytest.mark.parametrize("size", [1, 500])
async def test_the_number_of_statements_does_not_depend_on_the_batch(stage: Stage, size: int) -> None:
    for _ in range(3):
        await add_channel(stage, new_id(), ("points",))
    seen: list[str] = []
    async with stage.pool.acquire() as conn:
        with conn.query_logger(lambda record: seen.append(record.query)):
            async with conn.transaction():
                work = await begin(conn)
                await notifying.notify_of_movements(stage.settings, work, [moved(new_id()) for _ in range(size)])
    assert len([query for query in seen if "messages" in query]) == 1
    assert len(seen) == 4  # with BEGIN, the time and COMMIT


async def test_the_record_of_attempts_cannot_be_changed(stage: Stage) -> None:
    with pytest.raises(Exception, match="permission denied"):
        await stage.rows("UPDATE delivery_attempts SET detail = 'x'")


async def test_points_that_will_expire_and_those_that_did(stage: Stage) -> None:
    rider = new_id()
    soon = PointsExpiring(rider_id=rider, amount=30, expires_on=date(2026, 4, 1), days_left=30, available=50)
    await stage.hear(partial(notifying.notify_of_expiring, stage.settings), event_of(POINTS_EXPIRING, soon, at=NOON))
    gone = moved(rider, "expired", source="expiry", amount=-30, reason="points_expired")
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), gone)
    messages = {one.template: one.params for one in await inbox(stage, rider)}
    assert messages["points_expiring"] == {"amount": 30, "expires_on": "2026-04-01", "days_left": 30, "available": 50}
    assert messages["points_expired"]["amount"] == 30


@pytest.mark.parametrize(("amount", "template"), [(5, "points_given"), (-5, "points_taken")])
async def test_points_by_hand_say_why(stage: Stage, amount: int, template: str) -> None:
    rider = new_id()
    adjusted = moved(rider, "adjusted", source="adjustment", amount=amount, reason="goodwill")
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), adjusted)
    [message] = await inbox(stage, rider)
    assert (message.template, message.params["amount"], message.params["reason"]) == (template, 5, "goodwill")
    assert not {"report_id", "redemption_id"} & set(message.params)
