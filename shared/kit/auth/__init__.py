"""Who is asking (tokens, signatures) and who may (policies)."""

from shared.kit.auth.jwt import Jwks, JwtVerifier
from shared.kit.auth.key_ring import NOBODY, CachedKeyRing, KeyRing, Signer
from shared.kit.auth.policy import (
    Authenticator,
    Caller,
    RoutePolicy,
    allow,
    current_principal,
    policies,
    policy_router,
)
from shared.kit.auth.principal import Principal
from shared.kit.auth.replay import ReplayGuard
from shared.kit.auth.sealing import SealBroken, Sealer, sealing_keys
from shared.kit.auth.signature import SignatureVerifier, signed_headers
from shared.kit.auth.who import (
    AnyOf,
    CityOperator,
    Company,
    Department,
    Dispatcher,
    GridWorker,
    Merchant,
    MissingPolicy,
    Operator,
    Person,
    Policy,
    Public,
    Rider,
    Verifier,
)

__all__ = [
    "NOBODY",
    "AnyOf",
    "Authenticator",
    "CachedKeyRing",
    "Caller",
    "CityOperator",
    "Company",
    "Department",
    "Dispatcher",
    "GridWorker",
    "Jwks",
    "JwtVerifier",
    "KeyRing",
    "Merchant",
    "MissingPolicy",
    "Operator",
    "Person",
    "Policy",
    "Principal",
    "Public",
    "ReplayGuard",
    "Rider",
    "RoutePolicy",
    "SealBroken",
    "Sealer",
    "SignatureVerifier",
    "Signer",
    "Verifier",
    "allow",
    "current_principal",
    "policies",
    "policy_router",
    "sealing_keys",
    "signed_headers",
]
