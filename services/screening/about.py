"""What others need to know of screening."""

from shared.kit.about import About, Size

ABOUT = About(
    zh="反作弊",
    en="screening",
    does_zh="发现可疑上报，交人工复核",
    does_en="finds reports that look farmed, for people to decide on",
    paths=("/v1/screening*",),
    limit="a batch reads a day of each of its riders, at most 300 reports each",
    size=Size(cpu_m=100, pods_max=4),
    place=5,
)
