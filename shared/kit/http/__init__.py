"""HTTP in: problems, limits, probes, and the app around a service's routes.

Only what routes use is exported here: `create_app` and the probes are in their modules, since they know of `auth`.
"""

from shared.kit.http.limits import Allowance, Limiter, RateLimiter, Unlimited
from shared.kit.http.problems import (
    ApiProblem,
    ServiceBusy,
    bad_request,
    busy,
    conflict,
    forbidden,
    not_found,
    problem_responses,
    too_many,
    unauthorized,
    unprocessable,
)

__all__ = [
    "Allowance",
    "ApiProblem",
    "Limiter",
    "RateLimiter",
    "ServiceBusy",
    "Unlimited",
    "bad_request",
    "busy",
    "conflict",
    "forbidden",
    "not_found",
    "problem_responses",
    "too_many",
    "unauthorized",
    "unprocessable",
]
