"""HTTP in."""

from services.badges.api import awards, boards, thresholds

routers = (awards.router, boards.router, thresholds.router)
