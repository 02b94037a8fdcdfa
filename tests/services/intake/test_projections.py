"""What intake keeps of companies and riders, in whatever order it is told."""

from services.intake.store import projections as store
from services.intake.usecases.projections import ProjectedKeys, follow_riders, retire_riders
from shared.events.company_changed import CompanyKey
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.kit.ids import new_id
from shared.kit.work import Gone, Record
from tests.services.intake.conftest import SEALER, Intake, event, rider_id


def sealed(secret: bytes, code: str = "sf-express") -> CompanyKey:
    key_id = new_id()
    return CompanyKey(key_id=key_id, sealed=SEALER.seal(secret, code, str(key_id)), active=True)


async def test_an_older_state_changes_nothing(intake: Intake) -> None:
    await intake.company(version=3, active=False)
    await intake.company(version=2, active=True)
    await intake.rider(version=5, consent=False)
    await intake.rider(version=4, consent=True)
    async with intake.pool.acquire() as conn:
        assert await store.companies_active(conn, ["sf-express", "nobody"]) == {"sf-express": False}
        (rider,) = (await store.riders_by_number(conn, [("sf-express", "r1"), ("sf-express", "r9")])).values()
    assert not rider.consent


async def test_one_batch_with_several_states_of_a_rider(intake: Intake) -> None:
    def state(version: int, active: bool) -> object:
        body = RiderChanged(
            rider_id=rider_id("r7"),
            company="sf-express",
            external_id="r7",
            kind="courier",
            consent=True,
            locale="zh",
            active=active,
        )
        return event(body, str(body.rider_id), version)

    async with intake.work() as work:
        await follow_riders(work, [state(1, True), state(3, False), state(2, True)])
    async with intake.pool.acquire() as conn:
        assert not (await store.riders_by_id(conn, [rider_id("r7")]))[rider_id("r7")].active


async def test_a_rider_whose_state_has_left_the_topic_may_nothing_more(intake: Intake) -> None:
    """Whoever was away while the broker took the last state out meets the tombstone alone."""
    gone = rider_id("r1")

    async def may() -> tuple[bool, bool]:
        async with intake.pool.acquire() as conn:
            found = (await store.riders_by_id(conn, [gone]))[gone]
        return found.consent, found.active

    async def retire(version: int) -> None:
        async with intake.work() as work:
            record = Record(RIDER_CHANGED.name, 0, 0, str(gone).encode(), None, ())
            await retire_riders(work, [Gone(new_id(), None, str(gone), version, work.now, record)])

    await intake.rider(version=5)
    await retire(4)
    assert await may() == (True, True), "that was an older state"
    await retire(5)
    await intake.rider(version=5)  # heard once more
    assert await may() == (False, False)


async def test_keys_follow_the_company_and_are_unsealed_once_a_version(intake: Intake) -> None:
    ring = ProjectedKeys(lambda: intake.pool, SEALER)
    assert await ring.load("nobody") == [] and await ring.load("sf-express") == []
    first, second = sealed(b"1" * 32), sealed(b"2" * 32)
    await intake.company(version=2, keys=(first,))
    assert await ring.load("sf-express") == [b"1" * 32]
    await intake.company(version=3, keys=(second, first), active=False)
    keys = await ring.load("sf-express")
    assert keys == [b"2" * 32, b"1" * 32] and await ring.load("sf-express") is keys
    await intake.company(version=4, keys=(second,))
    assert await ring.load("sf-express") == [b"2" * 32]
    assert "sf-express" in await ring.codes()


async def test_a_projection_holds_no_key_in_clear(intake: Intake) -> None:
    await intake.company(version=2, keys=(sealed(b"canary-secret-canary-secret-1234"),))
    assert "canary" not in str(await intake.pool.fetch("SELECT * FROM companies"))
