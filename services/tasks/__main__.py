"""Run the tasks service: `python -m services.tasks`."""

from services.tasks.app import build
from shared.kit.run import run

run(build)
