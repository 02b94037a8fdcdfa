"""Who may call a route: policies, which routes name."""

from dataclasses import dataclass, replace

from shared.kit.auth.principal import ROLES, Principal


class MissingPolicy(TypeError):
    """A route was declared without a policy, or with one that this app can't enforce."""


@dataclass(frozen=True)
class Policy:
    """Who may call a route.

    `roles`: a token with any of these; `city_roles`: one with any of these whose areas leave nothing of the city out;
    `any_person`: any valid token; `company`: a signature; `public`: everybody.
    """

    name: str
    roles: frozenset[str] = frozenset()
    city_roles: frozenset[str] = frozenset()
    any_person: bool = False
    company: bool = False
    public: bool = False

    @property
    def person(self) -> bool:
        """Whether a token can satisfy it."""
        return self.any_person or bool(self.roles | self.city_roles)

    def admits(self, principal: Principal) -> bool:
        """The decision itself."""
        if self.public:
            return True
        if principal.kind == "company":
            return self.company
        if principal.kind not in ("person", "operator"):
            return False
        if self.any_person or self.roles & principal.roles:
            return True
        return bool(self.city_roles & principal.roles) and principal.covers_city

    def narrowed(self, principal: Principal) -> Principal:
        """The caller with those of their roles alone that the policy lets in.

        What one role is let in with is no way for another: an operator of one grid who rides as well comes to what is
        for riders and the city's operators as a rider.
        """
        if principal.kind not in ("person", "operator"):
            return principal
        kept = principal.roles if self.any_person else principal.roles & (self.roles | self.city_roles)
        if not principal.covers_city:
            kept -= self.city_roles - self.roles
        return replace(principal, roles=kept, kind="operator" if "operator" in kept else "person")


def AnyOf(*policies: Policy) -> Policy:
    """Whoever one of the policies admits. Public can't be one of them: it would hide the others.

    Raises:
        MissingPolicy: it is one of them, or there are fewer than two.
    """
    if len(policies) < 2 or any(policy.public for policy in policies):
        raise MissingPolicy("AnyOf takes two or more policies, none of them Public")
    return Policy(
        "|".join(policy.name for policy in policies),
        frozenset[str]().union(*(policy.roles for policy in policies)),
        frozenset[str]().union(*(policy.city_roles for policy in policies)),
        any(policy.any_person for policy in policies),
        any(policy.company for policy in policies),
    )


def _role(name: str) -> Policy:
    if name not in ROLES:
        raise MissingPolicy(f"unknown role {name}")
    return Policy(name, frozenset({name}))


Public = Policy("public", public=True)
Person = Policy("person", any_person=True)
Company = Policy("company", company=True)
Rider = _role("rider")
GridWorker = _role("grid_worker")
Dispatcher = _role("dispatcher")
Department = _role("department")
Verifier = _role("verifier")
Merchant = _role("merchant")
Operator = _role("operator")
CityOperator = Policy("city_operator", city_roles=frozenset({"operator"}))
"""For what belongs to no area: an operator whose areas leave nothing of the city out, or who has none."""
