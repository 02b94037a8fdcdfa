"""QR codes as SVG, without scripts, styles or anything from elsewhere: for a page as for an image of its own."""

import io

import segno

_MODULE_PX = 4
_QUIET_MODULES = 4  # what ISO/IEC 18004 asks for around it


def qr_svg(text: str, title: str) -> str:
    """The text as a QR code that is still read where 15 % of it is dirty; `title` is for those who can't see it.

    Raises:
        segno.DataOverflowError: more than 2,331 bytes.
    """
    out = io.BytesIO()
    made = segno.make(text, error="m", micro=False, boost_error=False)
    made.save(
        out, kind="svg", scale=_MODULE_PX, border=_QUIET_MODULES, xmldecl=False, nl=False, title=title,
        light="#fff", svgclass=None, lineclass=None,
    )  # fmt: skip
    return out.getvalue().decode()
