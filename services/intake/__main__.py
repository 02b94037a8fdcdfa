"""Runs the intake service: `python -m services.intake`."""

from services.intake.app import build
from shared.kit.run import run

run(build)
