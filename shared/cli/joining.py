"""What a company or a city system is shown once it has a Kafka user: all that it needs, and commands to copy.

Everything is read from the declarations, so that nothing here can promise what the cluster refuses.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.cli.cluster import public_address
from shared.cli.places import Place
from shared.events import registry
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.inbound_riders import INBOUND_RIDERS
from shared.events.registry import AnyTopic
from shared.kit import clock
from shared.kit.consuming.unpacking import UNPACKED_BYTES_MAX
from shared.kit.messaging.kafka import TOPIC_BYTES_MAX
from shared.kit.settings import KitSettings
from shared.provision.kafka import client_config
from shared.provision.kafka_rights import AclSpec
from shared.provision.topology import COMPANY_QUOTA, Cluster, company_acl, system_acl, topic_specs

TEST_KIND = "local-connection-test"
"""A kind of the catalogue for which nobody sets out and nobody earns points."""
GUIDE, SYSTEMS_GUIDE = "docs/integrating.md", "docs/city-systems.md"
"""For companies, and for city systems."""
CA_FILE = "ca.crt"
HTTP_REPORTS_MAX, HTTP_BATCH_BYTES_MAX, HTTP_REPORT_BYTES_MAX = 500, 6_000_000, 64_000
"""Of intake's routes; a test holds them to those."""
_CODECS = "none, gzip, snappy, lz4, zstd"
_HOUR_MS, _MIB = 3_600_000, 1024 * 1024


@dataclass(frozen=True)
class Access:
    """How somebody outside reaches the cluster, and as whom."""

    cluster: Cluster
    rights: AclSpec
    password: str

    @property
    def user(self) -> str:
        """Its whole name on the cluster."""
        return self.cluster.user_prefix + self.rights.user

    def names(self, topics: Sequence[str]) -> list[str]:
        """Topics as they are called on the cluster."""
        return [self.cluster.topic_prefix + name for name in topics]

    @property
    def dead_letters(self) -> list[str]:
        """Topics on which it reads why its records were refused."""
        return self.names([name for name in self.rights.read if name.endswith(".dlq")])

    @property
    def read(self) -> list[str]:
        """Topics that it reads beside those."""
        return self.names([name for name in self.rights.read if not name.endswith(".dlq")])

    @property
    def group(self) -> str:
        """What its consumer groups' names begin with."""
        return self.cluster.topic_prefix + self.rights.group_prefixes[0]

    def settings(self) -> dict[str, str]:
        """As librdkafka, and so kcat and clients in most languages, call them."""
        admin = self.cluster.admin
        settings = client_config(public_address(self.cluster), self.user, self.password, admin.security_protocol)
        del settings["log_level"]
        return {**settings, "ssl.ca.location": CA_FILE} if admin.ca_file else settings


def of_company(cluster: Cluster, code: str, password: str) -> Access:
    """A company's access."""
    return Access(cluster, company_acl(code), password)


def of_system(cluster: Cluster, code: str, password: str) -> Access:
    """A city system's access."""
    return Access(cluster, system_acl(code), password)


def company_lines(access: Access, code: str, place: Place) -> Iterator[str]:
    """All that a company needs on Kafka, and how it tries it out."""
    yield from _who(access)
    specs = {access.cluster.topic_prefix + spec.name: spec for spec in topic_specs([code])}
    for name in access.names(access.rights.write):
        spec, topic = specs[name], _declared(access, code, name)
        yield (
            f"  write     {name}   键 key {topic.key} · {spec.partitions} partitions · {_kept(spec.retention_ms)} · "
            f"JSON ≤ {topic.record_bytes_max:,} bytes"
        )
    for name in access.read:
        yield f"  read      {name}   {specs[name].partitions} partitions · {_kept(specs[name].retention_ms)}"
    for name in access.dead_letters:
        spec = specs[name.removesuffix(".dlq")]
        yield f"  dead      {name}   死信及原因 what was refused, and why · {_kept(spec.dlq_retention_ms)}"
    yield f"  groups    {access.group}*"
    yield f"  codecs    {_CODECS}"
    yield (
        f"  limits    batch ≤ {TOPIC_BYTES_MAX // _MIB} MiB packed, {UNPACKED_BYTES_MAX // _MIB} MiB unpacked; beyond "
        f"{COMPANY_QUOTA.bytes_per_s // _MIB} MiB/s to a broker the answers come later; no transactions"
    )
    yield f"  文档 docs  {GUIDE}"
    yield ""
    yield "复制即可试用 / To try it, paste this into a shell (kcat on librdkafka ≥ 2.6.1):"
    yield ""
    yield from kcat_lines(access, code, place)
    yield ""
    yield "或用 Python / or with Python (pip install confluent-kafka):"
    yield ""
    yield from python_lines(access, code, place)


def system_lines(access: Access) -> Iterator[str]:
    """All that a city system needs on Kafka, and how it tries it out."""
    yield from _who(access)
    yield f"  topics    {', '.join(access.read)}"
    yield f"  groups    {access.group}*"
    yield "  客户端    librdkafka ≥ 2.6.1 / clients on librdkafka"
    yield f"  文档 docs  {SYSTEMS_GUIDE}"
    yield ""
    yield "复制即可试用 / To try it, paste this into a shell:"
    yield ""
    for name in access.read:
        yield f"{_kcat(access)} -C -t {name} -o beginning -e -f 'key %k\\nheaders %h\\n%s\\n\\n'"


