"""Starts servers, prints their addresses, stays until Ctrl-C."""

import logging
import shlex
import signal
import sys
import threading

from .errors import InfraError
from .suite import start_infra


def main() -> int:
    """Returns the exit code: 0 after Ctrl-C or SIGTERM, 1 when a server can't be started or dies."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stop = threading.Event()
    # Also while starting: an exception in the main thread makes start_infra clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start_infra() as infra:
            for name, value in infra.environment().items():
                print(f"export {name}={shlex.quote(value)}")
            print("# ready; Ctrl-C stops", flush=True)
            while not stop.wait(1.0):
                for server in (infra.postgres, infra.kafka, infra.valkey):
                    if server is not None and not server.running:
                        raise InfraError(f"{server.spec.name} has died\n{server.log_tail()}")
    except KeyboardInterrupt:
        return 0
    except InfraError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
