"""The port that whoever reads metrics may use: metrics, and nothing that a service does."""

from urllib.error import HTTPError
from urllib.request import Request, urlopen

from shared.kit.run import serve_metrics


def asked(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=5) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, b""


def test_a_second_port_has_the_metrics_alone() -> None:
    port = serve_metrics("127.0.0.1", 0)
    status, page = asked(port, "/metrics")
    assert (status, b"beegrid_outbox_rows" in page) == (200, True)
    for path in ("/v1/cases", "/ops/cases/status"):
        status, page = asked(port, path)
        assert status != 200 or page.startswith(b"# HELP beegrid_"), path
        assert asked(port, path, "POST")[0] in (404, 405, 501)
