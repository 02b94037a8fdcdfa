"""Deeds of invented services: posted, taken back, refused, once."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.points.earning import deeds
from services.points.earning.rows import RuleRow
from shared.events.deed_done import DeedDone
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.refusals import Refusal
from tests.services.points.ledger import GAS, Case, Ledger, deed, points_of, set_rules
from tests.support import work_on

NOW = clock.now().replace(microsecond=0)
TASKS = [
    RuleRow("catalogue", 1, "award", "report", co_max=3, zh="类别标准", en="the points of its kind"),
    RuleRow("task", 2, "award", "deed", action="volunteer-task", points=20, zh="志愿服务", en="volunteer task"),
    RuleRow("near", 3, "award", "deed", area="330115", action="volunteer-task", points=7, zh="本区", en="here"),
    RuleRow("check-in", 4, "award", "deed", action="check-in", points=2, zh="签到", en="check-in"),
    RuleRow("one", 5, "cap", "deed", action="check-in", per="day", count_max=1, zh="每日一次", en="one a day"),
    RuleRow("all", 6, "cap", "", per="day", points_max=300, zh="合计", en="in all"),
]


@pytest.fixture
async def paying(ledger: Ledger) -> Ledger:
    async with work_on(ledger.pool) as work:
        await set_rules(work.conn, TASKS)
    return ledger


def done(rider: UUID, action: str = "volunteer-task", service: str = "errands", **values: object) -> Event[DeedDone]:
    return deed(rider, action, service, **({"done_at": NOW, "changed_at": NOW} | values))


def withdrawn(of: Event[DeedDone], reason: str = "登记在了别人名下") -> Event[DeedDone]:
    said = of.data.model_dump(exclude={"state", "reason", "changed_at"})
    service = of.topic.partition(".")[0]
    return deed(**{**said, "rider": said.pop("rider_id")}, service=service, version=2, state="withdrawn", reason=reason,
                changed_at=NOW + timedelta(hours=1))  # fmt: skip


async def test_a_deed_of_a_service_that_nobody_has_heard_of_is_posted(paying: Ledger) -> None:
    someone = new_id()
    await paying.deliver(done(someone, quantity=2), done(someone, service="courses", area_code="330115002"))
    assert await paying.balances(someone) == (0, 47, 0)
    assert await paying.movements(someone) == [
        ("held", 40, None), ("posted", 40, None), ("held", 7, None), ("posted", 7, None),
    ]  # fmt: skip
    said = [body for _, body in await paying.published(someone)]
    assert {one.source for one in said} == {"deed"}
    assert (said[1].rule, said[1].why_zh, said[3].rule) == ("2/task", "依据规则「志愿服务」（第 2 版）", "2/near")
    assert (await paying.tallies())["deeds"] == 2


async def test_a_withdrawn_deed_is_reversed_also_where_it_was_spent(paying: Ledger) -> None:
    someone = new_id()
    one = done(someone)
    await paying.deliver(one)
    await paying.deliver(withdrawn(one))
    assert await paying.balances(someone) == (0, 0, 0)
    assert (await paying.movements(someone))[2] == ("reversed", -20, "登记在了别人名下")
    await paying.deliver(withdrawn(one), one)
    assert len(await paying.movements(someone)) == 3, "twice changes nothing, and neither does the deed once more"
    await paying.tallies()


async def test_a_withdrawn_deeds_reason_goes_out_without_anybodys_number(paying: Ledger) -> None:
    someone = new_id()
    one = done(someone)
    await paying.deliver(one, withdrawn(one, "登记人电话13800138000"))
    assert (await paying.movements(someone))[-1] == ("reversed", -20, "登记人电话***")


async def test_a_street_takes_back_a_deed_of_its_own_and_no_other(paying: Ledger) -> None:
    someone = new_id()
    here, there = done(someone), done(someone, area_code="330114002001")
    await paying.deliver(here, there)

    def street(area: str) -> bool:
        return area.startswith("330114001")

    await paying.reverse(here.data.deed_id, street)
    assert (await paying.movements(someone))[-1] == ("reversed", -20, "wrong")
    with pytest.raises(Refusal, match="hold"):
        await paying.reverse(there.data.deed_id, street)
    assert await paying.balances(someone) == (0, 20, 0)
    await paying.tallies()


async def test_a_deed_that_was_withdrawn_before_it_was_heard_earns_nothing(paying: Ledger) -> None:
    someone = new_id()
    one, same = done(someone), done(someone)
    await paying.deliver(withdrawn(one))
    await paying.deliver(one)
    await paying.deliver(withdrawn(same), same)
    assert await paying.movements(someone) == []
    assert await paying.balances(someone) == (0, 0, 0)
    assert paying.rejections == []


async def test_an_action_that_no_rule_knows_is_refused_with_a_reason(paying: Ledger) -> None:
    someone = new_id()
    await paying.deliver(done(someone, "juggling"), done(someone))
    assert await paying.movements(someone) == [
        ("refused", 0, "unknown_action"), ("held", 20, None), ("posted", 20, None),
    ]  # fmt: skip
    assert paying.rejections == []


async def test_the_same_deed_earns_once_and_another_body_under_its_id_is_refused_aloud(paying: Ledger) -> None:
    someone, id_ = new_id(), new_id()
    first = done(someone, deed_id=id_)
    await paying.deliver(first, done(someone, deed_id=id_))
    await paying.deliver(done(someone, deed_id=id_, changed_at=NOW + timedelta(days=1)))
    assert await paying.balances(someone) == (0, 20, 0)
    assert paying.rejections == []
    others = [
        done(someone, deed_id=id_, quantity=2), done(new_id(), deed_id=id_), done(someone, "check-in", deed_id=id_),
        done(someone, service="courses", deed_id=id_), done(someone, deed_id=id_, done_at=NOW - timedelta(hours=1)),
        done(someone, deed_id=id_, confirmed_by="x"), withdrawn(done(someone, deed_id=id_, quantity=2)),
    ]  # fmt: skip
    await paying.deliver(*others)
    assert [one.code for one in paying.rejections] == ["deed_conflict"] * len(others)
    assert await paying.balances(someone) == (0, 20, 0)


async def test_a_deed_is_none_under_the_id_of_a_report(paying: Ledger) -> None:
    someone, case = new_id(), Case(GAS)
    await paying.deliver(case.report(someone))
    await paying.deliver(done(someone, deed_id=case.reports[0].report_id))
    assert [one.code for one in paying.rejections] == ["deed_conflict"]
    assert await paying.balances(someone) == (points_of(GAS), 0, 0)


async def test_caps_hold_over_deeds_and_reports(paying: Ledger) -> None:
    someone = new_id()
    await paying.deliver(*(done(someone, "check-in") for _ in range(2)), *(done(someone) for _ in range(15)))
    reasons = [reason for name, _, reason in await paying.movements(someone) if name == "refused"]
    assert reasons == ["kind_times_per_day_max", "points_per_day_max"]
    assert (await paying.balances(someone))[1] == 2 + 14 * 20
    refused = next(body for _, body in await paying.published(someone) if body.movement == "refused")
    assert refused.rule == "2/one"


@pytest.mark.parametrize(
    ("at", "reason"),
    [(NOW - deeds.OLDEST - timedelta(days=1), "deed_too_old"), (NOW + timedelta(days=1), "deed_too_early")],
)
async def test_a_deed_of_long_ago_or_of_tomorrow_earns_nothing(paying: Ledger, at: datetime, reason: str) -> None:
    someone = new_id()
    await paying.deliver(done(someone, done_at=at))
    assert [one[2] for one in await paying.movements(someone)] == [reason]


async def test_a_deed_is_judged_by_the_rules_of_its_day(paying: Ledger) -> None:
    today = [*TASKS[:1], RuleRow("task", 2, "award", "deed", action="volunteer-task", points=99, zh="新", en="new")]
    async with work_on(paying.pool) as work:
        await set_rules(work.conn, today, NOW - timedelta(hours=2))
    someone = new_id()
    await paying.deliver(done(someone, done_at=NOW - timedelta(hours=3)), done(someone))
    assert await paying.balances(someone) == (0, 20 + 99, 0)
