"""What others need to know of routing."""

from shared.kit.about import About, Need, Size

ABOUT = About(
    zh="网格分派",
    en="routing",
    does_zh="找到上报所在的网格",
    does_en="finds the grid of a report",
    paths=("/v1/areas*", "/v1/catalogue*", "/v1/grids*", "/v1/routing*"),
    limit="memory grows with the map, 23 MB for 20,000 grids",
    size=Size(cpu_m=200, memory_mi=384, alone_mi=512),
    needs=(Need("a map in force", "grids", "reports are `unroutable`: they wait in the manual queue"),),
    place=3,
)
