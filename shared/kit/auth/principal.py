"""Who is asking: established once per request from a token or a signature, never from a path or a body."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.kit.http.problems import forbidden

Kind = Literal["company", "person", "operator", "anonymous"]
ROLES = frozenset({"rider", "grid_worker", "dispatcher", "department", "verifier", "merchant", "operator"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was verified (or nobody).

    `id`: the rider's or user's id, or the company's code. `areas`: prefixes of area codes ("330114" covers the whole
    district); () covers nothing. `company`: the code of the company that signed, or that a person works for.
    """

    kind: Kind
    id: str
    company: str | None = None
    roles: frozenset[str] = frozenset()
    areas: tuple[str, ...] = ()
    merchant_id: str | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """Unique over all kinds: "company:MT", "person:<id>". For limits and idempotency keys."""
        return f"{self.kind}:{self.id}"

    @property
    def actor(self) -> str:
        """How events and audits name the caller, with the first of its roles: "dispatcher:<id>", "company:MT"."""
        return f"{min(self.roles, default=self.kind)}:{self.id}"

    def has(self, role: str) -> bool:
        """Whether the caller holds the role."""
        return role in self.roles

    def covers(self, area_code: str) -> bool:
        """Whether the area lies in one of the caller's. An operator without areas covers the city."""
        if self.kind == "operator" and not self.areas:
            return True
        return any(area_code.startswith(area) for area in self.areas)

    def is_self(self, person_id: UUID | str) -> bool:
        """Whether the caller is this very person."""
        return self.kind in ("person", "operator") and self.id == str(person_id)

    @property
    def company_code(self) -> str:
        """The company the caller speaks for. Raises the 403 problem when it signed for none."""
        if self.kind != "company" or self.company is None:
            raise forbidden("only a company may do this")
        return self.company

    @property
    def merchant(self) -> str:
        """The merchant the caller serves at. Raises the 403 problem when there is none."""
        if self.merchant_id is None:
            raise forbidden("only a merchant may do this")
        return self.merchant_id


ANONYMOUS = Principal(kind="anonymous", id="")
