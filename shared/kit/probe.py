"""`python -m shared.kit.probe [/readyz]`: ask this container's own service, for engines that can't ask by HTTP.

Stdlib only, so that it costs a container's health check some tens of milliseconds and no library.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def probe(path: str, port: int) -> tuple[bool, str]:
    """Whether the service on this machine answers 200, and its words."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as answer:
            return answer.status == 200, answer.read(2_000).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return False, f"{error.code} {error.read(2_000).decode(errors='replace')}"
    except OSError as error:
        return False, str(error)


def main() -> int:
    """0 when the probe says yes."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
    good, words = probe(path, int(os.environ.get("BEEGRID_HTTP_PORT", "8080")))
    print(words)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
