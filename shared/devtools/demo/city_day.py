"""What stands before the day begins: the city, its companies and riders, its merchants."""

import asyncio
import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from shared.cli.topology import company_user, provision_company
from shared.devtools.city import Area, feature_collection, grids
from shared.devtools.demo.door import Door
from shared.devtools.demo.target import Target
from shared.events.common import RiderKind
from shared.events.inbound_riders import RiderSubmission
from shared.kit import clock

FEATURES_PER_REQUEST = 200
Wanted = tuple[str, str, RiderKind, int]
"""Code, name, kind of riders and their number."""
COMPANIES: tuple[Wanted, ...] = (
    ("suda", "速达快递", "courier", 2_000),
    ("kuaisong", "快送外卖", "food_delivery", 1_600),
    ("anxing", "安行出行", "ride_hailing", 600),
)
OUTLETS = 198
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕施张孔曹严华金魏陶姜"
GIVEN = ("伟", "芳", "娜", "敏", "静", "强", "磊", "洋", "勇", "军", "杰", "娟", "涛", "明", "超", "霞", "平", "刚")
WITHOUT_CONSENT_EVERY = 200


@dataclass
class Company:
    """One platform company of the demo: how it signs and how it speaks to Kafka."""

    code: str
    name: str
    rider_kind: RiderKind
    riders: int
    secret: bytes = b""
    kafka_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def rider(self, number: int) -> str:
        """The company's own number of a rider."""
        return f"{self.code}-{number:05d}"


def person_name(number: int) -> str:
    """An invented name, the same for the same number."""
    return SURNAMES[number % len(SURNAMES)] + GIVEN[(number // len(SURNAMES)) % len(GIVEN)]


async def import_city(door: Door, more: Sequence[Area] = ()) -> int:
    """Import the demo city's grids and put them into force, with `more` areas; returns their number."""
    version = (await door.post("/v1/areas/versions", {"label": "钱塘 虚构边界 / invented cells"}))["version_id"]
    features = feature_collection([*grids(), *more])["features"]
    for start in range(0, len(features), FEATURES_PER_REQUEST):
        part = {"type": "FeatureCollection", "features": features[start : start + FEATURES_PER_REQUEST]}
        await door.post(f"/v1/areas/versions/{version}/features", part)
    await door.post(f"/v1/areas/versions/{version}/activate")
    return len(features)


async def register_companies(door: Door, wanted: Sequence[Wanted] = COMPANIES) -> list[Company]:
    """Register the companies, take their keys, and give them their inbound topics."""
    companies = []
    for code, name, kind, riders in wanted:
        company = Company(code, name, kind, riders)
        made = await door.post("/v1/companies", {"code": code, "name": name})
        company.secret = base64.b64decode(made["key"]["secret"].removeprefix("whsec_"))
        await asyncio.to_thread(provision_company, door.target.cluster, code, company.kafka_password)
        companies.append(company)
    for number, company in enumerate(companies):
        outlets = [
            {"code": f"{company.code}-{n:03d}", "name": f"{company.name}第{n + 1}网点"}
            for n in range(OUTLETS // len(companies) + (number < OUTLETS % len(companies)))
        ]
        await door.signed(company.code, company.secret, "/v1/outlets:batch", {"outlets": outlets})
    return companies


def producer_of(target: Target, company: Company) -> AIOKafkaProducer:
    """Kafka as the company has it: its own user, which may write its own topics only."""
    return AIOKafkaProducer(
        bootstrap_servers=target.cluster.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=target.cluster.user_prefix + company_user(company.code),
        sasl_plain_password=company.kafka_password,
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
    )


async def register_riders(door: Door, companies: list[Company], told: Callable[[int], None]) -> int:
    """Each company streams its riders over Kafka; returns when intake knows all of them."""
    now = clock.now()
    total = sum(company.riders for company in companies)
    for company in companies:
        topic = f"{door.target.cluster.topic_prefix}inbound.{company.code}.riders.v1"
        async with producer_of(door.target, company) as producer:
            for number in range(company.riders):
                body = RiderSubmission(
                    external_id=company.rider(number),
                    name=person_name(number),
                    kind=company.rider_kind,
                    outlet=f"{company.code}-{number % 60:03d}",
                    consent_at=None if number % WITHOUT_CONSENT_EVERY == 0 else now,
                )
                await producer.send(topic, body.model_dump_json().encode(), key=body.external_id.encode())
            await producer.flush()
    while (known := (await door.get("/ops/intake/status"))["tallies"]["riders"]) < total:
        told(known)
        await asyncio.sleep(0.3)
    told(total)
    return total
