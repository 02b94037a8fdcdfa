"""The pictures of the flow stay readable when the suite has grown: thirty topics, twenty services."""

import math
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
import shapely
from pydantic import BaseModel
from shapely import affinity

from shared.devtools.gen import flow, flow_svg, labels
from shared.events.registry import AnyTopic
from shared.events.topic import Audience, Facts, Topic

SVG = "{http://www.w3.org/2000/svg}"
PAGE_PX = 1200
READABLE_PX = 12
SERVICES = [f"service-number-{number:02d}" for number in range(1, 21)]


class Body(BaseModel):
    """Any event."""

    id: str


def grown() -> list[AnyTopic]:
    """Five journeys of six topics; one topic of each is read by every service."""
    found = []
    for number in range(30):
        writer = SERVICES[number * 7 % 20]
        step, journey = number % 6 + 1, f"journey-{number // 6}"
        few = tuple(SERVICES[(number * 3 + n * 5) % 20] for n in range(1, 4))
        readers = tuple(name for name in (SERVICES if step == 3 else few) if name != writer)
        readers = (*readers, "city-system") if step == 6 else readers
        found.append(
            Topic(
                name=f"{writer}.something-long-has-changed-{number:02d}.v1",
                model=Body,
                key="id",
                producer="company" if step == 1 else writer,
                consumers=readers,
                audience=Audience.PUBLIC if step == 6 else Audience.INTERNAL,
                journey=journey,
                step=step,
                summary="Something has changed.",
                kept=Facts(hours=168),
                partitions=6,
            )
        )
    return found


def texts(picture: str) -> list[tuple[str, float, shapely.Polygon]]:
    """Each text with its size and the box that it takes at most; Chinese letters are squares."""
    found = []
    for node in ET.fromstring(picture).iter(f"{SVG}text"):
        words, size = "".join(node.itertext()), float(node.get("font-size", "0"))
        x, y = float(node.get("x", "0")), float(node.get("y", "0"))
        width = sum(size * (1.0 if ord(letter) > 0x2E80 else 0.6) for letter in words)
        left = {"middle": x - width / 2, "end": x - width}.get(node.get("text-anchor", ""), x)
        box = shapely.box(left, y - 0.75 * size, left + width, y + 0.2 * size)
        if turn := node.get("transform"):
            degrees, about_x, about_y = (float(part) for part in turn.removeprefix("rotate(").rstrip(")").split())
            box = affinity.rotate(box, math.radians(degrees), origin=(about_x, about_y), use_radians=True)
        found.append((words, size, box))
    return found


def faults(picture: str) -> list[str]:
    """Texts that are too small on a page, lie over one another, or run out of the picture."""
    root, found = ET.fromstring(picture), []
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    shrunk = min(1.0, PAGE_PX / width)
    whole = shapely.box(0, 0, width, height)
    for words, size, box in texts(picture):
        if size * shrunk < READABLE_PX:
            found.append(f"{words}: {size * shrunk:.1f} px")
        if not whole.contains(box):
            found.append(f"{words}: runs out")
    for (one, _, first), (other, _, second) in combinations(texts(picture), 2):
        if first.intersects(second):
            found.append(f"{one} over {other}")
    return found


def test_pictures_of_today_and_of_a_grown_suite_are_readable() -> None:
    for topics in (labels.all_topics(), grown()):
        pictures = {name: text for name, text in flow.page(topics).items() if name.endswith(".svg")}
        assert len(pictures) == len({topic.journey for topic in topics})
        for name, picture in pictures.items():
            assert faults(picture) == [], name
        assert all(any(topic.name in text for text in pictures.values()) for topic in topics)


@pytest.mark.parametrize(
    ("what", "value", "said"),
    [("BOXED_MAX", 99, " over "), ("WIDTH_MAX", 2800, " px"), ("SLANTED_HEIGHT", 20, "runs out")],
)
def test_an_unreadable_picture_is_found(monkeypatch: pytest.MonkeyPatch, what: str, value: int, said: str) -> None:
    monkeypatch.setattr(flow_svg, what, value)
    found = [fault for name, text in flow.page(grown()).items() if name.endswith(".svg") for fault in faults(text)]
    assert any(said in fault for fault in found), found[:5]
