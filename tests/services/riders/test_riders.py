"""Companies, keys and registrations on real Postgres."""

import asyncio
import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.riders import store, usecases
from services.riders.domain import Outlet
from services.riders.usecases import NewKey
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.personal import number_mark
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.kit.auth import Sealer
from shared.kit.auth.resealing import Resealing
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Rejection, begin
from shared.kit.privacy.erasure import Erasure
from shared.kit.refusals import Refusal
from shared.known.keys import UnsealedKeys
from tests.services.riders.conftest import SEALER, Riders, Submit

SQL_TIME_PASSES = "UPDATE company_keys SET expires_at = expires_at - $1::interval"


async def company(riders: Riders, code: str = "sf-express") -> NewKey:
    async with riders.work() as work:
        made = await usecases.create_company(work, SEALER, code, "顺丰")
    assert isinstance(made, NewKey)
    return made


async def take(riders: Riders, events: Sequence[Event[Any]]) -> list[Rejection]:
    async with riders.work() as work:
        await usecases.take_submissions(work, events)
    return work.rejections


async def keys(riders: Riders, code: str = "sf-express") -> list[bytes]:
    ring = UnsealedKeys(lambda: riders.pool, SEALER, store.sealed_keys_of, store.company_codes)
    return list((await ring.load(code)).keys)


async def test_a_company_gets_its_key_once_and_nobody_else_sees_it(riders: Riders) -> None:
    made = await company(riders)
    secret = base64.b64decode(made.secret.removeprefix("whsec_"))
    assert len(secret) == 32 and await keys(riders) == [secret]
    (event,) = await riders.published(COMPANY_CHANGED)
    assert (event["version"], event["code"], event["active"]) == (1, "sf-express", True)
    (key,) = event["keys"]
    assert SEALER.unseal(key["sealed"], "sf-express", key["key_id"]) == secret
    dump = str(await riders.pool.fetch("SELECT * FROM company_keys")) + str(
        await riders.pool.fetch("SELECT encode(payload, 'escape') FROM outbox")
    )
    assert made.secret[6:] not in dump and secret.hex() not in dump


async def test_a_company_exists_once(riders: Riders) -> None:
    await company(riders)
    async with riders.work() as work:
        again = await usecases.create_company(work, SEALER, "sf-express", "Other")
    assert isinstance(again, Refusal) and again.code == "company_exists"
    assert len(await riders.published(COMPANY_CHANGED)) == 1


async def test_rotation_keeps_the_old_key_until_it_is_revoked(riders: Riders) -> None:
    first = await company(riders)
    async with riders.work() as work:
        second = await usecases.add_key(work, SEALER, "sf-express")
    assert isinstance(second, NewKey)
    assert len(await keys(riders)) == 2
    for expected in (True, False):
        async with riders.work() as work:
            assert await usecases.revoke_key(work, "sf-express", first.key_id) is expected
    assert await keys(riders) == [base64.b64decode(second.secret[6:])]
    events = await riders.published(COMPANY_CHANGED)
    assert [(event["version"], len(event["keys"])) for event in events] == [(1, 1), (2, 2), (3, 1)]
    assert await riders.pool.fetchval("SELECT sealed FROM company_keys WHERE NOT active") == ""


async def test_a_key_of_another_company_is_not_revoked(riders: Riders) -> None:
    await company(riders)
    other = await company(riders, "other")
    async with riders.work() as work:
        assert not await usecases.revoke_key(work, "sf-express", other.key_id)


async def test_suspending_twice_publishes_once(riders: Riders) -> None:
    await company(riders)
    for _ in range(2):
        async with riders.work() as work:
            assert (await usecases.update_company(work, "sf-express", "顺丰", active=False)) is not None
    assert [event["active"] for event in await riders.published(COMPANY_CHANGED)] == [True, False]


async def test_registrations_over_kafka(riders: Riders, submit: Submit) -> None:
    await company(riders)
    assert await take(riders, [submit("r1"), submit("r2", consent_at=None), submit("r1")]) == []
    assert await take(riders, [submit("r1"), submit("r2", consent_at=None)]) == []
    assert await take(riders, [submit("r2", name="李小哥"), submit("r2", active=False), submit("r1")]) == []
    events = await riders.published(RIDER_CHANGED)
    assert [(e["external_id"], e["version"], e["consent"], e["active"]) for e in events] == [
        ("r1", 1, True, True),
        ("r2", 1, False, True),
        ("r2", 2, True, True),
        ("r2", 3, True, False),
    ]
    assert all("name" not in event for event in events)
    async with riders.pool.acquire() as conn:
        rider = await store.rider_by_external_id(conn, "sf-express", "r2")
    assert rider is not None and rider.version == 3 and rider.facts.name == "王小哥"


