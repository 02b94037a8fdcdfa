"""Run the activities service: `python -m services.activities`."""

from services.activities.app import build
from shared.kit.run import run

run(build)
