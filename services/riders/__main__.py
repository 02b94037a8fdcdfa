"""Runs the riders service: `python -m services.riders`."""

from services.riders.app import build
from shared.kit.run import run

run(build)
