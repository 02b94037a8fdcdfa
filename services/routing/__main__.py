"""`python -m services.routing` runs the service."""

from services.routing.app import build
from shared.kit.run import run

if __name__ == "__main__":
    run(build)
