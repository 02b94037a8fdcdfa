"""Words for people on the generated pages. A name that isn't listed appears under its own name: nothing breaks."""

from collections.abc import Sequence

from shared.events.registry import AnyTopic, topics
from shared.provision.services import about, in_place, service_names

OUTSIDE = {
    "company": ("平台企业", "company"),
    "city-system": ("城市系统", "city systems"),
    "service": ("任一服务", "any service"),
}
JOURNEYS = {
    "catalogue": ("目录", "What may be said: kinds, departments, areas, codes"),
    "map": ("地图启用", "A map comes into force"),
    "registration": ("报到", "A company and its riders become known"),
    "report": ("随手拍", "From a rider's photo to a closed case"),
    "deed": ("做了就有积分", "From a deed to points"),
    "tasks": ("用心做", "From a task to a deed"),
    "screening": ("反作弊", "Points that look farmed wait for a person"),
    "badges": ("徽章", "What riders have reached"),
    "stations": ("驿站", "Where riders can rest, and whether it is open"),
    "activities": ("活动", "Activities and their places"),
    "redemption": ("积分兑换", "From points to a gift"),
}


def party(name: str) -> tuple[str, str]:
    """Chinese and English label of a service or of somebody outside."""
    if name in OUTSIDE or name not in service_names():
        return OUTSIDE.get(name, (name, name))
    return about(name).zh, about(name).en


def parties() -> list[str]:
    """Services and those outside, in the order in which pictures show them: companies first, city systems last."""
    return ["company", "service", *in_place(), "city-system"]


def journey(name: str) -> tuple[str, str]:
    """Chinese and English title of a journey."""
    return JOURNEYS.get(name, (name, name))


def all_topics() -> list[AnyTopic]:
    """Every topic, journeys in the order in which a reader meets them."""
    journeys = in_order({topic.journey for topic in topics()}, list(JOURNEYS))
    return sorted(topics(), key=lambda topic: (journeys.index(topic.journey), topic.step, topic.name))


def in_order(names: set[str], known: Sequence[str]) -> list[str]:
    """Known names in the order above, then the others by alphabet, those outside the suite at the edges."""
    ordered = [name for name in known if name in names]
    unknown = sorted(names - set(known))
    if ordered and ordered[-1] == "city-system":
        return [*ordered[:-1], *unknown, ordered[-1]]
    return [*ordered, *unknown]
