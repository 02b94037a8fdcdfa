"""Standard Webhooks, both ways: requests to BeeGrid are signed as its webhooks are."""

import base64
import hmac
import json
import os
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300


def sign(secret: str, message: str, at: str, payload: bytes) -> str:
    key, said = base64.b64decode(secret.removeprefix("whsec_")), f"{message}.{at}.".encode() + payload
    return "v1," + base64.b64encode(hmac.digest(key, said, "sha256")).decode()


def call(method: str, path: str, body: dict) -> dict:
    """Send a signed request. A body is signed; where there is none, `GET /path?query` is, in its place."""
    payload, message, at = json.dumps(body).encode(), f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    request = urllib.request.Request(os.environ["BEEGRID_URL"] + path, payload, method=method)
    request.add_header("content-type", "application/json")
    request.add_header("beegrid-company", os.environ["BEEGRID_CODE"])
    request.add_header("webhook-id", message)
    request.add_header("webhook-timestamp", at)
    request.add_header("webhook-signature", sign(os.environ["BEEGRID_SECRET"], message, at, payload))
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks; `taken` has the type of each, by its id."""

    secret = ""
    taken: dict[str, str] = {}

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["content-length"]))
        message, at = self.headers.get("webhook-id", ""), self.headers.get("webhook-timestamp", "0")
        wanted = sign(self.secret, message, at, payload)
        given = self.headers.get("webhook-signature", "").split()  # two while a secret is being changed
        genuine = any(hmac.compare_digest(one, wanted) for one in given) and abs(time.time() - int(at)) < TOLERANCE_S
        if genuine:
            # at least once: what came before is taken again, and has no effect again
            self.taken.setdefault(message, json.loads(payload)["type"])
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def receive() -> type[Receiver]:
    """Open a receiver on this machine and let BeeGrid know it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    url = f"http://127.0.0.1:{server.server_port}/"
    Receiver.secret = call("PUT", "/v1/webhooks", {"url": url, "rotate": True})["secret"]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    call("POST", "/v1/webhooks/test", {})
    return Receiver
