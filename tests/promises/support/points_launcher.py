"""The points service as it is, in a process that kills itself at an exact point: `python -m …points_launcher`.

Read from the environment:
    FAULTS_DIE      `<point>:<n>`: SIGKILL when the n-th batch is at `before-commit` (every statement of the transaction
                    is done), `after-commit` (the transaction is durable, nobody knows) or `before-offset-commit`
                    (FastStream is about to commit the offsets)
    FAULTS_INBOX    `off`: the planted defect; every delivery counts as new
"""

import os

from services.points.app import build
from shared.kit.run import run
from tests.promises.support.deaths import arm
from tests.promises.support.witness import inbox_off, watch_effects

SESSION_MS = 6_000
"""The broker forgets a stopped static member so soon instead of after 15 s: the test waits for it."""


def main() -> None:
    """Arm what is asked for, then be the service."""
    watch_effects()
    os.environ["BEEGRID_KAFKA_SESSION_MS"] = str(SESSION_MS)
    if os.environ.get("FAULTS_INBOX") == "off":
        inbox_off()
    if wanted := os.environ.get("FAULTS_DIE"):
        arm(wanted)
    run(build)


if __name__ == "__main__":
    main()
