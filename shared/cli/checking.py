"""`beegrid companies check`, `beegrid systems check`: the way through the suite, tried as those outside go it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from pydantic import ValidationError

from shared.cli.client import Client, CliError
from shared.cli.joining import TEST_KIND, of_company, of_system
from shared.cli.outside_client import Login, Reader, headers_of, logged_in, write
from shared.cli.places import Place, place_on_the_map
from shared.cli.screen import Screen, shown
from shared.cli.steps import Steps, until
from shared.events import registry
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.inbound_riders import INBOUND_RIDERS
from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.kafka import connect_admin
from shared.provision.topology import Cluster

RIDER = "beegrid-check"
"""The number of the rider for whom a company's test reports are filed: nobody."""
UNKNOWN_KIND = "no-such-kind"
_DOCTOR = "`beegrid doctor` says which service is behind or has dead letters"
_AGAIN = "`beegrid companies kafka CODE` makes or completes them"
_MAP = "`beegrid areas import`, then `beegrid areas activate`; `beegrid areas versions` says which map is in force"
_NO_GRID = ("outside_map", "by_hand")
_CASE_STEPS = ("opened", "attached", "repeated")
_POINTS_STEPS = ("points_held", "points_refused", "points_posted")


class CompanyCheck:
    """One test report of a company through every hop, and what is left of it taken back."""

    def __init__(self, client: Client, cluster: Cluster, code: str, password: str, screen: Screen) -> None:
        self._client, self._cluster, self._code, self._password = client, cluster, code, password
        self._steps = Steps(screen)
        self._access = of_company(cluster, code, password)
        self._number = f"check-{new_id().hex}"
        self._reports = cluster.topic_prefix + INBOUND_REPORTS.name.format(company=code)
        self._riders = cluster.topic_prefix + INBOUND_RIDERS.name.format(company=code)

    def run(self) -> list[str]:
        """Step by step; which hops were not seen, and why. Raises CliError at the first that fails."""
        with self._steps.step("企业 / the company is known and active") as found:
            known = self._client.get(f"/v1/companies/{self._code}")
            found.append(known["name"])
            if not known["active"]:
                raise CliError("企业已停用 / The company is suspended", self._code)
        answers = [*self._access.read, f"{self._reports}.dlq"]
        with self._steps.step("主题 / its topics are there") as found:
            names = self._access.names([*self._access.rights.write, *self._access.rights.read])
            partitions = _partitions(self._cluster, names)
            found.append(", ".join(f"{name} ({count})" for name, count in partitions.items()))
        with (
            logged_in(self._cluster, self._access.rights, self._password) as login,
            Reader(login, answers, beginning=False) as reader,
        ):
            with self._steps.step("登录与分组 / its user is let in, and its group reads") as found:
                found.append(f"{login.user}, {login.group}")
                reader.join(sum(partitions[name] for name in answers))
            return self._through(login, reader)

    def _through(self, login: Login, reader: Reader) -> list[str]:
        self._rider(login)
        place = place_on_the_map(self._client)
        with self._steps.step("上报 / a report is written") as found:
            found.append(write(login, self._reports, self._number, self._report(self._number, TEST_KIND, place)))
        report_id = self._accepted(reader)
        try:
            unseen = self._hops(report_id, place)
            self._answers(reader, routed=not unseen)
        except CliError:
            with suppress(CliError):  # what went wrong first is what counts
                self._take_back(report_id)
            raise
        self._take_back(report_id)
        self._refused(login, reader, place)
        return unseen

    def _rider(self, login: Login) -> None:
        with self._steps.step("骑手 / a rider is registered") as found:
            body = {"external_id": RIDER, "name": "联调", "consent_at": _ago(hours=1)}
            found.append(write(login, self._riders, RIDER, json.dumps(body).encode()))
            until(self._known_rider, f"the rider {RIDER}", _DOCTOR)

    def _known_rider(self) -> Any:
        try:
            return self._client.get("/v1/riders", params={"company": self._code, "external_id": RIDER})
        except CliError as error:
            if error.status != 404:
                raise
            return None

    def _report(self, number: str, kind: str, place: Place) -> bytes:
        body = {
            "external_id": number,
            "rider": RIDER,
            "kind": kind,
            "place": {"lng": place.lng, "lat": place.lat, "datum": "wgs84"},
            "occurred_at": _ago(minutes=1),
            "text": "联调，请忽略 / a test, please ignore",
        }
        return json.dumps(body, ensure_ascii=False).encode()

    def _accepted(self, reader: Reader) -> str:
        with self._steps.step("受理 / it is accepted, and the company reads so") as found:
            answer = reader.first(lambda one: _decided(one, self._number), f"an answer to {self._number}", _DOCTOR)
            if (refusal := answer["refusal"]) is not None:
                raise CliError("未被受理 / It is refused", f"{refusal['code']}: {refusal['detail']}")
            found.append(f"report_id {answer['report_id']}")
            return str(answer["report_id"])

    def _hops(self, report_id: str, place: Place) -> list[str]:
        """As tracking sees them, which hears every one. What isn't seen without a grid, and why; nothing with one."""
        with self._steps.step("分派 / it is routed") as found:
            journey = self._until_step(report_id, ("routed", "unroutable"))
            found.append(journey["grid_code"] or "没有网格包含该地点 / no grid has this place: a person is to find one")
        if journey["grid_code"] is None:
            why = "no grid has the report's place" if place.grid else "no map is in force"
            return [f"立案 / it has a case: {why}", f"积分 / points have judged it: {why}"]
        with self._steps.step("立案 / it has a case") as found:
            found.append(str(self._until_step(report_id, _CASE_STEPS)["case_id"]))
        with self._steps.step("积分 / points have judged it (this kind earns none)") as found:
            journey = self._until_step(report_id, _POINTS_STEPS)
            found.append(next(one["en"] for one in journey["steps"] if one["key"] in _POINTS_STEPS))
        return []

    def _until_step(self, report_id: str, keys: Sequence[str]) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            try:
                journey: dict[str, Any] = self._client.get(f"/v1/tracking/reports/{report_id}")
            except CliError as error:
                if error.status != 404:
                    raise
                return None
            return journey if any(one["key"] in keys for one in journey["steps"]) else None

        return until(there, " or ".join(keys), _DOCTOR)

    def _answers(self, reader: Reader, *, routed: bool) -> None:
        def last(message: Message) -> dict[str, Any] | None:
            body = _answer(message, self._number)
            if body is None:
                return None
            # points may be heard of before the case
            there = body["points"] is not None and body["stage"] == "in_case" if routed else body["stage"] in _NO_GRID
            return body if there else None

        with self._steps.step("回传 / the company reads all of it") as found:
            body = reader.first(last, "the last of it on the outbound topic", _DOCTOR)
            found.append(", ".join([body["stage"], *([body["points"]["state"]] if routed else [])]))

    def _refused(self, login: Login, reader: Reader, place: Place) -> None:
        number = f"{self._number}-bad"
        with self._steps.step("死信 / what is refused comes back with the reason") as found:
            write(login, self._reports, number, self._report(number, UNKNOWN_KIND, place))
            letter = reader.first(lambda one: _letter(one, number), "the dead letter", _DOCTOR)
            found.append(f"{letter['dlq-code']}: {letter['dlq-detail']}")
            topic = self._reports.removeprefix(self._cluster.topic_prefix)
            ids = [
                one["id"]
                for one in self._client.rows("/ops/intake/dead-letters", {"after": "id"}, {"topic": topic})
                if one["key"] == number
            ]
            self._client.post("/ops/intake/dead-letters/discard", {"ids": ids, "reason": "beegrid companies check"})

    def _take_back(self, report_id: str) -> None:
        """The case of a test is no case. One that others have joined is theirs too."""
        try:
            case_id = self._client.get(f"/v1/tracking/reports/{report_id}")["case_id"]
        except CliError:
            return
        with self._steps.step("收尾 / its case is taken back") as found:
            if case_id is None:
                found.append("没有案件；人工分派队列中仍有它 / it has none; it stays in the queue of what people route")
                return
            case = self._client.get(f"/v1/cases/{case_id}")
            if case["kind"] != TEST_KIND or case["report_count"] > 1:
                found.append("其他上报也在其中，保留 / others have joined it: it stays")
            elif case["state"] != "invalid":
                self._client.post(f"/v1/cases/{case_id}/invalidate", {"note": "beegrid companies check"})


