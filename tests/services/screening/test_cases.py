"""What is found of who reports with whom, and of who verifies whom."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from shared.kit.ids import new_id
from tests.services.screening.street import Case, Screen, noon


async def meet(screen: Screen, riders: Sequence[UUID], times: int) -> list[Case]:
    found = [Case(noon(2 + n), f"G{n}") for n in range(times)]
    for case in found:
        await screen.hears(*(case.joined(rider) for rider in riders))
    return found


def reports_of(cases: Sequence[Case]) -> set[UUID]:
    return {one.report_id for case in cases for one in case.reports}


async def test_riders_who_always_report_together_are_a_ring(screen: Screen) -> None:
    one, other, third = new_id(), new_id(), new_id()
    four = await meet(screen, (one, other), 4)
    assert await screen.found() == {}
    fifth = await meet(screen, (one, third, other), 1)
    found = await screen.found()
    assert set(found) == reports_of(four) | {r.report_id for r in fifth[0].reports if r.rider_id != third}
    assert set().union(*found.values()) == {"ring"}, "also of the cases before, whose points may be posted"
    assert (await screen.tallies())["raised"] == 10


async def test_friends_who_ride_together_and_also_alone_are_none(screen: Screen) -> None:
    one, other = new_id(), new_id()
    for rider in (one, other):
        await meet(screen, (rider,), 9)
    await meet(screen, (one, other), 6)
    assert await screen.found() == {}


async def test_heard_again_and_in_any_order_it_is_the_same(screen: Screen) -> None:
    one, other = new_id(), new_id()
    cases = [Case(noon(2 + n)) for n in range(5)]
    events = [event for case in cases for event in (case.joined(one), case.joined(other))]
    await screen.hears(*reversed(events))
    before = await screen.found(), await screen.said()
    assert len(before[0]) == 10
    await screen.hears(*events)
    await screen.hears(*events)
    assert (await screen.found(), await screen.said()) == before


async def verified(screen: Screen, rider: UUID, by: str, times: int, minutes: float = 240) -> list[Case]:
    cases = [Case(noon(2 + n % 20) + timedelta(minutes=n), f"G{n % 4}") for n in range(times)]
    await screen.hears(*(case.joined(rider) for case in cases))
    await screen.hears(*(case.verified(by, minutes) for case in cases))
    return cases


async def test_a_verifier_who_has_one_rider_far_more_often_than_others_there(screen: Screen) -> None:
    rider = new_id()
    for n in range(12):
        await verified(screen, new_id(), f"v{n % 3}", 2)
    of_them = await verified(screen, rider, "v1", 9)
    found = await screen.found()
    assert set(found) == reports_of(of_them) and set().union(*found.values()) == {"verifier_often"}


async def test_the_only_verifier_of_a_street_is_nobodys_friend(screen: Screen) -> None:
    for _ in range(4):
        await verified(screen, new_id(), "alone", 9)
    assert await screen.found() == {}


async def test_whoever_verifies_one_rider_sooner_than_they_could_be_there(screen: Screen) -> None:
    rider = new_id()
    for _ in range(3):
        await verified(screen, new_id(), "alone", 4)
    hurried = await verified(screen, rider, "alone", 6, minutes=3)
    found = await screen.found()
    assert set(found) == reports_of(hurried) and set().union(*found.values()) == {"verifier_quick"}


async def test_a_verdict_that_is_heard_before_its_case_counts_alike(screen: Screen) -> None:
    rider = new_id()
    for _ in range(3):
        await verified(screen, new_id(), "alone", 4)
    cases = [Case(noon(2 + n)) for n in range(6)]
    opened = [case.joined(rider) for case in cases]
    await screen.hears(*(case.verified("alone", 3) for case in cases))
    assert await screen.found() == {}
    await screen.hears(*opened)
    assert set(await screen.found()) == reports_of(cases)
