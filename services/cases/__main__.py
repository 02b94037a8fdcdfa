"""`python -m services.cases`."""

from services.cases.app import build
from shared.kit.run import run

if __name__ == "__main__":
    run(build)
