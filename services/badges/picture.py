"""A badge as a picture: an SVG without scripts, fonts or anything from elsewhere."""

from html import escape

from services.badges.domain import Award

COLOURS = {"first": "#5b8c5a", "reports": "#2f6f9f", "points": "#b8860b", "streak": "#9c4a2f"}
OTHER = "#555555"
GONE = "#9a9a9a"
_HEXAGON = "160,20 272,85 272,215 160,280 48,215 48,85"


def svg(award: Award, handle: str, city: tuple[str, str], day: str, signature: str) -> str:
    """The badge of whoever has that handle. `day`: when it was awarded, in the city's zone; one that is no longer valid
    is grey."""
    colour = COLOURS.get(award.code.partition("-")[0], OTHER) if award.valid else GONE
    state = "" if award.valid else _line(232, 13, "已失效 / no longer valid")
    title = f"{award.zh} / {award.en}"
    return "".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 340" width="320" height="340" role="img" '
            f'aria-label="{escape(title)}"><title>{escape(title)}</title>',
            f'<polygon points="{_HEXAGON}" fill="{colour}" stroke="#ffffff" stroke-width="6"/>',
            _line(128, 30, award.zh), _line(160, 15, award.en), _line(196, 14, handle), state,
            _line(306, 12, f"{city[0]} {city[1]} · {day}", "#333333"),
            _line(326, 9, f"验证 verify /v1/badges/{award.award_id}/verify · {signature}", "#666666", fit=310),
            "</svg>",
        )
    )  # fmt: skip


def _line(y: int, size: int, text: str, colour: str = "#ffffff", fit: int = 0) -> str:
    length = f' textLength="{fit}" lengthAdjust="spacingAndGlyphs"' if fit else ""
    return (
        f'<text x="160" y="{y}" font-size="{size}" fill="{colour}" text-anchor="middle" '
        f'font-family="sans-serif"{length}>{escape(text)}</text>'
    )