async def test_of_two_different_riders_states_under_one_event_id_the_second_is_refused(
    riders: Riders, submit: Submit
) -> None:
    """Over HTTP, where ids are entered here; on Kafka the kit refuses it before (tests/kit/messaging)."""
    await company(riders)
    id_ = new_id()

    async def register(**changes: Any) -> Any:
        one = usecases.registration("sf-express", submit("r1", **changes).data, id_)
        async with riders.work() as work:
            [outcome] = await usecases.register(work, [one])
        return outcome

    first, again, other = await register(), await register(), await register(name="李小哥")
    assert first.changed and not again.changed and again.version == 1
    assert other.code == "event_known"
    await riders.pool.execute("UPDATE inbox SET content = NULL")
    assert not (await register(name="李小哥")).changed, "an id of before is taken at its word"
    assert len(await riders.published(RIDER_CHANGED)) == 1


async def test_who_may_not_register_is_rejected_with_the_reason(riders: Riders, submit: Submit) -> None:
    await company(riders)
    await company(riders, "gone")
    async with riders.work() as work:
        await usecases.update_company(work, "gone", "x", active=False)
    events = [submit("r1"), submit("r1", "nobody"), submit("r1", "gone")]
    rejected = await take(riders, events)
    assert [(one.event_id, one.code) for one in rejected] == [
        (events[1].id, "unknown_company"),
        (events[2].id, "company_suspended"),
    ]
    assert len(await riders.published(RIDER_CHANGED)) == 1
    assert await riders.pool.fetchval("SELECT count(*) FROM riders") == 1


async def test_two_companies_may_use_one_number(riders: Riders, submit: Submit) -> None:
    await company(riders)
    await company(riders, "other")
    await take(riders, [submit("r1"), submit("r1", "other")])
    assert len({event["rider_id"] for event in await riders.published(RIDER_CHANGED)}) == 2


async def test_erasure_deletes_the_name_and_lasts(riders: Riders, submit: Submit) -> None:
    await company(riders)
    await take(riders, [submit("r1", name="Canary Name")])
    rider_id = UUID((await riders.published(RIDER_CHANGED))[0]["rider_id"])
    erasure = Erasure(lambda: riders.pool, 0.0, usecases.forget, None)
    for _ in range(2):
        async with riders.work() as work:
            assert await usecases.erase(work, erasure, rider_id) is not None
    assert await riders.pool.fetchval("SELECT count(*) FROM rider_names") == 0
    # the state leaves the topic: in the first pass, in the second, and while the broker may still write its segment
    gone = {"version": 2, "key": str(rider_id)}
    assert (await riders.published(RIDER_CHANGED))[1:] == [gone]
    assert await erasure.settle() == 1
    async with riders.work() as work:
        await usecases.retire_again(work)
        assert len(work.rows) == 1
    assert (await riders.published(RIDER_CHANGED))[1:] == [gone] * 3
    await riders.pool.execute("UPDATE riders SET erased_at = erased_at - interval '3 days'")
    async with riders.work() as work:
        await usecases.retire_again(work)
        assert not work.rows
    (order,) = await riders.published(RIDER_ERASED)
    assert (order["rider_id"], order["version"]) == (str(rider_id), 1)
    assert order["number"] == number_mark("sf-express", "r1")
    (rejected,) = await take(riders, [submit("r1", name="Canary Name")])
    assert (rejected.code, rejected.record.value, rejected.record.key) == ("rider_erased", None, None)
    assert await riders.pool.fetchval("SELECT count(*) FROM rider_names") == 0
    assert await riders.pool.fetchval("SELECT array_agg(external_id) FROM riders") == [order["number"]]
    # another company's rider of that number is somebody else
    await company(riders, "other")
    assert await take(riders, [submit("r1", "other")]) == []


