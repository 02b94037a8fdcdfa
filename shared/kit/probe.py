"""`python -I -S probe.py [/readyz]`: ask this container's own service, for engines that can't ask by HTTP.

Run by its file, without site packages and by a bare socket: an engine asks each second while a service starts, and
urllib alone costs ten times as much as the answer.
"""

import os
import socket
import sys

TIMEOUT_S = 4.0
WORDS_MAX = 2_000


def probe(path: str, port: int) -> tuple[bool, str]:
    """Whether the service on this machine answers 200, and its words."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(request)
            while len(answer) < 4 * WORDS_MAX and (more := connection.recv(4096)):
                answer += more
    except OSError as error:
        return False, str(error)
    head, _, body = answer.partition(b"\r\n\r\n")
    version, _, status = head.partition(b"\r\n")[0].partition(b" ")
    words = body[:WORDS_MAX].decode(errors="replace")
    if not version.startswith(b"HTTP/"):
        return False, "no HTTP answer"
    if not status.startswith(b"200"):
        return False, f"{status.decode(errors='replace')} {words}"
    return True, words


def main() -> int:
    """0 when the probe says yes."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
    good, words = probe(path, int(os.environ.get("BEEGRID_HTTP_PORT", "8080")))
    print(words)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
