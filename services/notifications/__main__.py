"""Runs the notifications service: `python -m services.notifications`."""

from services.notifications.app import build
from shared.kit.run import run

run(build)