@pytest.mark.parametrize("row", [True, False], ids=["in the backup", "registered after it"])
async def test_a_number_on_a_restored_list_is_refused(riders: Riders, submit: Submit, row: bool) -> None:
    """The list alone has who registered after the backup; of others it comes before their number leaves its row."""
    await company(riders)
    if row:
        await take(riders, [submit("r1", name="before")])
    rider_id = await riders.pool.fetchval("SELECT rider_id FROM riders") or new_id()
    mark = number_mark("sf-express", "r1")
    # what `restore --erased` does
    await riders.pool.execute(
        "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, $2, now())", rider_id, mark
    )
    erasure = Erasure(lambda: riders.pool, 0.0, store.forget, None)
    for _ in range(2):
        (rejected,) = await take(riders, [submit("r1", name="Canary Name"), submit("r2")])
        assert (rejected.code, rejected.record.value) == ("rider_erased", None)
        while await erasure.settle():
            pass
    assert await riders.pool.fetchval("SELECT count(*) FROM rider_names WHERE name <> '王小哥'") == 0
    assert await riders.pool.fetchval("SELECT count(*) FROM riders WHERE external_id = 'r1'") == 0
    assert len(await riders.published(RIDER_CHANGED)) == (2 if row else 1)


async def test_a_registration_that_races_with_the_erasure_loses(riders: Riders, submit: Submit) -> None:
    await company(riders)
    await take(riders, [submit("r1")])
    rider_id = UUID((await riders.published(RIDER_CHANGED))[0]["rider_id"])
    erasure = Erasure(lambda: riders.pool, 0.0, usecases.forget, None)
    async with riders.work() as work:
        await usecases.erase(work, erasure, rider_id)
        waiting = asyncio.create_task(take(riders, [submit("r1", name="again"), submit("r2")]))
        await asyncio.sleep(0.3)  # it waits for the rider's row
        assert not waiting.done()
    assert [one.code for one in await waiting] == ["rider_erased"]
    assert await riders.pool.fetchval("SELECT count(*) FROM riders") == 2
    assert await riders.pool.fetchval("SELECT count(*) FROM rider_names WHERE name = 'again'") == 0


async def test_versions_have_no_gaps_whoever_writes_at_once(riders: Riders, submit: Submit) -> None:
    await company(riders)
    names = [f"r{number}" for number in range(20)]

    async def writer(seed: int) -> None:
        for step in range(5):
            batch = [submit(name, name=f"{seed}-{step}") for name in (names if seed % 2 else reversed(names))]
            await take(riders, batch)

    await asyncio.gather(*(writer(seed) for seed in range(4)))
    events = await riders.published(RIDER_CHANGED)
    assert len(events) == 20 * 4 * 5
    for name in names:
        assert [e["version"] for e in events if e["external_id"] == name] == list(range(1, 21))


@pytest.mark.parametrize("size", [1, 200])
async def test_the_number_of_statements_is_constant(riders: Riders, submit: Submit, size: int) -> None:
    await company(riders)
    async with riders.pool.acquire() as conn:
        seen: list[str] = []
        conn.add_query_logger(lambda record: seen.append(record.query))
        async with conn.transaction():
            work = await begin(conn)
            await usecases.take_submissions(work, [submit(f"r{number}") for number in range(size)])
        conn._con._query_loggers.clear()
    assert len([query for query in seen if not query.startswith(("BEGIN", "SELECT now()", "COMMIT"))]) == 6


async def test_companies_come_in_pages_and_keys_are_the_newest(riders: Riders) -> None:
    async with riders.work() as work:
        for code in ("cc", "aa", "bb"):
            await usecases.create_company(work, SEALER, code, code)
        assert [one.code for one in await store.companies(work.conn, "", 2)] == ["aa", "bb"]
        assert [one.code for one in await store.companies(work.conn, "bb", 2)] == ["cc"]
        (made,) = await store.companies(work.conn, "bb", 1)
        for _ in range(3):
            key = await usecases.add_key(work, SEALER, "cc", None)
            assert not isinstance(key, Refusal | None)
            await usecases.revoke_key(work, "cc", key.key_id)
        assert len(await store.keys(work.conn, made.company_id, 2)) == 2
        assert len(await store.active_keys(work.conn, made.company_id)) == 1


async def test_a_companys_riders_come_in_pages_without_the_erased(riders: Riders, submit: Submit) -> None:
    for code in ("sf-express", "yto"):
        await company(riders, code)
    numbers = [f"r{n}" for n in range(5)]
    await take(riders, [submit(number) for number in numbers])
    await take(riders, [submit("r1", "yto"), submit("r3", active=False)])
    async with riders.work() as work:
        first = await store.riders_of(work.conn, "sf-express", "", 3)
        rest = await store.riders_of(work.conn, "sf-express", first[-1].external_id, 3)
    assert [one.external_id for one in [*first, *rest]] == numbers
    assert [one.active for one in [*first, *rest]] == [True, True, True, False, True]
    async with riders.work() as work:
        await usecases.erase(work, Erasure(lambda: riders.pool, 0.0, usecases.forget, None), first[0].rider_id)
    async with riders.work() as work:
        left = await store.riders_of(work.conn, "sf-express", "", 9)
    assert [one.external_id for one in left] == numbers[1:]


