"""A dispatch centre: it keeps the latest state of every case. Run as many as you like, they share the partitions."""

import json
import os
import signal
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

ENV, CODE, PREFIX = os.environ, os.environ["BEEGRID_CODE"], os.environ.get("BEEGRID_PREFIX", "beegrid.")
STATE = Path(ENV["BEEGRID_STATE"])  # a file a case; in earnest a row in your database
ACCESS = {
    "bootstrap.servers": ENV["BEEGRID_KAFKA"],
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": ENV["BEEGRID_USER"],
    "sasl.password": ENV["BEEGRID_PASSWORD"],
    "security.protocol": "SASL_SSL" if "BEEGRID_CA" in ENV else "SASL_PLAINTEXT",
    **({"ssl.ca.location": ENV["BEEGRID_CA"]} if "BEEGRID_CA" in ENV else {}),
}
GROUP = {
    "group.id": f"{PREFIX}system-{CODE}.{ENV.get('BEEGRID_GROUP', 'dispatch')}",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}


def handle(case_id: str, version: int, case: dict | None) -> str:
    """Keep a case's state unless a later one is known. Doing it twice, or half and then again, changes nothing."""
    file = STATE / f"{case_id}.json"
    known = json.loads(file.read_text()) if file.exists() else {"version": 0, "case": None}
    # a record without a value has the version of the state that leaves
    leaves = case is None and known["case"] is not None and version == known["version"]
    if version <= known["version"] and not leaves:
        return "repeated"
    fresh = STATE / f"{case_id}.{os.getpid()}"
    fresh.write_text(json.dumps({"version": version, "case": case}))
    fresh.rename(file)  # all of it or nothing
    return "left" if case is None else case["state"]


def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
    print("assigned", *sorted(one.partition for one in partitions), flush=True)


working = [True]
signal.signal(signal.SIGTERM, lambda *_: working.clear())
STATE.mkdir(parents=True, exist_ok=True)
consumer = Consumer({**ACCESS, **GROUP})
consumer.subscribe([f"{PREFIX}public.case-changed.v1"], on_assign=assigned)
while working:
    message = consumer.poll(0.5)
    if message is None:
        continue
    if message.error():
        raise SystemExit(str(message.error()))
    headers = dict(message.headers() or ())
    key, version = message.key().decode(), int(headers["ce_aggregateversion"])
    done = handle(key, version, json.loads(message.value()) if message.value() else None)
    print("case", key, version, done, flush=True)
    consumer.commit(message, asynchronous=False)  # only now: whoever is killed before it reads the record again
consumer.close()  # the others of the group take over at once
