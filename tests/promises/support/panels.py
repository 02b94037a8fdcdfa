"""Every query of ops/grafana, asked of a Prometheus beside a suite in which nearly everything has happened once."""

from collections.abc import Iterable
from urllib.error import HTTPError

from shared.devtools.installation import ROOT
from shared.devtools.rules_check import read
from tests.promises.support.prometheus import Prometheus

LOOKED_BACK_S = 1_800
Query = tuple[str, str]
"""Dashboard with panel, and PromQL."""


def queries() -> list[Query]:
    """All of them."""
    return read(ROOT).dashboards


def empty(prometheus: Prometheus, asked: Iterable[Query]) -> list[Query]:
    """Those that show nothing.

    Raises:
        AssertionError: Prometheus refuses one.
    """
    found = []
    for place, expression in asked:
        try:
            if not prometheus.has_data(expression, LOOKED_BACK_S):
                found.append((place, expression))
        except HTTPError as refused:
            raise AssertionError(f"{place}: {refused.read().decode()[:300]}") from refused
    return found
