"""Run the rewards service: `python -m services.rewards`."""

from services.rewards.app import build
from shared.kit.run import run

run(build)
