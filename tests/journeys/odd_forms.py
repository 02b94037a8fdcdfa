"""What a company may send about a rider, in forms that the suite refuses: as poison on its topics, and over HTTP."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from shared.kit.auth import signed_headers
from shared.kit.ids import new_id
from shared.synthetic.door import Target
from shared.synthetic.opening import producer_of
from shared.synthetic.people import Company

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
WIDE = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
JSON = "application/json"


@dataclass(frozen=True)
class Odd:
    """One record or request. `kind`: which of the company's topics; `attributes`: of a CloudEvent in binary mode."""

    name: str
    kind: str
    value: bytes
    key: bytes | None = None
    media_type: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def odd_forms(report: dict[str, Any], name: str) -> Iterator[Odd]:
    """Forms of a report, which must be one that is refused, and of its rider's registration.

    `report`: as a plain body; its rider's number stands under `rider`.
    """
    number, plain = report["rider"], orjson.dumps(report)
    stated = {"specversion": "1.0", "id": new_id().hex, "source": "/suda", "type": "report"}
    wrapped = {**stated, "data": report}
    packed = {**stated, "id": new_id().hex, "data_base64": base64.b64encode(plain).decode()}
    yield Odd("structured", "reports", orjson.dumps(wrapped), media_type=STRUCTURED)
    yield Odd("structured, packed", "reports", orjson.dumps(packed), media_type=STRUCTURED)
    yield Odd("structured, undeclared", "reports", orjson.dumps(wrapped))
    yield Odd("binary", "reports", plain, attributes={**stated, "id": new_id().hex, "subject": number})
    yield Odd("batched", "reports", orjson.dumps([wrapped, packed]), media_type=BATCHED)
    yield Odd("full width", "reports", orjson.dumps({**report, "rider": number.translate(WIDE)}))
    yield Odd("mark of order", "reports", b"\xef\xbb\xbf" + plain)
    yield Odd("two bytes", "reports", plain.decode().encode("utf-16"))
    yield Odd("a list", "reports", orjson.dumps({**report, "rider": [number]}))
    yield Odd("cut", "reports", plain[:-1])
    registration = orjson.dumps({"external_id": number, "name": name})
    yield Odd("in the key alone", "riders", orjson.dumps({"name": name})[:-1], key=number.encode())
    yield Odd("full width in the key", "riders", orjson.dumps({"name": name})[:-1], number.translate(WIDE).encode())
    yield Odd("registered in a batch", "riders", b"[" + registration + b"]", media_type=BATCHED)


async def as_poison(target: Target, company: Company, prefix: str, forms: list[Odd]) -> None:
    """Each a record of the company's topics."""
    producer: AIOKafkaProducer
    async with producer_of(target.cluster, company) as producer:
        for odd in forms:
            headers = [(f"ce_{name}", text.encode()) for name, text in odd.attributes.items()]
            if odd.media_type:
                headers.append(("content-type", odd.media_type.encode()))
            topic = f"{prefix}inbound.{company.code}.{odd.kind}.v1"
            await producer.send_and_wait(topic, odd.value, key=odd.key, headers=headers)


async def over_http(target: Target, company: Company, forms: list[Odd]) -> dict[str, int]:
    """Each report a signed request; the answers' status by the form's name."""
    answers = {}
    async with httpx.AsyncClient(base_url=target.url, trust_env=False, timeout=30) as client:
        for odd in (one for one in forms if one.kind == "reports"):
            path = "/v1/reports:batch" if odd.media_type == BATCHED else "/v1/reports"
            headers = signed_headers(
                company=company.code, secret=company.secret, method="POST", target=path, body=odd.value
            )
            headers |= {"content-type": odd.media_type or JSON}
            headers |= {f"ce-{name}": text for name, text in odd.attributes.items()}
            answers[odd.name] = (await client.post(path, content=odd.value, headers=headers)).status_code
    return answers
