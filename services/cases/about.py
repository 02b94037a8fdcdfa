"""What others need to know of cases."""

from shared.kit.about import About, Size

ABOUT = About(
    zh="案件处置",
    en="cases",
    does_zh="立案或并案，逐步办理",
    does_en="opens or joins a case and leads it to its end",
    paths=("/v1/cases*",),
    limit="a busy place (one kind, 222 m) is one lock",
    size=Size(cpu_m=200),
    place=4,
)
