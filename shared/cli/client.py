"""The operator's HTTP client: finds the running suite and turns refusals into words with a next step."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shared.kit import clock

SUITE_FILE = Path(".beegrid") / "suite.json"
URL, TOKEN = "BEEGRID_URL", "BEEGRID_TOKEN"
# An operator's replay of dead letters may take two minutes.
TIMEOUT_S = 130.0
REFUSED_RETRIES_S = 5.0
ROWS_MAX = 1_000
_HINTS = {
    401: "the token is missing or over: `beegrid token --role operator …`, or start the suite again",
    403: "the token lacks the role or area: `beegrid token --role operator …`",
    404: "check the name, and that the suite is of the same version as this command",
    405: "the suite is of another version than this command",
    409: "look at the current state and decide again",
    429: "wait, or lower --rate",
    502: "a service is down: `beegrid doctor`",
    503: "a service is busy or a server is away: `beegrid doctor`",
}


class CliError(Exception):
    """What the operator sees instead of a traceback. `status`: the HTTP status, None where nothing answered."""

    def __init__(self, title: str, detail: str = "", status: int | None = None, hint: str = "") -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.title = title
        self.detail = detail
        self.status = status
        self.hint = hint or _HINTS.get(status or 0, "")
        self.code = ""
        self.faults: list[dict[str, Any]] = []
        """What the answer says of single fields or lines."""


@dataclass(frozen=True)
class Address:
    """Where the suite is. `facts`: all that its file says, {} where the environment names the suite."""

    url: str
    token: str = field(repr=False)
    facts: dict[str, Any] = field(default_factory=dict, repr=False)


def find_suite(start: Path | None = None) -> Address:
    """From BEEGRID_URL and BEEGRID_TOKEN, else from the nearest .beegrid/suite.json above `start` (default: here).

    Raises CliError.
    """
    url, token = os.environ.get(URL, ""), os.environ.get(TOKEN, "")
    facts = _facts(start or Path.cwd()) if not (url and token) else {}
    if url and url != facts.get("url"):
        facts = {}  # another suite's token and administrators are not for this one
    found = Address(url or facts.get("url", ""), token or facts.get("token", ""), facts)
    if not found.url:
        raise CliError(
            "没有找到运行中的系统 / No running suite",
            f"neither {URL} nor {SUITE_FILE} here or above",
            hint=f"`make up` starts one; for a remote one set {URL} and {TOKEN}",
        )
    return found


def suite_folder(start: Path | None = None) -> Path | None:
    """The nearest .beegrid folder above `start`, None where there is none."""
    here = (start or Path.cwd()).resolve()
    return next((one / ".beegrid" for one in (here, *here.parents) if (one / ".beegrid").is_dir()), None)


class Client:
    """JSON over HTTP as the operator. Every method returns the parsed body, None for an empty one. Raises CliError."""

    def __init__(
        self, url: str, token: str = "", transport: httpx.BaseTransport | None = None, *, patient: bool = True
    ) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(TIMEOUT_S, connect=5.0),
            trust_env=False,
            transport=transport,
        )
        self.url = url
        self._patience_s = REFUSED_RETRIES_S if patient else 0.0

    def get(self, path: str, **kw: Any) -> Any:
        """GET; tried again for a moment while nothing listens, since a suite that starts is soon there."""
        give_up_s = clock.monotonic_s() + self._patience_s
        while True:
            try:
                return _parsed(self._send("GET", path, **kw))
            except CliError as error:
                refused = isinstance(error.__cause__, httpx.ConnectError)
                if not refused or clock.monotonic_s() > give_up_s:
                    raise
            time.sleep(0.3)

    def pages(self, path: str, limit: int = 500) -> Iterator[Any]:
        """All items of a list that comes in pages, each of which says how to ask for the next."""
        params = {"limit": str(limit)}
        while True:
            page = self.get(path, params=params)
            yield from page["items"]
            if page["cursor"] is None:
                return
            params["cursor"] = page["cursor"]

    def rows(
        self, path: str, after: Mapping[str, str], params: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """All rows of a list of which more is asked for by the last one; `after`: parameter → field of that row."""
        found: list[dict[str, Any]] = []
        while True:
            last = {name: str(found[-1][field]) for name, field in after.items()} if found else {}
            page = self.get(path, params={"limit": str(ROWS_MAX), **(params or {}), **last})
            found += page
            if len(page) < ROWS_MAX:
                return found

    def post(self, path: str, body: Any = None, **kw: Any) -> Any:
        """POST `body` as JSON."""
        return _parsed(self._send("POST", path, json=body, **kw))

    def put(self, path: str, body: Any = None, **kw: Any) -> Any:
        """PUT `body` as JSON."""
        return _parsed(self._send("PUT", path, json=body, **kw))

    def delete(self, path: str, **kw: Any) -> Any:
        """DELETE."""
        return _parsed(self._send("DELETE", path, **kw))

    @contextmanager
    def lines(self, path: str, **kw: Any) -> Iterator[Iterator[str]]:
        """The lines of a long answer as they come. A broken stream raises CliError inside the block."""
        try:
            with self._http.stream("GET", path, **kw) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _refusal(response)
                yield response.iter_lines()
        except httpx.HTTPError as error:
            raise _unreachable(self.url, error) from error

    def _send(self, method: str, path: str, **kw: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **kw)
        except httpx.HTTPError as error:
            raise _unreachable(self.url, error) from error
        if response.status_code >= 400:
            raise _refusal(response)
        return response


def connect(*, patient: bool = True) -> Client:
    """The client of the running suite; a patient one waits a moment for it. Raises CliError where there is none."""
    found = find_suite()
    return Client(found.url, found.token, patient=patient)


def _facts(start: Path) -> dict[str, Any]:
    here = start.resolve()
    for folder in (here, *here.parents):
        file = folder / SUITE_FILE
        if not file.is_file():
            continue
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CliError("无法读取 / Not readable", str(file), hint="start the suite again: `make up`") from error
        if isinstance(facts, dict):
            return facts
    return {}


def _parsed(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise CliError("回答不是 JSON / Not JSON", f"{response.request.url.path}", response.status_code) from error


def _refusal(response: httpx.Response) -> CliError:
    """The error of an answer, from its problem document where it has one."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return CliError("请求失败 / Request failed", f"HTTP {response.status_code}", response.status_code)
    detail = str(problem.get("detail", ""))
    fields = [
        f"{line}{one.get('field') or one.get('code')}: {one.get('problem')}"
        for one in problem.get("errors") or []
        for line in [f"line {one['line']}, " if "line" in one else ""]
    ]
    error = CliError(str(problem.get("title", "")), "; ".join([detail, *fields]), response.status_code)
    error.code = str(problem.get("code", ""))
    error.faults = problem.get("errors") or []
    return error


def _unreachable(url: str, error: httpx.HTTPError) -> CliError:
    return CliError(
        "系统没有应答 / The suite doesn't answer",
        f"{url}: {type(error).__name__}",
        hint="is it running? `make up`, then `beegrid doctor`",
    )
