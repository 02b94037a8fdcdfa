"""HTTP in: seals for everybody, a rider's proof, and the verification of all of it."""

from datetime import date, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from services.points import problems
from services.points.store import seals as store
from services.points.store.seals import Seal
from services.points.usecases import sealing, verifying
from shared.events.outside import RowId
from shared.kit.auth import Caller, CityOperator, Public, Rider, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import Reading

router: APIRouter = policy_router(tags=["points"])
VERIFY_S = 120.0


class SealOut(Answer):
    """One root over all accounts; hashes in hexadecimal. How they are made: docs/ledger.md."""

    number: int
    day: date
    accounts: int
    entries: int = Field(description="new since the seal before")
    root: str
    previous: str = Field(description="the seal before; zeros before the first")
    seal: str
    sealed_at: datetime

    @staticmethod
    def of(seal: Seal) -> "SealOut":
        """One that is made."""
        assert seal.root is not None, "it is made"
        assert seal.seal is not None, "it is made"
        assert seal.sealed_at is not None, "it is made"
        return SealOut(
            number=seal.number, day=seal.day, accounts=seal.accounts, entries=seal.entries, root=seal.root.hex(),
            previous=seal.previous.hex(), seal=seal.seal.hex(), sealed_at=seal.sealed_at,
        )  # fmt: skip


class StepOut(Answer):
    """The hash beside one's own on the way to the root."""

    left: bool = Field(description="it stands before one's own")
    hash: str


class ProofOut(Answer):
    """That an account's entries up to a version are in a seal."""

    rider_id: UUID
    version: int
    head: str = Field(description="the chain over the account's entries up to the version")
    path: list[StepOut]
    seal: SealOut


class VerifiedOut(Answer):
    """What one share of the verification found."""

    seal: SealOut
    accounts: int
    entries: int
    wrong: list[str] = Field(description="in words; empty in a sound ledger")
    next_id: UUID | None = Field(description="`after` of the next share; null: that was all")


@router.get("/v1/points/seals")
@allow(Public)
async def list_seals(conn: Reading, asked: Asked) -> Page[SealOut]:
    """All seals, the first one first. Keep them: they are what later changes are found by."""
    found = await store.seals(conn, asked.after(int) or 0, asked.rows)
    return asked.page(found, SealOut.of, lambda seal: seal.number)


@router.get("/v1/points/me/proof")
@allow(Rider, refuses=(problems.NO_SEAL,))
async def read_my_proof(caller: Caller, conn: Reading) -> ProofOut:
    """That the caller's own entries are in the newest seal: `beegrid ledger check` follows it, as does any script."""
    proof = await sealing.prove(conn, caller.rider_id)
    path = [StepOut(left=step.left, hash=step.hash.hex()) for step in proof.path]
    return ProofOut(
        rider_id=proof.rider_id, version=proof.version, head=proof.head.hex(), path=path, seal=SealOut.of(proof.seal)
    )


@router.get("/v1/points/seals/verification")
@allow(CityOperator, refuses=(NOT_FOUND,), timeout_s=VERIFY_S)
async def verify(conn: Reading, number: RowId | None = None, after: UUID = verifying.FIRST) -> VerifiedOut:
    """Check the next accounts of a seal (the newest) against their entries, and what they hold today.

    The first share checks all seals' order, the last ones the accounts that are in no seal yet.
    """
    seal = await _seal(conn, number)
    found = await verifying.verify_share(conn, seal, after)
    if after == verifying.FIRST:
        found.wrong = await verifying.verify_order(conn) + found.wrong
    return VerifiedOut(
        seal=SealOut.of(seal), accounts=found.accounts, entries=found.entries, wrong=found.wrong, next_id=found.next_id
    )


async def _seal(conn: Connection, number: int | None) -> Seal:
    found = await store.newest(conn) if number is None else await store.seal(conn, number)
    if found is None:
        raise not_found("seal")
    return found
