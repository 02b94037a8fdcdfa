"""A platform company: it registers a rider, files reports over Kafka, and reads what becomes of each of them."""

import json
import os
import time
import uuid
from datetime import UTC, datetime

from confluent_kafka import Consumer, Message, Producer
from webhooks import receive

ENV, CODE, PREFIX = os.environ, os.environ["BEEGRID_CODE"], os.environ.get("BEEGRID_PREFIX", "beegrid.")
RIDERS, REPORTS = f"{PREFIX}inbound.{CODE}.riders.v1", f"{PREFIX}inbound.{CODE}.reports.v1"
ANSWERS, LETTERS = f"{PREFIX}outbound.{CODE}.reports.v1", f"{REPORTS}.dlq"
ACCESS = {
    "bootstrap.servers": ENV["BEEGRID_KAFKA"],
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": ENV["BEEGRID_USER"],
    "sasl.password": ENV["BEEGRID_PASSWORD"],
    "security.protocol": "SASL_SSL" if "BEEGRID_CA" in ENV else "SASL_PLAINTEXT",
    **({"ssl.ca.location": ENV["BEEGRID_CA"]} if "BEEGRID_CA" in ENV else {}),
}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
NOW, RUN = datetime.now(UTC).isoformat(), uuid.uuid4().hex[:8]
LNG, LAT = map(float, ENV["BEEGRID_PLACE"].split(","))


def event(body: dict, *, structured: bool) -> tuple[str, dict[str, str]]:
    """CloudEvents 1.0, whichever way your library writes them: one JSON object, or headers beside the body."""
    said = {"specversion": "1.0", "id": body["external_id"], "source": "/dispatch", "type": "filed"}
    if structured:
        whole = {**said, "datacontenttype": "application/json", "data": body}
        return json.dumps(whole), {"content-type": "application/cloudevents+json"}
    headers = {f"ce_{name}": text for name, text in said.items()}
    return json.dumps(body), {"content-type": "application/json", **headers}


def report(number: str, kind: str) -> dict:
    place = {"lng": LNG, "lat": LAT, "datum": "wgs84", "accuracy_m": 8}
    return {"external_id": number, "rider": "python-1", "kind": kind, "place": place, "occurred_at": NOW}


def answered(message: Message, known: dict[str, int]) -> tuple[str, str]:
    """Whose record it is, and what it says."""
    key, headers = (message.key() or b"").decode(errors="replace"), dict(message.headers() or ())
    if message.topic() == LETTERS:
        return f"letter {key}", headers["dlq-code"].decode()
    version = int(headers["ce_aggregateversion"])
    if 0 < version <= known.get(key, 0):  # at least once: the same, or an older one, changes nothing
        return key, "repeated"
    known[key] = max(version, known.get(key, 0))  # 0: no report (yet). In earnest: in your database
    return key, json.loads(message.value())["stage"]


webhooks = receive()
waiting = {"webhook": "webhook.test"}
producers = {one: Producer({**ACCESS, "enable.idempotence": True, "compression.type": one}) for one in CODECS}
value, headers = event({"external_id": "python-1", "name": "示例", "consent_at": NOW}, structured=True)
producers["zstd"].produce(RIDERS, value, "python-1", headers=headers)
for codec in CODECS:
    for structured in (False, True):
        number = f"python-{RUN}-{codec}-{'structured' if structured else 'binary'}"
        value, headers = event(report(number, "local-connection-test"), structured=structured)
        for _ in range(2):  # whoever isn't sure sends again: the same number with the same content counts once
            producers[codec].produce(REPORTS, value, number, headers=headers)
        waiting[number] = "in_case"
bad = f"python-{RUN}-bad"
producers["none"].produce(REPORTS, json.dumps(report(bad, "no-such-kind")), bad)
waiting |= {bad: "refused", f"letter {bad}": "unknown_kind"}
assert not any(one.flush(30) for one in producers.values()), "everything is acknowledged"

group = {"group.id": f"{PREFIX}company-{CODE}.python", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
consumer, known, until = Consumer({**ACCESS, **group}), {}, time.monotonic() + 90
consumer.subscribe([ANSWERS, LETTERS])
while waiting and time.monotonic() < until:
    found = [("webhook", kind) for kind in list(webhooks.taken.values())]
    if (message := consumer.poll(0.5)) is not None and message.error() is None:
        found.append(answered(message, known))
        consumer.commit(message, asynchronous=False)  # only now: whoever is killed before it reads the record again
    for name, what in found:
        if waiting.get(name) == what:
            print(f"{name}: {waiting.pop(name)}", flush=True)
consumer.close()
raise SystemExit(f"missing: {waiting}" if waiting else 0)
