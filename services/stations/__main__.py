"""Run the stations service: `python -m services.stations`."""

from services.stations.app import build
from shared.kit.run import run

run(build)
