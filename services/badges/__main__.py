"""Run the badges service: `python -m services.badges`."""

from services.badges.app import build
from shared.kit.run import run

run(build)
