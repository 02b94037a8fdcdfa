"""Metrics of the badges service."""

from prometheus_client import Counter

from shared.kit.metrics import REGISTRY

AWARDED = Counter("beegrid_badges_awarded_total", "Badges awarded, by code.", ("code",), registry=REGISTRY)
BOARDS_MADE = Counter("beegrid_badges_boards_made_total", "Boards made from Postgres.", registry=REGISTRY)
