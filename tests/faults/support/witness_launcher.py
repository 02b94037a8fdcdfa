"""Any service as it is, with a witness of its effects: `python -m tests.faults.support.witness_launcher <service>`.

Read from the environment:
    FAULTS_SLOW_S   every batch takes so many seconds longer
    FAULTS_PLANT    a defect of `witness.PLANTS`
"""

import importlib
import os
import sys

from shared.kit.run import run
from tests.faults.support.witness import PLANTS, watch_effects


def main() -> None:
    """Arm what is asked for, then be the service."""
    watch_effects(float(os.environ.get("FAULTS_SLOW_S", "0")))
    if plant := os.environ.get("FAULTS_PLANT"):
        PLANTS[plant]()
    run(importlib.import_module(f"services.{sys.argv[1]}.app").build)


if __name__ == "__main__":
    main()
