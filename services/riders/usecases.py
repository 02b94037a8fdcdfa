"""What the riders service does, each in one transaction."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.riders import domain, metrics, problems, store
from services.riders.domain import Company, Outlet, Registered, Registration, Rider
from shared.events.company_changed import COMPANY_CHANGED, CompanyChanged, CompanyKey
from shared.events.inbound_riders import INBOUND_RIDERS, RiderSubmission
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.events.rider_erased import RIDER_ERASED, RiderErased
from shared.kit.auth.resealing import Sealed, Secrets, opened_by
from shared.kit.auth.sealing import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging import inbox
from shared.kit.messaging.cloudevents import content_of
from shared.kit.messaging.work import Event, Work, begin, insert_outbox
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Erasure, Leaver
from shared.kit.refusals import Refusal
from shared.known.domain import company_refusal

KEY_BYTES = 32
RETIRED_AGAIN_DAYS = 3
ORDER_VERSION = 1
"""Of an order to forget a rider: there is one of each."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `secret` is `whsec_` and base64, shown once and then known only to the company and the seal."""

    company: Company
    key_id: UUID
    secret: str


async def create_company(work: Work, sealer: Sealer, code: str, name: str) -> NewKey | Refusal:
    """A company with its first key; refused when the code is taken."""
    company_id = new_id()
    if not await store.insert_company(work.conn, company_id, code, name, work.now):
        return problems.COMPANY_EXISTS(f"{code} is registered already", field="code")
    company = Company(company_id, code, name, active=True, version=1)
    key_id, secret = await _add_key(work, sealer, company)
    await publish_company(work, company)
    metrics.COMPANY_CHANGES.labels(change="created").inc()
    return NewKey(company, key_id, secret)


async def update_company(work: Work, code: str, name: str, active: bool) -> Company | None:
    """Rename, suspend or resume; None: no such company. The same again publishes nothing."""
    company = await store.lock_company(work.conn, code)
    if company is None or (company.name, company.active) == (name, active):
        return company
    company = await store.update_company(work.conn, company, name, active, work.now)
    await publish_company(work, company)
    metrics.COMPANY_CHANGES.labels(change="updated").inc()
    return company


async def add_key(work: Work, sealer: Sealer, code: str, overlap: timedelta | None = None) -> NewKey | Refusal | None:
    """A further key. The older ones stay valid until they are revoked, or for `overlap`. None: no such company."""
    company = await store.lock_company(work.conn, code)
    if company is None:
        return None
    active = len(await store.active_keys(work.conn, company.company_id))
    if active >= domain.KEYS_ACTIVE_MAX:
        detail = f"{active} keys are active: revoke one first"
        return problems.TOO_MANY_KEYS(detail)
    company = await store.update_company(work.conn, company, company.name, company.active, work.now)
    key_id, secret = await _add_key(work, sealer, company)
    if overlap is not None:
        await store.expire_others(work.conn, company.company_id, key_id, overlap)
    await publish_company(work, company)
    metrics.COMPANY_CHANGES.labels(change="key_added").inc()
    return NewKey(company, key_id, secret)


async def revoke_key(work: Work, code: str, key_id: UUID) -> bool:
    """End a key; False: the company has no such active key."""
    company = await store.lock_company(work.conn, code)
    if company is None or not await store.revoke_key(work.conn, company.company_id, key_id, work.now):
        return False
    company = await store.update_company(work.conn, company, company.name, company.active, work.now)
    await publish_company(work, company)
    metrics.COMPANY_CHANGES.labels(change="key_revoked").inc()
    return True


async def end_due_keys(work: Work) -> int:
    """Revoke the keys whose overlap is over; how many."""
    due = await store.keys_due(work.conn)
    for code, key_id in due:
        await revoke_key(work, code, key_id)
    return len(due)


def sealed_secrets(sealer: Sealer) -> Secrets:
    """Companies' active signing keys; resealed ones are published, and whoever keeps them follows."""
    return Secrets(store.sealed_keys, opened_by(sealer), _reseal)