def kcat_lines(access: Access, code: str, place: Place) -> Iterator[str]:
    """A shell command that registers a rider, files a report and shows what came back."""
    riders, reports = _inbound(access, code)
    # a function: not every shell parts a variable into words
    yield f'beegrid_kafka() {{ {_kcat(access)} "$@"; }}'
    yield f"beegrid_kafka -P -t {riders} -k test-1 <<'EOF'"
    yield _json(_rider())
    yield "EOF"
    yield f"beegrid_kafka -P -z zstd -t {reports} -k test-kcat <<'EOF'"
    yield _json(_report("test-kcat", place))
    yield "EOF"
    yield "sleep 10"
    for name in (*access.read, reports + ".dlq"):
        yield f"beegrid_kafka -C -t {name} -o beginning -e -f '%t %k %h\\n%s\\n'"


def python_lines(access: Access, code: str, place: Place) -> Iterator[str]:
    """The same as a program, which waits for the answer."""
    riders, reports = _inbound(access, code)
    answers = [*access.read, reports + ".dlq"]
    yield "python3 - <<'EOF'"
    yield "import json"
    yield "from confluent_kafka import Consumer, Producer"
    yield "access = {"
    for name, value in access.settings().items():
        yield f"    {json.dumps(name)}: {json.dumps(value)},"
    yield "}"
    yield 'producer = Producer({**access, "compression.type": "zstd"})'
    yield f"rider = {_json(_rider())}"
    yield f"report = {_json(_report('test-python', place))}"
    yield f'producer.produce({json.dumps(riders)}, json.dumps(rider), rider["external_id"])'
    yield f'producer.produce({json.dumps(reports)}, json.dumps(report), report["external_id"])'
    yield "assert producer.flush(30) == 0"
    group = json.dumps(f"{access.group}test")
    yield f'consumer = Consumer({{**access, "group.id": {group}, "auto.offset.reset": "earliest"}})'
    yield f"consumer.subscribe({json.dumps(answers)})"
    yield "while (answer := consumer.poll(30)) is not None:"
    yield "    if answer.error():"
    yield "        raise SystemExit(answer.error())"
    yield "    value = answer.value() or b''  # nothing: the key's state has left the topic"
    yield "    print(answer.topic(), answer.key(), dict(answer.headers() or ()), value.decode())"
    yield '    if b"test-python" in value or answer.key() == b"test-python":'
    yield "        break"
    yield "consumer.close()"
    yield "EOF"


def http_lines(url: str, code: str) -> Iterator[str]:
    """What a company needs over HTTP beside its signing key; the same limits for each company."""
    a_minute = KitSettings.model_fields["rate_limit_per_minute"].default
    yield f"HTTP {url}"
    yield f"  export    BEEGRID_URL={shlex.quote(url)} BEEGRID_CODE={code}"
    yield (
        f"  limits    {HTTP_REPORTS_MAX} reports or {HTTP_BATCH_BYTES_MAX:,} bytes a batch; one report "
        f"≤ {HTTP_REPORT_BYTES_MAX:,} bytes; {a_minute:,} requests a minute to each service (a setting)"
    )


def _who(access: Access) -> Iterator[str]:
    settings = access.settings()
    yield f"Kafka {settings['bootstrap.servers']} {settings['security.protocol']} SCRAM-SHA-512"
    yield f"  user      {access.user}"
    yield f"  password  {access.password}   (仅显示一次 / shown only now)"
    if "ssl.ca.location" in settings:
        yield f"  CA        {access.cluster.admin.ca_file}: give it to them as {CA_FILE}"


def _kcat(access: Access) -> str:
    settings = access.settings()
    options = [
        f"-X {shlex.quote(f'{name}={value}')}" for name, value in settings.items() if name != "bootstrap.servers"
    ]
    return f"kcat -q -b {settings['bootstrap.servers']} {' '.join(options)}"


def _inbound(access: Access, code: str) -> tuple[str, str]:
    riders, reports = access.names([topic.name.format(company=code) for topic in (INBOUND_RIDERS, INBOUND_REPORTS)])
    return riders, reports


def _declared(access: Access, code: str, name: str) -> AnyTopic:
    own = name.removeprefix(access.cluster.topic_prefix)
    return next(topic for topic in registry.topics() if topic.place == "company" and topic.member(code) == own)


def _kept(ms: int) -> str:
    if ms < 0:
        return "每键最新者长期保留 the latest of each key kept for good"
    hours = ms // _HOUR_MS
    return f"保留 kept {hours // 24} d" if hours % 24 == 0 else f"保留 kept {hours} h"


def _rider() -> dict[str, Any]:
    return {"external_id": "test-1", "name": "联调", "consent_at": _ago(hours=1)}


def _report(number: str, place: Place) -> dict[str, Any]:
    return {
        "external_id": number,
        "rider": "test-1",
        "kind": TEST_KIND,
        "place": {"lng": place.lng, "lat": place.lat, "datum": "wgs84"},
        "occurred_at": _ago(minutes=2),
        "text": "联调，请忽略 / a test, please ignore",
    }


def _ago(**spans: float) -> str:
    return (clock.now() - timedelta(**spans)).isoformat(timespec="seconds")


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)
