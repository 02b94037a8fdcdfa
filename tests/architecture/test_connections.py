"""Twenty services like today's eight fit into the cluster's Postgres, each with all its pods (ADR 0049)."""

import math

import pytest
import yaml

from shared.devtools.compose_env import assignments
from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check.house import RESERVED_CONNECTIONS
from shared.kit.publishing import relay
from shared.provision.services import about, service_names

SERVICES = 20
LARGEST = 6
"""Pods of one service."""


def needed(pods: float, pool: int) -> int:
    """Connections of so many pods: each has its pool, and its relay's sessions beside it."""
    return math.ceil(pods) * (pool + relay.SESSIONS)


def pool_and_most() -> tuple[int, int]:
    """What the cluster's pods are set to, and what its Postgres takes beside what is reserved."""
    pool = int(assignments((ROOT / "k8s/base/beegrid.env").read_text())["BEEGRID_POSTGRES_POOL_MAX"])
    for found in yaml.safe_load_all((ROOT / "k8s/base/postgres.yaml").read_text()):
        if found["kind"] == "Cluster":
            return pool, int(found["spec"]["postgresql"]["parameters"]["max_connections"]) - RESERVED_CONNECTIONS
    raise AssertionError("no Cluster in k8s/base/postgres.yaml")


def test_twenty_services_like_todays_fit() -> None:
    pool, most = pool_and_most()
    today = [about(service).size.pods_max for service in service_names(ROOT)]
    assert most + RESERVED_CONNECTIONS <= 400
    assert needed(sum(today) * SERVICES / len(today), pool) <= most


def test_twenty_services_of_six_pods_fit() -> None:
    pool, most = pool_and_most()
    assert max(about(service).size.pods_max for service in service_names(ROOT)) <= LARGEST
    assert needed(SERVICES * LARGEST, pool) <= most


def test_a_release_of_all_of_them_at_once_fits_while_no_more_than_the_usual_pods_run() -> None:
    """A pod more of each while it rolls, at twice the least number of pods."""
    pool, most = pool_and_most()
    least = sum(about(service).size.pods_min for service in service_names(ROOT)) / len(service_names(ROOT))
    assert needed(SERVICES * (2 * least + 1), pool) <= most


@pytest.mark.parametrize("pool", [3, 6])
def test_larger_pools_would_not(pool: int) -> None:
    """So that the number in the ConfigMap isn't raised without looking at the whole."""
    _, most = pool_and_most()
    assert needed(SERVICES * LARGEST, pool) > most
