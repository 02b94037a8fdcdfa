"""The picture of one journey: a column a party, a line a topic from its writer to its readers; no wider than a page.

Drawn by hand instead of by a graph layout: a new topic adds one line and moves nothing else, so that the
difference of two versions of the picture is readable.
"""

from collections.abc import Sequence
from html import escape

from shared.devtools.gen import labels
from shared.events.registry import AnyTopic
from shared.events.topic import Audience

WIDTH_MIN, WIDTH_MAX = 840.0, 1160.0
MARGIN = 28
LETTER_WIDTH = 7.9
COLUMN_WIDTH = 122
BOXED_MAX = int((WIDTH_MAX - 2 * MARGIN) / COLUMN_WIDTH)
"""Parties whose names stand in boxes; of more the columns are narrower, and the names stand slanted over them."""
SLANT_DEGREES, SLANTED_HEIGHT, BOX_HEIGHT = 40, 132, 52
ROW_HEIGHT = 46
COLOUR = "#0f766e"
INK, QUIET = "#1f2937", "#6b7280"
FONT = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei','Helvetica Neue',Arial,sans-serif"
MONO = "'JetBrains Mono','SFMono-Regular',Consolas,Menlo,monospace"
OUTSIDE = ("company", "city-system", "service")
LEGEND = "圆点写入，箭头读取，主题都有死信伙伴 .dlq · dot: writer, arrow: reader; every topic has a .dlq partner"


def _text(x: float, y: float, words: str, size: float, *, colour: str = INK, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" {more}>{escape(words)}</text>'


def _boxed(x: float, y: float, name: str) -> list[str]:
    outside = name in OUTSIDE
    fill, ink, quiet = ("#ffffff", INK, QUIET) if outside else (INK, "#ffffff", "#d1d5db")
    dash = ' stroke="#9ca3af" stroke-dasharray="4 3"' if outside else ""
    chinese, english = labels.party(name)
    middle = 'text-anchor="middle"'
    return [
        f'<rect x="{x - 56:g}" y="{y:g}" width="112" height="46" rx="9" fill="{fill}"{dash}/>',
        _text(x, y + 20, chinese, 15, colour=ink, more=f'{middle} font-weight="600"'),
        *([_text(x, y + 37, english, 12, colour=quiet, more=middle)] if english != chinese else []),
    ]


def _slanted(x: float, y: float, name: str) -> list[str]:
    words = " ".join(dict.fromkeys(labels.party(name)))
    turn = f'transform="rotate({-SLANT_DEGREES} {x:g} {y:g})"'
    return [_text(x, y, words, 13, colour=QUIET if name in OUTSIDE else INK, more=turn)]


def _topic(topic: AnyTopic, y: float, columns: dict[str, float], width: float) -> list[str]:
    start = columns[topic.producer]
    ends = [columns[name] for name in topic.consumers]
    left, right = min(start, *ends), max(start, *ends)
    parts = [
        f'<line x1="{left:g}" y1="{y:g}" x2="{right:g}" y2="{y:g}" stroke="{COLOUR}" stroke-width="2.2" '
        'stroke-linecap="round"/>'
    ]
    for end in ends:
        # the arrow's head points away from the writer and touches the reader's column
        back = -9 if end > start else 9
        parts.append(
            f'<path d="M{end:g} {y:g} l{back:g} -5.5 v11 z" fill="{COLOUR}" stroke="#ffffff" stroke-width="1.2" '
            'paint-order="stroke"/>'
        )
    parts.append(
        f'<circle cx="{start:g}" cy="{y:g}" r="10" fill="{COLOUR}" stroke="#ffffff" stroke-width="2"/>'
        + _text(start, y + 4.2, str(topic.step), 12, colour="#ffffff", more='text-anchor="middle" font-weight="700"')
    )
    label = topic.name + (" · 公开 public" if topic.audience is Audience.PUBLIC else "")
    style = f'font-family="{MONO}" stroke="#ffffff" stroke-width="4" paint-order="stroke" stroke-linejoin="round"'
    # the label stands over the line, on the side where the line goes, and is moved in where it would run out
    long = LETTER_WIDTH * len(label)
    x = start + 14 if right - start >= start - left else start - 14 - long
    return [*parts, _text(max(MARGIN, min(x, width - MARGIN - long)), y - 13, label, 13, more=style)]


def draw(topics: Sequence[AnyTopic]) -> str:
    """The SVG's text for the topics of one journey, in the order given; at most 1,160 px wide."""
    names = {topic.producer for topic in topics} | {name for topic in topics for name in topic.consumers}
    parties = labels.in_order(names, labels.parties())
    boxed = len(parties) <= BOXED_MAX
    # room for the last slanted name, which runs out to the right
    aside = 0 if boxed else SLANTED_HEIGHT
    pitch = min(COLUMN_WIDTH, (WIDTH_MAX - 2 * MARGIN - aside) / len(parties))
    width = max(WIDTH_MIN, 2 * MARGIN + pitch * len(parties) + aside)
    columns = {name: MARGIN + pitch * (number + 0.5) for number, name in enumerate(parties)}
    top = 62 + (BOX_HEIGHT if boxed else SLANTED_HEIGHT)
    bottom = top + 12 + ROW_HEIGHT * len(topics)
    chinese, english = labels.journey(topics[0].journey)
    parts = [
        f'<text x="{MARGIN:g}" y="38" font-size="20" fill="{INK}" font-weight="700">{escape(chinese)}'
        f'<tspan font-size="14" font-weight="400" fill="{QUIET}" dx="12">{escape(english)}</tspan></text>'
    ]
    for name, x in columns.items():
        parts.append(
            f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}" stroke="#d1d5db" stroke-dasharray="2 4"/>'
        )
        parts += _boxed(x, top - 46, name) if boxed else _slanted(x + 4, top - 6, name)
    for row, topic in enumerate(topics):
        parts += _topic(topic, top + 12 + ROW_HEIGHT * (row + 0.62), columns, width)
    parts.append(_text(MARGIN, bottom + 26, LEGEND, 12, colour=QUIET))
    size = f'width="{width:g}" height="{bottom + 40:g}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {bottom + 40:g}" {size} '
        f'font-family="{FONT}" role="img" aria-label="{escape(chinese)} / {escape(english)}">\n'
        f'<rect {size} rx="14" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
