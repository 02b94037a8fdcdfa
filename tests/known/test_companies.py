"""What a service keeps of companies, and the keys with which it checks their signatures."""

import itertools

import pytest

from shared.events.company_changed import CompanyKey
from shared.kit.auth import NOBODY, SealBroken, Sealer, Signer
from shared.kit.auth.resealing import UNKNOWN, Resealing, Secrets, opened_by
from shared.kit.ids import new_id
from shared.known import companies as store
from shared.known.domain import company_refusal
from shared.known.keys import UnsealedKeys
from tests.known.conftest import Schema
from tests.support import COMPANY, company_is

OLD, NEW = "a" * 43 + "=", "b" * 43 + "="
SEALER = Sealer(OLD)


def sealed(secret: bytes, code: str = COMPANY, *, sealer: Sealer = SEALER, active: bool = True) -> CompanyKey:
    key_id = new_id()
    return CompanyKey(key_id=key_id, sealed=sealer.seal(secret, code, str(key_id)), active=active)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", itertools.permutations((1, 2, 3)))
async def test_the_newest_state_counts_in_any_order(schema: Schema, order: tuple[int, ...], together: bool) -> None:
    states = [company_is(version=n, active=n != 3) for n in order]
    for batch in [states] if together else [[one] for one in states]:
        await schema.hear_companies(*batch, company_is("other"))
    async with schema.pool.acquire() as conn:
        found = await store.active_of(conn, [COMPANY, "other", "nobody"])
        assert found == {COMPANY: False, "other": True}
        assert await store.active_of(conn, []) == {}
        assert await store.all_codes(conn) == {COMPANY, "other"}
    refusals = [company_refusal(found.get(code)) for code in (COMPANY, "other", "nobody")]
    assert [one and one.code for one in refusals] == ["company_suspended", None, "unknown_company"]


async def test_keys_follow_the_company_and_are_unsealed_once_a_version(schema: Schema) -> None:
    ring = UnsealedKeys(lambda: schema.pool, SEALER)
    assert await ring.load(COMPANY) is NOBODY
    first, second = sealed(b"1" * 32), sealed(b"2" * 32)
    await schema.hear_companies(company_is(version=2, keys=(first,)))
    assert await ring.load(COMPANY) == Signer((b"1" * 32,))
    await schema.hear_companies(company_is(version=3, keys=(second, first)))
    both = await ring.load(COMPANY)
    assert both == Signer((b"2" * 32, b"1" * 32)) and await ring.load(COMPANY) is both
    ended = sealed(b"1" * 32, active=False)
    await schema.hear_companies(company_is(version=4, keys=(second, ended)))
    await schema.hear_companies(company_is(version=3, keys=(second, first)))
    assert await ring.load(COMPANY) == Signer((b"2" * 32,))
    assert await ring.codes() == {COMPANY}


async def test_a_suspended_company_is_known_by_its_keys(schema: Schema) -> None:
    ring, key = UnsealedKeys(lambda: schema.pool, SEALER), sealed(b"1" * 32)
    for version, active in enumerate((True, False, True), 1):
        await schema.hear_companies(company_is(version=version, active=active, keys=(key,)))
        assert await ring.load(COMPANY) == Signer((b"1" * 32,), suspended=not active)


async def test_another_companys_key_opens_nothing(schema: Schema) -> None:
    await schema.hear_companies(company_is(keys=(sealed(b"1" * 32, "other"),)))
    with pytest.raises(SealBroken):
        await UnsealedKeys(lambda: schema.pool, SEALER).load(COMPANY)


async def test_nothing_is_kept_in_clear(schema: Schema) -> None:
    await schema.hear_companies(company_is(keys=(sealed(b"canary-secret-canary-secret-1234"),)))
    assert "canary" not in str(await schema.pool.fetch("SELECT * FROM known_companies"))


async def test_a_change_of_the_sealing_key_is_followed(schema: Schema) -> None:
    """Keys are counted by the sealing key they are under; their owner reseals them, and says so."""
    both, lost = Sealer(f"{NEW},{OLD}"), Sealer("c" * 43 + "=")
    new, old = (key.id for key in both.keys)
    codes = [f"c{n:04}" for n in range(1_100)]  # more than two pages
    await schema.hear_companies(*(company_is(code, keys=(sealed(b"1" * 32, code),)) for code in codes))
    kept = Secrets(store.sealed_page, opened_by(both))
    resealing = Resealing([], schema.work)
    assert await resealing.count() == {}
    resealing.add([kept])
    assert await resealing.count() == {old: 1_100}
    progress = await resealing.renew("", 60.0)
    assert (progress.seen, progress.resealed, progress.cursor) == (1_100, 0, None), "not its own"
    states = [company_is(codes[0], 2, keys=(sealed(b"1" * 32, codes[0], sealer=both),) * 2)]
    await schema.hear_companies(*states, company_is(codes[1], 2, keys=(sealed(b"1" * 32, codes[1], sealer=lost),)))
    assert await resealing.count() == {old: 1_098, new: 2, UNKNOWN: 1}
