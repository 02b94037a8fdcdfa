"""What is printed: a statement, Chinese or English; no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.rewards.domain import Merchant
from services.rewards.settings import Settings
from services.rewards.store.statements import Line, Statement
from services.rewards.usecases import settling
from shared.kit.http.qr import qr_svg

TEMPLATES = Path(__file__).parents[1] / "templates"
_STYLE = (TEMPLATES / "statement.css").read_text("utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CSP = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_TEMPLATES = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
_STATES = {"closed": ("已结算", "closed"), "disputed": ("有异议", "disputed"), "paid": ("已付款", "paid")}


def statement_page(
    settings: Settings, lang: str, base: str, merchant: Merchant, statement: Statement, lines: Sequence[Line],
    signed: str,
) -> HTMLResponse:  # fmt: skip
    """A statement to be printed: whoever has the paper can verify it.

    `base`: the suite's address for everybody, without a slash at its end; `signed`: `<key id>:<signature>`.
    """

    def text(zh: str, en: str) -> str:
        return en if lang == "en" else zh

    verify = f"{base}/v1/statements/{statement.id}/verify?digest={statement.digest}"
    body = _TEMPLATES.get_template("statement.html").render(
        lang=lang,
        style=_STYLE,
        t=text,
        month=f"{statement.month:%Y-%m}",
        merchant=merchant,
        statement=statement,
        lines=lines,
        state=text(*_STATES[statement.state]),
        closed_at=statement.closed_at.astimezone(settings.city_zone).strftime("%Y-%m-%d %H:%M"),
        zone=settings.city_timezone,
        verify=verify,
        qr=qr_svg(verify, text("扫码核验", "Scan to verify")),
        signed=f"{settling.stamp(statement)}:{signed}",
    )
    return HTMLResponse(body, headers={"Content-Security-Policy": _CSP})
