"""A report that has overtaken its rider, or a change of theirs, waits for minutes, within a bound, and is taken when
that has come.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest

from services.intake.domain import WAITS, Waits
from services.intake.settings import Settings
from services.intake.store import waiting as store
from services.intake.usecases import late, leaving, reports, waiting
from shared.devtools.installation import Installation
from shared.events.inbound_reports import ReportSubmission
from shared.events.personal import number_mark
from shared.events.report_refused import REPORT_REFUSED
from shared.kit import clock
from shared.kit.messaging.work import Event, Rejection
from shared.kit.postgres import counters
from shared.kit.privacy.erasure import Leaver
from tests.services.intake.conftest import Intake, report
from tests.support import COMPANY, hear, published, rider_id, settings_of, work_on

SQL_OVER = "UPDATE waiting_reports SET until = now() - interval '1 second'"
SQL_LETTERS = "SELECT code, detail, key, value, event_id FROM dead_letters ORDER BY id"


class Door:
    """Intake's streamed reports, with what waits."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self.intake = intake
        self.pool = intake.pool
        self.late = late.of(settings, intake.catalogue)

    async def take(self, *events: Event[Any], waits: Waits = WAITS) -> list[Rejection]:
        take = partial(reports.take_events, self.intake.catalogue, waits=waits)
        return (await hear(self.pool, take, *events)).rejections

    async def look(self) -> int:
        """One turn of the clock's work."""
        async with work_on(self.pool) as work:
            return await self.late.take_up(work)

    async def waiting(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM waiting_reports"))

    async def accepted(self) -> set[str]:
        return {row["external_id"] for row in await self.pool.fetch("SELECT external_id FROM reports")}

    async def said(self) -> list[tuple[str, str, bool]]:
        """What companies hear: number, code, whether it waits."""
        heard = await published(self.pool, REPORT_REFUSED)
        return [(one["external_id"], one["code"], one["waits_until"] is not None) for one in heard]

    async def letters(self) -> list[Any]:
        return list(await self.pool.fetch(SQL_LETTERS))


@pytest.fixture
async def door(intake: Intake, installation: Installation) -> AsyncIterator[Door]:
    yield Door(intake, settings_of(installation, "intake"))
    async with intake.pool.acquire() as conn:
        assert await counters.differences(conn) == []


def streamed(number: str, rider: str = "late", company: str = COMPANY, **changes: Any) -> Event[ReportSubmission]:
    """A report as it comes from the topic, with its bytes."""
    event = report(number, company, rider=rider, **changes)
    event.record.value = event.data.model_dump_json().encode()
    event.record.headers = (("ce_id", str(event.id).encode()),)
    return event


async def test_two_hundred_reports_come_before_their_twenty_riders(door: Door) -> None:
    sent = [streamed(f"w{n}", rider=f"late{n % 20}") for n in range(200)]
    assert await door.take(*sent) == []
    assert (await door.waiting(), await door.accepted()) == (200, set())
    assert await door.look() == 0, "nobody has come"
    for n in range(20):
        await door.intake.rider(f"late{n}")
    assert await door.look() == late.AT_ONCE
    assert (await door.waiting(), await door.accepted()) == (0, {f"w{n}" for n in range(200)})
    assert len(await door.intake.published()) == 200 and await door.letters() == []
    assert {one["by_company"] for one in await door.intake.published()} == {True}


async def test_who_never_comes_is_a_dead_letter_after_the_time(door: Door) -> None:
    event = streamed("w1", "nobody")
    await door.take(event)
    assert await door.look() == 0
    await door.pool.execute(SQL_OVER)
    assert await door.look() == 1
    [letter] = await door.letters()
    assert (letter["code"], letter["event_id"]) == ("unknown_rider", event.id)
    assert "600 s" in letter["detail"] and orjson.loads(letter["value"])["external_id"] == "w1"
    waits, refused = await published(door.pool, REPORT_REFUSED)
    assert (waits["external_id"], waits["code"], waits["detail"]) == (
        "w1",
        "unknown_rider",
        "the rider is not registered",
    )
    assert waits["waits_until"] is not None and refused["waits_until"] is None
    assert (refused["external_id"], refused["code"], refused["detail"]) == ("w1", "unknown_rider", letter["detail"])
    assert await door.accepted() == set() and await door.waiting() == 0
    # the letter can be replayed once the rider is there, and the number be used again
    await door.intake.rider("nobody")
    assert await door.take(streamed("w1", "nobody")) == []
    assert await door.accepted() == {"w1"}


async def test_over_the_bound_the_letter_comes_at_once_and_other_companies_wait(door: Door) -> None:
    await door.intake.company("other")
    few = Waits(rows_max=3)
    rejected = await door.take(*(streamed(f"w{n}") for n in range(5)), waits=few)
    assert [one.code for one in rejected] == ["too_many_waiting"] * 2
    assert [one.code for one in await door.take(streamed("w9"), waits=few)] == ["too_many_waiting"]
    assert await door.take(streamed("w9", company="other"), waits=few) == []
    assert await door.waiting() == 4
    async with door.pool.acquire() as conn:
        await waiting.measure(conn)
    assert [one.code for one in await door.take(streamed("w10"), waits=Waits(seconds=0))] == ["unknown_rider"]


async def test_a_number_waits_once_and_is_nobody_elses_meanwhile(door: Door) -> None:
    assert await door.take(streamed("w1"), streamed("w1")) == []
    assert await door.take(streamed("w1")) == []
    assert [one.code for one in await door.take(streamed("w1", text="路灯不亮"))] == ["idempotency_conflict"]
    assert await door.waiting() == 1
    await door.intake.rider("late")
    # known now, and not yet taken up: the first still counts
    assert await door.take(streamed("w1")) == []
    assert [one.code for one in await door.take(streamed("w1", rider="r1"))] == ["idempotency_conflict"]
    [answer] = await door.intake.receive(reports.of_company(COMPANY, streamed("w1").data))
    assert getattr(answer, "code", "") == "unknown_rider"
    assert await door.accepted() == set()
    assert await door.look() == 1
    assert await door.accepted() == {"w1"} and len(await door.intake.published()) == 1
    assert await door.take(streamed("w1")) == [] and await door.look() == 0


async def test_what_is_wrong_besides_is_said_at_once(door: Door) -> None:
    rejected = await door.take(streamed("w1", kind="part-99999"), streamed("w2"))
    assert [one.code for one in rejected] == ["unknown_kind"]
    await door.intake.rider("late", consent=False)
    assert await door.look() == 1
    assert (await door.waiting(), await door.letters()) == (1, []), "the consent may be on its way"
    assert await door.said() == [("w2", "unknown_rider", True), ("w2", "consent_missing", True)]


CHANGES: dict[str, dict[str, Any]] = {"consent_missing": {"consent": False}, "rider_inactive": {"active": False}}


@pytest.mark.parametrize("code", CHANGES)
async def test_a_report_that_comes_right_after_its_riders_change_is_taken(door: Door, code: str) -> None:
    await door.intake.rider("late", **CHANGES[code])
    sent = [streamed("w1"), streamed("w2")]
    assert await door.take(*sent) == []
    assert await door.take(streamed("w1")) == [] and await door.waiting() == 2
    assert [one.code for one in await door.take(streamed("w1", text="路灯不亮"))] == ["idempotency_conflict"]
    assert await door.look() == 0, "nothing has changed: nobody is looked at again and again"
    assert await door.said() == [("w1", code, True), ("w2", code, True)]
    await door.intake.rider("late", version=2)
    [answer] = await door.intake.receive(reports.of_company(COMPANY, streamed("w1").data))
    assert getattr(answer, "code", "") == code, "it has not been taken up yet"
    assert await door.look() == 2
    assert (await door.accepted(), await door.letters()) == ({"w1", "w2"}, [])


@pytest.mark.parametrize("code", CHANGES)
async def test_whose_change_never_comes_is_a_dead_letter_after_the_time(door: Door, code: str) -> None:
    await door.intake.rider("late", **CHANGES[code])
    assert [one.code for one in await door.take(streamed("w0"), waits=Waits(seconds=0))] == [code]
    await door.take(streamed("w1"))
    await door.pool.execute(SQL_OVER)
    assert await door.look() == 1
    [letter] = await door.letters()
    assert letter["code"] == code and "has waited for 600 s" in letter["detail"]
    assert (await door.said())[-1] == ("w1", code, False)
    few = Waits(rows_max=1)
    rejected = await door.take(streamed("w2"), streamed("w3"), waits=few)
    assert [one.code for one in rejected] == ["too_many_waiting"]


async def test_what_an_operator_replays_waits_no_second_time(door: Door) -> None:
    """Its letter would count as replayed, and the one after the time be taken for the same."""
    async with work_on(door.pool) as work:
        work.replays = True
        await reports.take_events(door.intake.catalogue, work, [streamed("w1")])
        assert [one.code for one in work.rejections] == ["unknown_rider"]
    assert await door.waiting() == 0


async def test_a_company_sees_what_waits(door: Door) -> None:
    await door.intake.rider("silent", consent=False)
    await door.intake.company("other")
    await door.take(streamed("w2"), streamed("w1", rider="silent"), streamed("w3", company="other"))
    async with door.pool.acquire() as conn:
        found = await store.of_company(conn, COMPANY, "", 10)
        assert [(one.external_id, one.code) for one in found] == [("w1", "consent_missing"), ("w2", "unknown_rider")]
        assert [one.external_id for one in await store.of_company(conn, COMPANY, "w1", 10)] == ["w2"]


async def test_what_a_former_release_let_wait_is_taken_as_it_would_have(door: Door) -> None:
    await door.take(streamed("w1"))
    await door.pool.execute("UPDATE waiting_reports SET code = DEFAULT")
    await door.intake.rider("late")
    assert await door.look() == 1 and await door.accepted() == {"w1"}


async def test_a_suspended_companys_reports_wait_no_longer(door: Door) -> None:
    await door.take(streamed("w1"))
    await door.intake.company(version=2, active=False)
    assert await door.look() == 1
    assert [one["code"] for one in await door.letters()] == ["company_suspended"]


async def test_nothing_stays_of_what_an_erased_rider_said(door: Door) -> None:
    await door.take(streamed("w1", text="井盖破损"), streamed("w2"))
    mark = number_mark(COMPANY, "late")
    leaver = Leaver(rider_id("late"), mark, clock.now())
    async with door.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, $2, now())", leaver.rider_id, mark
        )
        await leaving.forget(conn, [leaver])
    rows = await door.pool.fetch("SELECT key, value, headers FROM waiting_reports")
    assert {(row["key"], row["value"], bytes(row["headers"])) for row in rows} == {(None, None, b"[]")}
    await door.take(streamed("w3"))
    assert await door.look() == 2
    assert [(one["code"], one["key"], one["value"]) for one in await door.letters()] == [
        ("rider_erased", None, None)
    ] * 2
    assert {waits for _, _, waits in await door.said()} == {True}, "of the letters nobody hears"


class Killed(Exception):
    """The process dies here."""


async def test_a_process_that_dies_in_between_leaves_all_as_it_was(door: Door) -> None:
    with pytest.raises(Killed):
        async with work_on(door.pool) as work:
            await reports.take_events(door.intake.catalogue, work, [streamed("w1")])
            raise Killed
    assert await door.waiting() == 0, "its record is read again"
    await door.take(streamed("w1"), streamed("w2"))
    await door.intake.rider("late")
    with pytest.raises(Killed):
        async with work_on(door.pool) as work:
            assert await door.late.take_up(work) == 2
            raise Killed
    assert (await door.waiting(), await door.accepted()) == (2, set())
    assert await door.look() == 2
    assert await door.accepted() == {"w1", "w2"} and len(await door.intake.published()) == 2


async def test_many_processes_take_each_up_once(door: Door) -> None:
    await door.take(*(streamed(f"w{n}") for n in range(900)))
    await door.intake.rider("late")

    async def work_through() -> int:
        done = 0
        while some := await door.look():
            done += some
        return done

    assert sum(await asyncio.gather(*(work_through() for _ in range(3)))) >= 900
    while await door.look():
        pass
    assert len(await door.intake.published()) == 900 == len(await door.accepted())
    assert await door.letters() == []