async def _reseal(work: Work, renewed: Sequence[tuple[Sealed, Any]]) -> None:
    of_company: dict[str, list[tuple[UUID, str, str]]] = {}
    for one, after in renewed:
        of_company.setdefault(one.bound_to, []).append((UUID(one.key_id), one.secret, after))
    for code, keys in sorted(of_company.items()):
        company = await store.lock_company(work.conn, code)
        assert company is not None, "companies are never deleted"
        if sum([await store.reseal_key(work.conn, *key) for key in keys]):
            company = await store.update_company(work.conn, company, company.name, company.active, work.now)
            await publish_company(work, company)
            metrics.COMPANY_CHANGES.labels(change="resealed").inc()


async def _add_key(work: Work, sealer: Sealer, company: Company) -> tuple[UUID, str]:
    key_id, key = new_id(), secrets.token_bytes(KEY_BYTES)
    sealed = sealer.seal(key, company.code, str(key_id))
    await store.insert_key(work.conn, key_id, company.company_id, sealed, work.now)
    return key_id, "whsec_" + base64.b64encode(key).decode()


async def publish_company(work: Work, company: Company) -> None:
    """The company's whole state; a revoked key is known by its absence, so its content travels no more."""
    active = await store.active_keys(work.conn, company.company_id)
    body = CompanyChanged(
        company_id=company.company_id,
        code=company.code,
        name=company.name,
        active=company.active,
        keys=tuple(CompanyKey(key_id=key.key_id, sealed=key.sealed, active=True) for key in active),
    )
    work.publish(COMPANY_CHANGED, body, version=company.version)


async def measure_keys(conn: Connection) -> None:
    """Show when each company's oldest key was made."""
    made = await store.oldest_keys(conn)
    metrics.KEY_MADE.clear()
    for company, at in made.items():
        metrics.KEY_MADE.labels(company).set(at.timestamp())


async def register(
    work: Work,
    registrations: Sequence[Registration],
    causes: Sequence[Event[Any]] | None = None,
    *,
    only_new: bool = False,
) -> list[Registered | Refusal]:
    """Take companies' words on riders, in order; the number of statements doesn't depend on the number of riders.

    Args:
        work: the transaction.
        registrations: of any companies; several of one rider apply one after the other.
        causes: the consumed event of each registration, where there is one.
        only_new: leave riders that are known as they are: an import knows less than their company does.

    Returns:
        One outcome per registration, in order.
    """
    ids, contents = [one.event_id for one in registrations], [one.event_content for one in registrations]
    repeated, otherwise = await inbox.enter_stated(work.conn, ids, contents)
    companies = await store.companies_by_code(work.conn, {one.company for one in registrations})
    outcomes: list[Registered | Refusal | None] = [
        domain.registration_refusal(one, companies.get(one.company), work.now) for one in registrations
    ]
    keys = {one.key for one, outcome in zip(registrations, outcomes, strict=True) if outcome is None}
    riders = await store.claim_riders(work.conn, keys, work.now) if keys else {}
    changed: dict[UUID, Rider] = {}
    settled: list[Registered | Refusal] = []
    for index, (one, outcome) in enumerate(zip(registrations, outcomes, strict=True)):
        if outcome is not None:
            settled.append(outcome)
            continue
        if (before := riders.get(one.key)) is None:
            settled.append(domain.erased_before())
            continue
        if index in otherwise or (index in repeated and before.version == 0):
            detail = "an event of this source and id came before: with other content, or as a dead letter"
            settled.append(problems.EVENT_KNOWN(detail, field="id"))
            continue
        known = index in repeated or (only_new and before.version > 0)
        after = before if known else domain.applied(before, one)
        if isinstance(after, Refusal):
            settled.append(after)
            continue
        settled.append(Registered(after.rider_id, after.version, changed=after is not before))
        if after is not before:
            riders[one.key] = changed[after.rider_id] = after
            publish_rider(work, after, causes[index] if causes else None)
    if changed:
        await store.save_riders(work.conn, list(changed.values()), work.now)
    await _give_up(work, registrations, settled, riders, repeated)
    for outcome in settled:
        metrics.REGISTRATIONS.labels(outcome=_outcome_name(outcome)).inc()
    return settled


async def _give_up(
    work: Work,
    registrations: Sequence[Registration],
    settled: Sequence[Registered | Refusal],
    riders: Mapping[tuple[str, str], Rider],
    repeated: set[int],
) -> None:
    """Leave no trace of refused events that may come again corrected, nor rows of riders that none has made."""
    refused = [index for index, outcome in enumerate(settled) if isinstance(outcome, Refusal)]
    ids = (id_ for index in refused if index not in repeated and (id_ := registrations[index].event_id) is not None)
    await inbox.give_up(work.conn, ids)
    await store.unclaim_riders(work.conn, [rider.rider_id for rider in riders.values() if rider.version == 0])