def check_system(cluster: Cluster, code: str, password: str, screen: Screen) -> None:
    """A city system's user reads one record of every public topic. Raises CliError at the first step that fails."""
    steps = Steps(screen)
    access = of_system(cluster, code, password)
    with steps.step("主题 / the public topics are there") as found:
        partitions = _partitions(cluster, access.read)
        found.append(", ".join(f"{name} ({count})" for name, count in partitions.items()))
    with logged_in(cluster, access.rights, password) as login:
        for topic in registry.public_topics():
            name = cluster.topic_prefix + topic.name
            with Reader(login, [name], beginning=True) as reader, steps.step(f"读取 / one record of {name}") as found:
                found.append(_one_record(topic, reader, partitions[name]))


def _one_record(topic: registry.AnyTopic, reader: Reader, partitions: int) -> str:
    """What the first record is about, or that there is none yet. Raises CliError for one that isn't as declared."""
    while not any(one.value() for one in reader.seen) and len(reader.ended) < partitions:
        reader.poll()
    message = next((one for one in reader.seen if one.value()), None)
    if message is None:
        return "还没有记录 / there is no record yet; reading it is allowed"
    try:
        topic.model.model_validate_json(message.value() or b"")
    except ValidationError as error:
        raise CliError("记录不符合约定 / The record isn't as declared", str(error)) from error
    at = headers_of(message).get("ce_time", "")
    return f"{topic.key} {(message.key() or b'').decode()}, {at}, {len(message.value() or b'')} bytes"


