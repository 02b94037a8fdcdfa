"""HTTP in: problems, limits, probes, and the app around a service's routes.

Only what routes use is exported here: `create_app` and the probes are in their modules, since they know of `auth`.
"""

from shared.kit.http.limits import Allowance, Limiter, RateLimiter, Unlimited

__all__ = ["Allowance", "Limiter", "RateLimiter", "Unlimited"]