async def test_outlets(riders: Riders) -> None:
    await company(riders)
    async with riders.work() as work:
        saved = await usecases.save_outlets(
            work, "sf-express", [Outlet("o1", "A"), Outlet("o1", "B"), Outlet("o2", "C")]
        )
        assert saved == {"o1", "o2"}
        assert await usecases.save_outlets(work, "sf-express", [Outlet("o1", "B")]) == set()
        assert isinstance(await usecases.save_outlets(work, "nobody", [Outlet("o1", "B")]), Refusal)
        assert [one.name for one in await store.outlets(work.conn, "sf-express", "", 10)] == ["B", "C"]
        assert [one.name for one in await store.outlets(work.conn, "sf-express", "o1", 10)] == ["C"]
        assert [one.name for one in await store.outlets(work.conn, "sf-express", "", 1)] == ["B"]


async def test_tallies(riders: Riders, submit: Submit) -> None:
    await company(riders)
    await take(riders, [submit("r1"), submit("r2", active=False)])
    async with riders.pool.acquire() as conn:
        assert await store.tallies(conn) == {"companies": 1, "riders": 2, "riders_active": 1, "rider_versions": 2}


async def test_the_age_of_the_oldest_active_key_is_known(riders: Riders) -> None:
    made = await company(riders, "oldest-key")
    async with riders.pool.acquire() as conn:
        first = (await store.oldest_keys(conn))["oldest-key"]
    async with riders.work() as work:
        await usecases.add_key(work, SEALER, "oldest-key")
    async with riders.pool.acquire() as conn:
        assert (await store.oldest_keys(conn))["oldest-key"] == first
    async with riders.work() as work:
        await usecases.revoke_key(work, "oldest-key", made.key_id)
    async with riders.pool.acquire() as conn:
        assert (await store.oldest_keys(conn))["oldest-key"] > first


async def test_an_older_key_is_good_for_the_overlap_and_ends_by_itself(riders: Riders) -> None:
    async with riders.work() as work:
        first = await usecases.create_company(work, SEALER, "sf-express", "SF")
    async with riders.work() as work:
        second = await usecases.add_key(work, SEALER, "sf-express", timedelta(hours=1))
    assert isinstance(first, NewKey) and isinstance(second, NewKey)
    old, new = (base64.b64decode(made.secret[6:]) for made in (first, second))
    for minutes, good in ((59, [new, old]), (2, [new])):
        await riders.pool.execute(SQL_TIME_PASSES, timedelta(minutes=minutes))
        async with riders.work() as work:
            work.now += timedelta(days=1)  # this process' clock is a day ahead, and decides nothing
            assert await usecases.end_due_keys(work) == 2 - len(good)
        assert await keys(riders) == good
    events = await riders.published(COMPANY_CHANGED)
    assert [len(event["keys"]) for event in events] == [1, 2, 1]
    assert await riders.pool.fetchval("SELECT sealed FROM company_keys WHERE NOT active") == ""


async def test_signing_keys_go_under_the_new_sealing_key_and_are_published(riders: Riders) -> None:
    async with riders.work() as work:
        made = await usecases.create_company(work, SEALER, "sf-express", "SF")
    assert isinstance(made, NewKey)
    both = Sealer("b" * 43 + "=," + "a" * 43 + "=")
    for found, count in ((both.keys[1].id, 2), (both.keys[0].id, 2)):
        resealing = Resealing([usecases.sealed_secrets(both)], riders.work)
        assert await resealing.count() == {found: 1}
        assert (await resealing.renew("", 10.0)).cursor is None
        # the second time nothing is left to do, and nothing is published
        assert len(await riders.published(COMPANY_CHANGED)) == count
    only_new = Sealer("b" * 43 + "=")
    [event] = [event for event in await riders.published(COMPANY_CHANGED) if event["version"] == 2]
    (key,) = event["keys"]
    assert only_new.unseal(key["sealed"], "sf-express", key["key_id"]) == base64.b64decode(made.secret[6:])
