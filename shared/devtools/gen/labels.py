"""Words for people on the generated pages. A name that isn't listed appears under its own name: nothing breaks."""

from shared.events.registry import AnyTopic, topics

PARTIES = {
    "company": ("平台企业", "company"),
    "riders": ("骑手档案", "riders"),
    "intake": ("报告受理", "intake"),
    "routing": ("网格分派", "routing"),
    "cases": ("案件处置", "cases"),
    "points": ("积分账本", "points"),
    "rewards": ("兑换", "rewards"),
    "notifications": ("通知", "notifications"),
    "tracking": ("进度公开", "tracking"),
    "city-system": ("城市系统", "city systems"),
}
JOURNEYS = {
    "map": ("地图启用", "A map comes into force"),
    "registration": ("报到", "A company and its riders become known"),
    "report": ("随手拍", "From a rider's photo to a closed case"),
    "redemption": ("积分兑换", "From points to a gift"),
}


def party(name: str) -> tuple[str, str]:
    """Chinese and English label of a service or of somebody outside."""
    return PARTIES.get(name, (name, name))


def journey(name: str) -> tuple[str, str]:
    """Chinese and English title of a journey."""
    return JOURNEYS.get(name, (name, name))


def all_topics() -> list[AnyTopic]:
    """Every topic, journeys in the order in which a reader meets them."""
    journeys = in_order({topic.journey for topic in topics()}, JOURNEYS)
    return sorted(topics(), key=lambda topic: (journeys.index(topic.journey), topic.step, topic.name))


def in_order(names: set[str], known: dict[str, tuple[str, str]]) -> list[str]:
    """Known names in the order above, then the others by alphabet, those outside the suite at the edges."""
    ordered = [name for name in known if name in names]
    unknown = sorted(names - set(known))
    if ordered and ordered[-1] == "city-system":
        return [*ordered[:-1], *unknown, ordered[-1]]
    return [*ordered, *unknown]
