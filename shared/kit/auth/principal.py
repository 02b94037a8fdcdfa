"""Who is asking: established once per request from a token or a signature, never from a path or a body."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from shared.kit.areas import NO_MAP, AreaTree
from shared.kit.problems import FORBIDDEN, NOT_A_RIDER

Kind = Literal["company", "person", "operator", "anonymous"]
ROLES = frozenset({"rider", "grid_worker", "dispatcher", "department", "verifier", "merchant", "operator"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was verified (or nobody).

    `id`: the rider's or user's id, a UUID in its canonical form, or the company's code. `areas`: codes of areas, each
    with all that lies in it by `tree`; () covers nothing. `company`: the code of the company that signed, or that a
    person works for.
    """

    kind: Kind
    id: str
    company: str | None = None
    roles: frozenset[str] = frozenset()
    areas: tuple[str, ...] = ()
    merchant_id: str | None = None
    name: str = ""
    tree: AreaTree = field(default=NO_MAP, compare=False, repr=False)
    """The city's areas as they were known when the request came."""
    suspended: bool = False
    """Of a company: the operator lets it do nothing for now."""

    @property
    def key(self) -> str:
        """Unique over all kinds: "company:MT", "person:<id>", whatever their roles. For limits and idempotency keys."""
        return f"{'person' if self.kind == 'operator' else self.kind}:{self.id}"

    @property
    def actor(self) -> str:
        """How events and audits name the caller, with the first of its roles: "dispatcher:<id>", "company:MT"."""
        return f"{min(self.roles, default=self.kind)}:{self.id}"

    def has(self, role: str) -> bool:
        """Whether the caller holds the role; in a handler, one that its policy lets in (see `Policy.narrowed`)."""
        return role in self.roles

    def covers(self, area_code: str) -> bool:
        """Whether the area lies in one of the caller's. An operator without areas covers the city."""
        if self.kind == "operator" and not self.areas:
            return True
        line = self.tree.line(area_code)
        return any(area in line for area in self.areas)

    @property
    def covers_city(self) -> bool:
        """Whether the caller answers for the whole city: an operator without areas, or areas that leave nothing out."""
        if self.kind == "operator" and not self.areas:
            return True
        return self.kind in ("person", "operator") and self.tree.is_whole(self.areas)

    def covers_any(self, area_codes: Iterable[str]) -> bool:
        """Whether one of the areas lies in one of the caller's."""
        return any(self.covers(code) for code in area_codes)

    def is_self(self, person_id: UUID | str) -> bool:
        """Whether the caller is this very person."""
        return self.kind in ("person", "operator") and self.id == str(person_id)

    @property
    def company_code(self) -> str:
        """The company the caller speaks for. Raises the 403 problem when it signed for none."""
        if self.kind != "company" or self.company is None:
            raise FORBIDDEN("only a company may do this")
        return self.company

    @property
    def rider_id(self) -> UUID:
        """Which rider the caller is. Raises the 403 problem `not_a_rider` where the token names none."""
        try:
            return UUID(self.id)
        except ValueError:
            raise NOT_A_RIDER("the token's subject is no rider's id") from None

    @property
    def merchant(self) -> str:
        """The merchant the caller serves at. Raises the 403 problem when there is none."""
        if self.merchant_id is None:
            raise FORBIDDEN("only a merchant may do this")
        return self.merchant_id


ANONYMOUS = Principal(kind="anonymous", id="")
