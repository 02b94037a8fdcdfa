"""Run the screening service: `python -m services.screening`."""

from services.screening.app import build
from shared.kit.run import run

run(build)
