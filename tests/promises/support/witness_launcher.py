"""Any service as it is, with a witness of its effects: `python -m tests.promises.support.witness_launcher <service>`.

Read from the environment:
    FAULTS_SLOW_S   every batch takes so many seconds longer
    FAULTS_PLANT    a defect of `witness.PLANTS`
    FAULTS_DIE      where and when to die, as `deaths.arm` reads it
"""

import importlib
import os
import sys

from shared.kit.run import run
from tests.promises.support.deaths import arm
from tests.promises.support.witness import PLANTS, watch_effects


def main() -> None:
    """Arm what is asked for, then be the service."""
    watch_effects(float(os.environ.get("FAULTS_SLOW_S", "0")))
    if plant := os.environ.get("FAULTS_PLANT"):
        PLANTS[plant]()
    if wanted := os.environ.get("FAULTS_DIE"):
        arm(wanted)
    run(importlib.import_module(f"services.{sys.argv[1]}.app").build)


if __name__ == "__main__":
    main()
