"""How many letters a topic has for one reason, and what gives them back. Real Postgres."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.kit.letters import letter_limit
from shared.kit.letters.dead_letters import Burial
from shared.kit.letters.letter_limit import Allowances, Limit, LimitReached, causes_of
from shared.kit.messaging.work import Record
from shared.kit.postgres.db import Connection, Pool

OWN, THEIRS = "cases.case-changed.v1", "inbound.suda.reports.v1"
LIMIT = Limit(letters_max=20, share=0.1, within_s=3_600.0)
SQL_OLDER = "UPDATE letter_allowances SET at = at - $1::int * interval '1 second'"
SQL_PARK_MORE = """
INSERT INTO parked_keys (topic, key, since) SELECT $1, int4send(n), now() FROM generate_series(1, $2::int) n
ON CONFLICT DO NOTHING
"""
SQL_STOOD_BEFORE = "UPDATE letter_allowances SET stood_at = stood_at - interval '3 minutes'"


def letters(count: int, code: str = "handler_failed", detail: str = "TypeError: bad", topic: str = OWN) -> list[Burial]:
    return [Burial(Record(topic, 0, n, b"k", b"{", ()), None, "dead", code, detail, 6) for n in range(count)]


@pytest.fixture
async def conn(pool: Pool, dsns: dict[str, str]) -> AsyncIterator[Connection]:
    owner = await asyncpg.connect(dsns["owner"])
    await owner.execute("TRUNCATE letter_allowances, parked_keys")
    await owner.close()
    async with pool.acquire() as made:
        yield made


async def fits(conn: Connection, by: Allowances, burials: list[Burial]) -> bool:
    """Whether they are buried, as a consumer does it."""
    try:
        async with conn.transaction():
            await by.use(conn, burials)
    except LimitReached:
        return False
    by.used(burials)
    return True


async def test_so_many_in_a_row_and_no_more_whichever_process_has_them(conn: Connection) -> None:
    one, two = Allowances(LIMIT), Allowances(LIMIT)
    assert await fits(conn, one, letters(15))
    assert not await fits(conn, two, letters(6))
    assert await fits(conn, two, letters(5))
    assert not await fits(conn, one, letters(1))
    # what fails otherwise, or elsewhere, is another matter
    assert await fits(conn, one, letters(20, detail="KeyError: 'x'"))
    assert await fits(conn, one, letters(20, topic=THEIRS))


async def test_what_takes_effect_gives_a_tenth_back_once(conn: Connection) -> None:
    by = Allowances(LIMIT)
    assert await fits(conn, by, letters(20))
    by.effects[OWN] += 50
    assert not await fits(conn, by, letters(6))  # rolled back: the fifty are published again
    assert await fits(conn, by, letters(5))
    assert not await fits(conn, by, letters(1))
    by.effects[OWN] += 100_000
    assert await fits(conn, by, letters(20))
    assert not await fits(conn, by, letters(1))  # what is given back is never more than a whole allowance


async def test_time_gives_back_but_not_while_the_topic_stands_still(conn: Connection) -> None:
    by = Allowances(LIMIT)
    assert await fits(conn, by, letters(20))
    await conn.execute(SQL_OLDER, 1_800)
    assert not await fits(conn, by, letters(11))
    await letter_limit.stood(conn, {OWN: "handler_failed TypeError"})
    await conn.execute(SQL_OLDER, 1_800)
    assert not await fits(conn, by, letters(1))
    await conn.execute(SQL_STOOD_BEFORE)
    assert await fits(conn, by, letters(10))


async def test_who_stands_still_is_shown_for_a_while_and_since_when(conn: Connection) -> None:
    assert await letter_limit.standing(conn) == []
    await letter_limit.stood(conn, {OWN: "malformed_json"})
    [first] = await letter_limit.standing(conn)
    await letter_limit.stood(conn, {OWN: "malformed_json"})
    [again] = await letter_limit.standing(conn)
    assert (again.topic, again.cause, again.stands_since) == (OWN, "malformed_json", first.stands_since)
    assert again.stood_at > first.stood_at
    await conn.execute(SQL_STOOD_BEFORE)
    assert await letter_limit.standing(conn) == []
    await letter_limit.stood(conn, {OWN: "malformed_json"})
    [later] = await letter_limit.standing(conn)
    assert later.stands_since > first.stands_since


async def test_an_operators_word_is_used_up_and_ends(conn: Connection) -> None:
    by, cause = Allowances(LIMIT), "handler_failed TypeError"
    assert await fits(conn, by, letters(20))
    assert await letter_limit.grant(conn, OWN, None, 30, by="op", reason="it doesn't stand still") == []
    await letter_limit.stood(conn, {OWN: cause})
    assert await letter_limit.grant(conn, OWN, "malformed_json", 30, by="op", reason="another reason") == []
    assert await letter_limit.grant(conn, OWN, cause, 30, by="op", reason="they are what is wrong") == [cause]
    assert not await fits(conn, by, letters(31))
    assert await fits(conn, by, letters(25))
    [one] = await letter_limit.standing(conn)
    assert (one.granted, round(one.used)) == (5, 20)
    await conn.execute("UPDATE letter_allowances SET granted_until = now() - interval '1 second'")
    assert not await fits(conn, by, letters(5))
    assert await letter_limit.begin_again(conn, OWN, by="op", reason="fixed") == [cause]
    assert await fits(conn, by, letters(20))


async def test_many_processes_at_once_have_one_allowance(conn: Connection, pool: Pool) -> None:
    async def bury() -> int:
        by = Allowances(LIMIT)
        async with pool.acquire() as own:
            return sum([await fits(own, by, letters(1)) for _ in range(10)])

    assert sum(await asyncio.gather(*(bury() for _ in range(6)))) == 20


async def test_what_is_parked_counts_from_ten_keys_on(conn: Connection) -> None:
    by, parked = Allowances(LIMIT), letters(21, "parked", "behind a dead letter of its key")
    await conn.execute(SQL_PARK_MORE, OWN, 9)
    assert await fits(conn, by, parked)
    await conn.execute(SQL_PARK_MORE, OWN, 10)
    assert not await fits(conn, by, parked)


def test_of_companies_only_what_our_own_code_raises_counts() -> None:
    theirs = [*letters(1, "malformed_json", topic=THEIRS), *letters(1, "kind_unknown", topic=THEIRS)]
    assert not causes_of(theirs)
    ours = [
        *letters(2, topic=THEIRS),
        *letters(1, "unreadable", "KeyError", topic=THEIRS),
        *letters(1, "malformed_json"),
    ]
    assert causes_of(ours) == {
        (THEIRS, "handler_failed TypeError"): 2, (THEIRS, "unreadable KeyError"): 1, (OWN, "malformed_json"): 1,
    }  # fmt: skip
