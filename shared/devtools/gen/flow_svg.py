"""The picture of the flow: one column a party, one line a topic, from its writer to its readers.

Drawn by hand instead of by a graph layout: a new topic adds one line and moves nothing else, so that the
difference of two versions of the picture is readable.
"""

from collections.abc import Sequence
from html import escape

from shared.devtools.gen import labels
from shared.events.registry import AnyTopic
from shared.events.topic import Audience

MARGIN = 28
LETTER_WIDTH = 7.6
COLUMN_WIDTH = 122
HEADER_HEIGHT = 118
BAND_TITLE_HEIGHT = 40
ROW_HEIGHT = 46
BAND_GAP = 16
LEGEND_HEIGHT = 44
COLOURS = ("#0f766e", "#b45309", "#7c3aed", "#be185d", "#1d4ed8")
INK = "#1f2937"
QUIET = "#6b7280"
FONT = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei','Helvetica Neue',Arial,sans-serif"
MONO = "'JetBrains Mono','SFMono-Regular',Consolas,Menlo,monospace"
OUTSIDE = ("company", "city-system")


def _text(x: float, y: float, words: str, size: float, *, colour: str = INK, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" {more}>{escape(words)}</text>'


def _party(x: float, name: str, bottom: float) -> list[str]:
    chinese, english = labels.party(name)
    outside = name in OUTSIDE
    fill, edge, ink = ("#ffffff", "#9ca3af", INK) if outside else ("#1f2937", "#1f2937", "#ffffff")
    dash = ' stroke-dasharray="4 3"' if outside else ""
    return [
        f'<line x1="{x:g}" y1="{HEADER_HEIGHT:g}" x2="{x:g}" y2="{bottom:g}" stroke="#d1d5db" stroke-dasharray="2 4"/>',
        f'<rect x="{x - 54:g}" y="66" width="108" height="46" rx="9" fill="{fill}" stroke="{edge}"{dash}/>',
        _text(x, 86, chinese, 15, colour=ink, more='text-anchor="middle" font-weight="600"'),
        _text(x, 103, english, 11.5, colour="#d1d5db" if not outside else QUIET, more='text-anchor="middle"'),
    ]


def _topic(topic: AnyTopic, y: float, columns: dict[str, float], colour: str) -> list[str]:
    start = columns[topic.producer]
    ends = [columns[name] for name in topic.consumers]
    left, right = min(start, *ends), max(start, *ends)
    parts = [
        f'<line x1="{left:g}" y1="{y:g}" x2="{right:g}" y2="{y:g}" stroke="{colour}" stroke-width="2.2" '
        'stroke-linecap="round"/>'
    ]
    for end in ends:
        # the arrow's head points away from the writer and touches the reader's column
        back = -9 if end > start else 9
        parts.append(
            f'<path d="M{end:g} {y:g} l{back:g} -5.5 v11 z" fill="{colour}" stroke="#ffffff" stroke-width="1.2" '
            'paint-order="stroke"/>'
        )
    parts.append(
        f'<circle cx="{start:g}" cy="{y:g}" r="9" fill="{colour}" stroke="#ffffff" stroke-width="2"/>'
        + _text(start, y + 3.8, str(topic.step), 11, colour="#ffffff", more='text-anchor="middle" font-weight="700"')
    )
    label = topic.name + (" · 公开 public" if topic.audience is Audience.PUBLIC else "")
    style = f'font-family="{MONO}" stroke="#ffffff" stroke-width="4" paint-order="stroke" stroke-linejoin="round"'
    # the label stands over the line, on the side where the line goes, unless it would run out of the picture
    fits = start + LETTER_WIDTH * len(label) < MARGIN + COLUMN_WIDTH * len(columns)
    if fits and right - start >= start - left:
        parts.append(_text(start + 14, y - 8, label, 12, more=style))
    else:
        parts.append(_text(start - 14, y - 8, label, 12, more=f'{style} text-anchor="end"'))
    return parts


def _legend(y: float, width: float) -> list[str]:
    chinese = "圆点为写入方,箭头为读取方,每个主题都有死信伙伴 .dlq"
    words = f"{chinese} · dot: writer, arrow: reader; every topic has a .dlq partner"
    return [_text(width / 2, y, words, 12, colour=QUIET, more='text-anchor="middle"')]


def draw(topics: Sequence[AnyTopic]) -> str:
    """The SVG's text for topics in the order given."""
    names = {topic.producer for topic in topics} | {name for topic in topics for name in topic.consumers}
    parties = labels.in_order(names, labels.parties())
    columns = {name: MARGIN + COLUMN_WIDTH * (number + 0.5) for number, name in enumerate(parties)}
    width = 2 * MARGIN + COLUMN_WIDTH * len(parties)
    bands: list[str] = []
    rows: list[str] = []
    y = float(HEADER_HEIGHT + BAND_GAP)
    for number, name in enumerate(dict.fromkeys(topic.journey for topic in topics)):
        colour = COLOURS[number % len(COLOURS)]
        of_journey = [topic for topic in topics if topic.journey == name]
        height = BAND_TITLE_HEIGHT + ROW_HEIGHT * len(of_journey)
        chinese, english = labels.journey(name)
        bands.append(
            f'<rect x="{MARGIN / 2:g}" y="{y:g}" width="{width - MARGIN:g}" height="{height:g}" rx="12" '
            f'fill="{colour}" fill-opacity="0.07"/>'
        )
        rows.append(
            f'<text x="{MARGIN:g}" y="{y + 24:g}" font-size="15" fill="{colour}" font-weight="700">{escape(chinese)}'
            f'<tspan font-size="12.5" font-weight="400" dx="10">{escape(english)}</tspan></text>'
        )
        for row, topic in enumerate(of_journey):
            rows += _topic(topic, y + BAND_TITLE_HEIGHT + ROW_HEIGHT * (row + 0.62), columns, colour)
        y += height + BAND_GAP
    heads = [part for name in parties for part in _party(columns[name], name, y - BAND_GAP)]
    total = y + LEGEND_HEIGHT - BAND_GAP
    title = _text(MARGIN, 38, "事件流", 22, more='font-weight="700"') + _text(
        MARGIN + 78, 38, "How events travel through BeeGrid", 15, colour=QUIET
    )
    body = "\n".join([title, *bands, *heads, *rows, *_legend(total - 16, width)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {total:g}" width="{width:g}" '
        f'height="{total:g}" '
        f'font-family="{FONT}" role="img" aria-label="事件流 / how events travel">\n'
        f'<rect width="{width:g}" height="{total:g}" rx="14" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
