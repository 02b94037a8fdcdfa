"""Run the points service: `python -m services.points`."""

from services.points.app import build
from shared.kit.run import run

run(build)