async def take_submissions(work: Work, events: Sequence[Event[RiderSubmission]]) -> None:
    """Registrations from companies' topics; what is refused becomes a dead letter with the reason."""
    registrations = [registration(event.company or "", event.data) for event in events]
    for event, outcome in zip(events, await register(work, registrations, events), strict=True):
        if isinstance(outcome, Refusal):
            # who was erased is not written down again, also not as a dead letter
            work.reject(event, outcome, keep=outcome.problem is not problems.RIDER_ERASED)


def place_of(company: str) -> str:
    """Where a company's events come in, for their ids: its topic, whether Kafka or HTTP brings them."""
    return INBOUND_RIDERS.name.format(company=company)


def registration(company: str, body: RiderSubmission, event_id: UUID | None = None) -> Registration:
    """A company's submission as the domain knows it."""
    facts = domain.RiderFacts(body.name, body.kind, body.outlet, body.consent_at, body.locale, body.active)
    content = content_of(event_id, body) if event_id is not None else None
    return Registration(company, body.external_id, facts, event_id, content)


async def erase(work: Work, erasure: Erasure, rider_id: UUID) -> Rider | None:
    """Erase who the rider is and end consent, here and by an order to all services. None: no such rider.

    Points and reports stay under the bare id, which leads to nobody any more.
    """
    rider = await store.lock_rider(work.conn, rider_id)
    if rider is None:
        return None
    after = domain.erased(rider, work.now)
    if after is not rider:
        await store.save_riders(work.conn, [after], work.now)
        order = RiderErased(rider_id=rider_id, company=after.company, number=after.external_id, erased_at=work.now)
        work.publish(RIDER_ERASED, order, version=ORDER_VERSION)
        await erasure.take(work.conn, [Leaver(rider_id, after.external_id, work.now)])
    return after


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Erase who riders are, and take their state off the topic: in both passes, and of a list that a restore brings."""
    await store.forget(conn, leavers)
    work = await begin(conn)
    _retire(work, await store.versions(conn, [one.rider_id for one in leavers]))
    await insert_outbox(conn, work.rows)


async def retire_again(work: Work) -> None:
    """Repeat the tombstones of riders erased lately, all of them.

    A broker takes nothing out of the segment that it is writing, and only a record begins the next one: on a quiet
    partition an erased rider's number would stay for as long as nobody else changes.
    """
    _retire(work, await store.erased_lately(work.conn, RETIRED_AGAIN_DAYS))


def _retire(work: Work, versions: Mapping[UUID, int]) -> None:
    for rider_id, version in versions.items():
        work.retire(RIDER_CHANGED, rider_id, version=version)


async def save_outlets(work: Work, company_code: str, outlets: Sequence[Outlet]) -> set[str] | Refusal:
    """Make or change outlets; returns the codes that changed. Of a code given twice the last one counts."""
    company = (await store.companies_by_code(work.conn, [company_code])).get(company_code)
    if (refusal := company_refusal(company.active if company is not None else None)) is not None:
        return refusal
    assert company is not None, "a missing company is refused"
    last = list({outlet.code: outlet for outlet in outlets}.values())
    return await store.upsert_outlets(work.conn, company.company_id, last, work.now)


def publish_rider(work: Work, rider: Rider, cause: Event[Any] | None = None) -> None:
    """The rider's whole state, with its version. The row is locked by the caller."""
    body = RiderChanged.model_validate(
        {
            "rider_id": rider.rider_id,
            "company": rider.company,
            "external_id": rider.external_id,
            "kind": rider.facts.kind,
            "consent": rider.facts.consent_at is not None,
            "locale": rider.facts.locale,
            "active": rider.facts.active,
        }
    )
    work.publish(RIDER_CHANGED, body, version=rider.version, cause=cause)


def _outcome_name(outcome: Registered | Refusal) -> str:
    if isinstance(outcome, Refusal):
        return outcome.code
    if not outcome.changed:
        return "unchanged"
    return "created" if outcome.version == 1 else "changed"
