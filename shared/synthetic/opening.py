"""What stands before a day begins: the city, its companies and their riders."""

import asyncio
import base64
from collections.abc import Callable, Sequence

import orjson
from aiokafka import AIOKafkaProducer

from shared.kit import clock
from shared.provision.topology import Cluster, company_user, provision_company
from shared.synthetic.city import Area, feature_collection, grids
from shared.synthetic.door import Door
from shared.synthetic.people import COMPANIES, Company, Wanted

FEATURES_PER_REQUEST = 200
OUTLETS = 198
_NOT_SENT = ("version", "effective_from", "set_by")


async def import_city(door: Door, more: Sequence[Area] = ()) -> int:
    """Import the demo city's grids and put them into force, with `more` areas; returns their number."""
    version = (await door.post("/v1/areas/versions", {"label": "钱塘 虚构边界 / invented cells"}))["version_id"]
    features = feature_collection([*grids(), *more])["features"]
    for start in range(0, len(features), FEATURES_PER_REQUEST):
        part = {"type": "FeatureCollection", "features": features[start : start + FEATURES_PER_REQUEST]}
        await door.post(f"/v1/areas/versions/{version}/features", part)
    await door.post(f"/v1/areas/versions/{version}/activate")
    return len(features)


async def register_company(door: Door, code: str, name: str) -> bytes:
    """Register a company; the secret with which it signs."""
    made = await door.post("/v1/companies", {"code": code, "name": name})
    return base64.b64decode(made["key"]["secret"].removeprefix("whsec_"))


async def register_companies(door: Door, wanted: Sequence[Wanted] = COMPANIES) -> list[Company]:
    """Register the companies, take their keys, and give them their inbound topics."""
    companies = []
    for code, name, kind, riders in wanted:
        company = Company(code, name, kind, riders)
        company.secret = await register_company(door, code, name)
        await asyncio.to_thread(provision_company, door.target.cluster, code, company.kafka_password)
        companies.append(company)
    for number, company in enumerate(companies):
        outlets = [
            {"code": f"{company.code}-{n:03d}", "name": f"{company.name}第{n + 1}网点"}
            for n in range(OUTLETS // len(companies) + (number < OUTLETS % len(companies)))
        ]
        await door.signed(company.code, company.secret, "/v1/outlets:batch", {"items": outlets})
    return companies


async def let_time_be_short(door: Door) -> None:
    """Switch off what screening finds by times: of synthetic people, whose day takes minutes, each is everywhere at
    once. Pictures and company are looked at as ever.
    """
    current = (await door.get("/v1/screening/limits"))["current"]
    wanted = {name: value for name, value in current.items() if name not in _NOT_SENT}
    off = dict.fromkeys(("velocity_score", "day_score", "travel_score", "quick_score"), 0)
    said = {"after_version": current["version"], "reason": "a synthetic day takes minutes"}
    await door.put("/v1/screening/limits", {**wanted, **off, **said})


def producer_of(cluster: Cluster, company: Company) -> AIOKafkaProducer:
    """Kafka as the company has it: its own user, which may write its own topics only."""
    return AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=cluster.user_prefix + company_user(company.code),
        sasl_plain_password=company.kafka_password,
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
    )


async def register_riders(door: Door, companies: list[Company], on_known: Callable[[int], None]) -> int:
    """Each company streams its riders over Kafka; returns when intake knows all of them."""
    now = clock.now()
    total = sum(company.riders for company in companies)
    for company in companies:
        topic = f"{door.target.cluster.topic_prefix}inbound.{company.code}.riders.v1"
        async with producer_of(door.target.cluster, company) as producer:
            for number in range(company.riders):
                body = company.rider_body(number, now)
                await producer.send(topic, orjson.dumps(body), key=body["external_id"].encode())
            await producer.flush()
    while (known := (await door.get("/ops/intake/status"))["tallies"]["riders"]) < total:
        on_known(known)
        await asyncio.sleep(0.3)
    on_known(total)
    return total