def _partitions(cluster: Cluster, names: Sequence[str]) -> dict[str, int]:
    """Topic → number of its partitions. Raises CliError where one is missing."""
    client: AdminClient = connect_admin(cluster.bootstrap, cluster.admin)
    there = client.list_topics(timeout=10).topics
    if missing := [name for name in names if name not in there]:
        raise CliError("缺少主题 / Topics are missing", ", ".join(missing), hint=_AGAIN)
    return {name: len(there[name].partitions) for name in names}


def _answer(message: Message, number: str) -> dict[str, Any] | None:
    """The body of a record that is about this report; None for others, and for dead letters."""
    if (message.topic() or "").endswith(".dlq"):
        return None
    try:
        body: Any = json.loads(message.value() or b"")
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("external_id") == number else None


def _decided(message: Message, number: str) -> dict[str, Any] | None:
    """The same, once it is more than that the report waits for its rider."""
    body = _answer(message, number)
    return None if body is None or body["stage"] == "waiting" else body


def _letter(message: Message, number: str) -> dict[str, str] | None:
    if not (message.topic() or "").endswith(".dlq") or (message.key() or b"").decode("utf-8", "replace") != number:
        return None
    return headers_of(message)


def _ago(**spans: float) -> str:
    return (clock.now() - timedelta(**spans)).isoformat(timespec="seconds")


def check_company(client: Client, cluster: Cluster, code: str, password: str, screen: Screen) -> None:
    """See CompanyCheck. Raises CliError at the first step that fails, and at the end where a hop was not seen."""
    unseen = CompanyCheck(client, cluster, code, password, screen).run()
    for line in unseen:
        screen.print(f"[yellow]–[/yellow] 未走到 / not seen: {shown(line)}", highlight=False, soft_wrap=True)
    if unseen:
        raise CliError("未全部走通 / Not every hop was seen", "what was seen works", hint=_MAP)
