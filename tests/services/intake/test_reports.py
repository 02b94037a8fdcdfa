"""Reports on real Postgres: accepted once, published with the row, refused with the reason."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.intake import domain
from services.intake.domain import Accepted
from services.intake.store import photos as photo_store
from services.intake.store import reports as store
from services.intake.usecases import reports as usecases
from shared.events.personal import number_mark
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin
from shared.kit.refusals import Refusal
from tests.services.intake.conftest import Intake, later, report
from tests.support import rider_id


def of_rider(number: str, **changes: Any) -> domain.Submission:
    """What the rider r1 files with the own app."""
    one = usecases.of_company("sf-express", report(number, **changes).data)
    one.source, one.company, one.rider, one.rider_id = f"rider:{rider_id('r1')}", None, None, rider_id("r1")
    return one


async def test_a_report_is_published_in_wgs84(intake: Intake) -> None:
    assert await intake.take([report(), report("n2", place={"lng": 120.1, "lat": 30.2, "datum": "wgs84"})]) == []
    first, second = await intake.published()
    assert (first["version"], first["key"]) == (1, first["report_id"])
    assert (first["lng"], first["lat"]) == pytest.approx((121.5272106, 31.1774276), abs=1e-6)
    assert (second["lng"], second["lat"]) == (120.1, 30.2)
    assert first["rider_id"] == str(rider_id("r1")) and first["company"] == "sf-express"
    assert first["level"] in ("emergency", "hazard", "routine") and first["occurred_at"].startswith("2026-11-20T08:00")


async def test_the_same_report_counts_once_however_often_it_comes(intake: Intake) -> None:
    assert await intake.take([report(), report()]) == []
    assert await intake.take([report()]) == []
    assert len(await intake.published()) == 1
    (outcome,) = await intake.receive(usecases.of_company("sf-express", report().data))
    (row,) = await intake.pool.fetch("SELECT report_id, received_at FROM reports")
    assert outcome == Accepted(row["report_id"], row["received_at"], fresh=False)


async def test_the_first_answer_stands_although_the_rider_has_gone(intake: Intake) -> None:
    await intake.take([report()])
    await intake.rider(version=2, active=False)
    assert await intake.take([report()]) == []
    assert [one.code for one in await intake.take([report("n2")])] == ["rider_inactive"]


async def test_other_content_under_the_same_number_is_refused(intake: Intake) -> None:
    rejected = await intake.take([report(), report(text="路灯不亮")])
    assert [one.code for one in rejected] == ["idempotency_conflict"]
    assert [one.code for one in await intake.take([report(text="路灯不亮")])] == ["idempotency_conflict"]
    assert len(await intake.published()) == 1


async def test_a_rehearsal_answers_as_the_real_thing_and_keeps_nothing(intake: Intake) -> None:
    await intake.take([report()])
    before = await intake.pool.fetchval("SELECT count(*) FROM reports")
    wished = [report(), report("n2"), report("n2", text="路灯不亮"), report("n3", kind="part-99999")]
    submissions = [usecases.of_company("sf-express", one.data) for one in wished]
    outcomes = [
        one.code if isinstance(one, Refusal) else "accepted" if one.fresh else "repeated"
        for one in await usecases.rehearse(intake.catalogue, intake.pool, submissions)
    ]
    assert outcomes == ["repeated", "accepted", "idempotency_conflict", "unknown_kind"]
    assert await intake.pool.fetchval("SELECT count(*) FROM reports") == before
    assert len(await intake.published()) == 1


async def test_a_rehearsal_with_newcomers_finds_all_that_the_run_finds_when_they_are_registered(intake: Intake) -> None:
    await intake.company("gone", active=False)
    await intake.rider("silent", consent=False)
    await intake.take([report()])
    wished = [
        report("m1", rider="new"),
        report("m1", rider="new", text="路灯不亮"),
        report("m2", rider="new", kind="part-99999"),
        report("n1", rider="new"),  # a number that was accepted for another rider
        report("m3", rider="silent"),
        report("m4", rider="new", photos=[str(new_id())]),
    ]
    submissions = [usecases.of_company("sf-express", one.data) for one in wished]
    submissions.append(usecases.of_company("gone", report("m5", rider="new").data))

    def codes(outcomes: Sequence[usecases.Outcome]) -> list[str]:
        return [one.code if isinstance(one, Refusal) else "accepted" for one in outcomes]

    dry = codes(await usecases.rehearse(intake.catalogue, intake.pool, submissions, newcomers=True))
    plain = codes(await usecases.rehearse(intake.catalogue, intake.pool, submissions))
    assert await intake.pool.fetchval("SELECT count(*) FROM reports") == 1
    assert await intake.pool.fetchval("SELECT count(*) FROM known_riders") == 2, "no stand-in is kept"
    for company in ("sf-express", "gone"):
        await intake.rider("new", company=company)
    assert dry == codes(await intake.receive(*submissions))
    assert dry == [
        "accepted", "idempotency_conflict", "unknown_kind", "idempotency_conflict", "consent_missing", "unknown_photo",
        "company_suspended",
    ]  # fmt: skip
    assert plain.count("unknown_rider") == 4 and plain[-1] == "company_suspended"


async def test_each_bad_report_is_rejected_beside_good_ones(intake: Intake) -> None:
    await intake.company("gone", active=False)
    await intake.rider("r1", company="gone")
    await intake.rider("silent", consent=False)
    bad = {
        "unknown_kind": report("b1", kind="part-99999"),
        "unknown_company": report("b3", company="nobody"),
        "company_suspended": report("b4", company="gone"),
        "consent_missing": report("b5", rider="silent"),
        "occurred_in_future": report("b6", occurred_at=later(6)),
        "unknown_photo": report("b7", photos=[str(new_id())]),
    }
    rejected = await intake.take([report("g1"), *bad.values(), report("g2", occurred_at=later(4))])
    assert {one.code: one.event_id for one in rejected} == {code: one.id for code, one in bad.items()}
    assert sorted(event["external_id"] for event in await intake.published()) == ["g1", "g2"]


async def test_numbers_of_companies_and_riders_are_apart(intake: Intake) -> None:
    await intake.company("other")
    await intake.rider("r1", company="other")
    assert await intake.take([report("n1"), report("n1", company="other", text="x")]) == []
    (own,) = await intake.receive(of_rider("n1", text="y"))
    assert isinstance(own, Accepted) and own.fresh
    assert len({event["report_id"] for event in await intake.published()}) == 3


async def test_one_number_from_many_processes_at_once_is_accepted_once(intake: Intake) -> None:
    async def send(seed: int) -> list[usecases.Outcome]:
        numbers = [f"n{number}" for number in range(50)]
        if seed % 2:
            numbers.reverse()
        return await intake.receive(*(usecases.of_company("sf-express", report(number).data) for number in numbers))

    answers = await asyncio.gather(*(send(seed) for seed in range(6)))
    fresh = [one for batch in answers for one in batch if isinstance(one, Accepted) and one.fresh]
    assert len(fresh) == 50 and not any(isinstance(one, Refusal) for batch in answers for one in batch)
    assert len(await intake.published()) == 50
    assert len({one.report_id for batch in answers for one in batch if isinstance(one, Accepted)}) == 50


async def test_nothing_stays_of_a_transaction_that_fails(intake: Intake) -> None:
    with pytest.raises(ZeroDivisionError):
        async with intake.work() as work:
            await usecases.take_events(intake.catalogue, work, [report()])
            raise ZeroDivisionError
    assert await intake.published() == [] and await intake.pool.fetchval("SELECT count(*) FROM reports") == 0


async def test_no_phone_in_a_riders_words_travels(intake: Intake) -> None:
    assert await intake.take([report("n1", text="井盖坏了，找我138.0013.8000，编号330114001001001")]) == []
    (event,) = await intake.published()
    assert event["text"] == "井盖坏了，找我***，编号330114001001001"


async def test_a_photo_of_the_rider_travels_with_the_report(intake: Intake) -> None:
    photo = domain.ProcessedPhoto(b"", b"", 10, 10, "a" * 64, "f" * 16, None)
    async with intake.pool.acquire() as conn:
        record = await photo_store.claim(conn, new_id(), f"person:{rider_id('r1')}", photo)
        unfinished = await photo_store.claim(conn, new_id(), "company:sf-express", photo)
        assert await photo_store.mark_stored(conn, record.photo_id)
    rejected = await intake.take(
        [report("n1", photos=[str(record.photo_id).upper()]), report("n2", photos=[str(unfinished.photo_id)])]
    )
    assert [one.code for one in rejected] == ["unknown_photo"]
    (event,) = await intake.published()
    assert event["photos"] == [{"photo_id": str(record.photo_id), "sha256": "a" * 64, "phash": "f" * 16}]
    async with intake.pool.acquire() as conn:
        used = await photo_store.photo(conn, record.photo_id)
    assert used is not None and used.rider_id == rider_id("r1")


@pytest.mark.parametrize("size", [1, 200])
async def test_the_number_of_statements_is_constant(intake: Intake, size: int) -> None:
    async with intake.pool.acquire() as conn:
        seen: list[str] = []
        conn.add_query_logger(lambda record: seen.append(record.query))
        async with conn.transaction():
            batch = [usecases.of_company("sf-express", report(f"n{number}").data) for number in range(size)]
            await usecases.receive(intake.catalogue, await begin(conn), batch)
        conn._con._query_loggers.clear()
    assert len([query for query in seen if not query.startswith(("BEGIN", "SELECT now()", "COMMIT"))]) == 3


async def test_a_report_is_found_by_id(intake: Intake) -> None:
    (outcome,) = await intake.receive(of_rider("n1"))
    assert isinstance(outcome, Accepted)
    async with intake.pool.acquire() as conn:
        found = await store.report(conn, outcome.report_id)
        assert await store.report(conn, new_id()) is None
        assert (await store.tallies(conn))["accepted"] == 1
    assert found is not None and found.rider_id == rider_id("r1") and found.company == "sf-express"


@pytest.mark.parametrize("number", ["r1", "r9"], ids=["in the backup", "registered after it"])
async def test_a_number_on_a_restored_list_is_refused(intake: Intake, number: str) -> None:
    """The list alone has who registered after the backup; of others it comes before their number leaves its row."""
    await intake.pool.execute(
        "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, $2, now())",
        rider_id(number), number_mark("sf-express", number),
    )  # fmt: skip
    (rejected,) = await intake.take([report(rider=number)])
    assert (rejected.code, rejected.record.value) == ("rider_erased", None)
    assert await intake.published() == []
