"""`python -m services.tracking`."""

from services.tracking.app import build
from shared.kit.run import run

if __name__ == "__main__":
    run(build)
