"""Weather alarms: where one holds nobody claims or starts, and nobody has missed anything."""

from datetime import timedelta

from shared.kit import clock
from tests.services.tasks.board import ELSEWHERE, Board
from tests.services.tasks.test_claiming import refused


async def test_an_alarm_pauses_what_it_meets_and_nothing_else(board: Board) -> None:
    met, elsewhere = await board.publish(), await board.publish(area_code=ELSEWHERE)
    later = await board.publish(starts_at=met.starts_at + timedelta(days=7))
    rider, other = await board.riders(2)
    await board.claim(met, rider)
    alarm = await board.alarm(met.starts_at - timedelta(hours=1), met.ends_at + timedelta(hours=1))
    assert [(await board.task(one)).paused for one in (met, elsewhere, later)] == [True, False, False]
    assert (await board.said(met))[-1]["state"] == "paused"
    assert await board.news() == [(str(rider), "paused")]
    refusal = await refused("weather_alarm", board.claim(met, other))
    assert (refusal.extras["words_zh"], refusal.extras["words_en"]) == ("台风，请勿外出", "A typhoon: stay inside")
    await board.claim(elsewhere, other)
    await refused("weather_alarm", board.publish(starts_at=met.starts_at))
    await board.end_alarm(alarm)
    assert (await board.said(met))[-1]["state"] == "open"
    assert (await board.claim(met, other)).state == "claimed"


async def test_a_task_that_runs_is_paused_and_nobody_has_missed_it(board: Board) -> None:
    task = await board.publish()
    rider, other = await board.riders(2)
    claims = [await board.claim(task, one) for one in (rider, other)]
    await board.runs(task)
    await board.start(claims[0])
    alarm = await board.alarm(clock.now() - timedelta(minutes=5), clock.now() + timedelta(minutes=5))
    await refused("weather_alarm", board.start(claims[1]))
    assert (await board.finish(claims[0])).state == "finished", "what was done is done"
    assert (await board.hand_back(claims[1])).state == "handed_back", "at any time"
    assert (await board.task(task)).paused
    await board.end_alarm(alarm)
    assert not (await board.task(task)).paused
    await board.figures()


async def test_who_could_not_start_because_of_an_alarm_is_no_no_show(board: Board) -> None:
    task = await board.publish()
    [rider] = await board.riders()
    await board.claim(task, rider)
    await board.alarm(task.starts_at, task.ends_at)
    await board.runs(task, timedelta(days=1))
    await board.clock()
    assert await board.states(task) == ["called_off"]
    found = await board.figures()
    assert (found.no_shows, found.called_off) == (0, 1)


async def test_when_its_time_is_over_tasks_go_on_by_the_clock(board: Board) -> None:
    task = await board.publish()
    await board.alarm(task.starts_at, task.ends_at)
    await board.clock()
    assert (await board.task(task)).paused
    await board.pool.execute("UPDATE alarms SET since = now() - interval '2 hours', until = now() - interval '1 hour'")
    await board.clock()
    assert not (await board.task(task)).paused
