"""Searches everything that a running suite keeps for what must not be there any more."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

import redis
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from shared.devtools.infra.postgres import binaries
from shared.devtools.suite import Suite
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Latest
from tests.kit.messaging.compacted import days_pass

TIMEOUT_S = 30.0
Ends = dict[tuple[str, int], tuple[int, int]]
"""(topic, partition) → (first, next) offset."""


@dataclass
class Canary:
    """What belongs to one person alone: name → text as it was written."""

    needles: Mapping[str, str]

    def hits(self, content: bytes) -> set[str]:
        """Names of the needles in some bytes, in whatever form they were written."""
        return {name for name, forms in self._forms.items() if any(form in content for form in forms)}

    @cached_property
    def _forms(self) -> dict[str, set[bytes]]:
        return {name: set(forms_of(text)) for name, text in self.needles.items()}


def forms_of(text: str) -> Iterator[bytes]:
    """UTF-8, two-byte encodings, digits in full width, JSON's escapes, base64 at each of its three alignments; and all
    of these as a dump writes bytes: hex.
    """
    plain = text.encode()
    wide = text.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)}).encode()
    two_bytes = (text.encode("utf-16-le"), text.encode("utf-16-be"))
    inner = [
        base64.b64encode(b"\0" * shift + plain)[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]
        for shift in range(3)
    ]
    for form in {plain, wide, *two_bytes, json.dumps(text)[1:-1].encode(), *inner}:
        yield form
        yield form.hex().encode()


class Places:
    """Postgres, every topic, logs, the object store and Redis of one suite."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        made = suite.installation
        self.prefix = made.topic_prefix
        self._config = made.cluster.admin.config(made.cluster.bootstrap)
        self.admin = AdminClient(self._config)
        self.photos = Path(unquote(urlparse(suite.overrides["BEEGRID_PHOTO_STORE_URL"]).path))

    def search(self, canary: Canary) -> dict[str, set[str]]:
        """Place → needles found there; {} when there is none."""
        found: dict[str, set[str]] = {}
        contents = (self.dumped(), self.records(self.ends()), self.logged(), self.stored(), self.cached())
        for place, content in (pair for source in contents for pair in source):
            if hits := canary.hits(content):
                found.setdefault(place, set()).update(hits)
        return found

    def dumped(self) -> Iterator[tuple[str, bytes]]:
        """pg_dump of the whole database, table by table's lines."""
        url = self._suite.installation.infra.postgres_admin_url
        database = urlparse(url)._replace(path=f"/{self._suite.installation.name}").geturl()
        command = [str(binaries() / "bin" / "pg_dump"), "--data-only", f"--dbname={database}"]
        dump = subprocess.run(command, capture_output=True, check=True, timeout=120)
        table = "postgres"
        for line in dump.stdout.split(b"\n"):
            if line.startswith(b"COPY "):
                table = "postgres " + line.split(b" ")[1].decode()
            yield table, line

    def ends(self) -> Ends:
        """First and next offset of every partition of every topic, dead-letter partners included."""
        topics = self.admin.list_topics(timeout=TIMEOUT_S).topics
        places = [
            TopicPartition(name, number)
            for name, topic in topics.items()
            if name.startswith(self.prefix)
            for number in topic.partitions
        ]
        first, after = (self._offsets(places, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))  # type: ignore[no-untyped-call]  # the library's own
        return {place: (first[place], after[place]) for place in first}

    def _offsets(self, places: Iterable[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        answers = self.admin.list_offsets(dict.fromkeys(places, spec), request_timeout=TIMEOUT_S)
        return {(one.topic, one.partition): answer.result().offset for one, answer in answers.items()}

    def records(self, ends: Ends) -> Iterator[tuple[str, bytes]]:
        """Key, value and headers of the records between these offsets."""
        left = {place: after for place, (first, after) in ends.items() if first < after}
        consumer = Consumer({**self._config, "group.id": f"{self.prefix}canary", "enable.auto.commit": False})
        try:
            consumer.assign([TopicPartition(*place, ends[place][0]) for place in left])
            while left:
                message = consumer.poll(TIMEOUT_S)
                assert message is not None and message.error() is None, f"these end before {left}"
                place = (str(message.topic()), int(message.partition() or 0))
                at = (message.offset() or 0) + 1
                if place not in left:  # it grows meanwhile
                    continue
                if at >= left[place]:
                    del left[place]
                headers = b"".join(name.encode() + (value or b"") for name, value in message.headers() or ())
                content = (message.key() or b"") + (message.value() or b"") + headers
                yield f"topic {place[0].removeprefix(self.prefix)}", content
        finally:
            consumer.close()

    async def expire(self) -> None:
        """What retention does in days, at once: facts leave topics, and of states what is superseded."""
        await asyncio.to_thread(self._expire_records)
        await days_pass(self._suite.installation, *self._states())

    def _states(self) -> list[AnyTopic]:
        return [topic for topic in topics() if isinstance(topic.kept, Latest)]

    def _expire_records(self) -> None:
        states = {self.prefix + topic.name for topic in self._states()}
        ends = ((place, after) for place, (_, after) in self.ends().items() if place[0] not in states)
        upto = [TopicPartition(*place, after) for place, after in ends]
        for answer in self.admin.delete_records(upto, request_timeout=TIMEOUT_S).values():
            answer.result()

    def logged(self) -> Iterator[tuple[str, bytes]]:
        """Logs of all processes."""
        for file in self._suite.logs.rglob("*.log"):
            yield f"log {file.name}", file.read_bytes()

    def stored(self) -> Iterator[tuple[str, bytes]]:
        """Names and contents of the object store."""
        for file in self.photos.rglob("*"):
            if file.is_file():
                yield "object", file.name.encode() + file.read_bytes()

    def cached(self) -> Iterator[tuple[str, bytes]]:
        """Keys and values of the suite's Redis."""
        with redis.Redis.from_url(self._suite.installation.environment("intake")["BEEGRID_REDIS_URL"]) as client:
            for key in client.scan_iter():
                yield "redis", key + (client.dump(key) or b"")
