"""The one file of an upload form (RFC 7578), cut out of the body without copying the rest.

Forms come from many hands. Lines may end in LF, there may be words before the first boundary and behind the last one,
and a part may lack its type: taken, since it is plain which bytes are the file. A browser sends a file field that was
left empty as a file without a name or bytes: passed over. A body that breaks off is refused.

Headers are read here and not by `email`, whose reading of parameters takes the square of their length: seconds for the
64 KiB that a header may have.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.kit.messaging.cloudevents import media_type

TYPE_LENGTH_MAX = 512
"""Of a form's content type: its boundary has at most 70 characters, and other parameters mean nothing here."""
HEAD_BYTES_MAX = 4_096
PARTS_MAX = 50
LOOKALIKES_MAX = 1_000
"""Times that a boundary's characters may stand where they are none."""
FILE_FIELD = "file"
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"[ \t]*(\r?\n)")
_AT_END = re.compile(rb"[\r\n\t ]*\Z")
_FOLD = re.compile(r"\r?\n[ \t]+")
_ESCAPED = re.compile(r'\\(["\\])')
# A quoted value may have semicolons; one without its last quote goes to the end.
_PARAMETER = re.compile(r';\s*+([^=;\s"]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)|([^;]*+))', re.DOTALL)


class MultipartError(ValueError):
    """The body is no form with a file; the text says why."""


@dataclass(frozen=True, slots=True)
class _Part:
    head: dict[str, str]
    start: int
    end: int

    @property
    def likelihood(self) -> int:
        """How sure it is that this is the file: 3 it has a file's name, 2 a photo's type, 1 the field's name, 0 no."""
        disposition = _parameters(self.head.get("content-disposition", ""))
        if "filename" in disposition:
            return 3
        kind = media_type(self.head.get("content-type"))
        if kind.startswith("image/") or kind == "application/octet-stream":
            return 2
        return int(disposition.get("name") == FILE_FIELD)


def first_file(content_type: str, body: bytes) -> bytes:
    """The content of the first part that has a file's name and content; where none has, of the likeliest one.

    A part in Base64 or quoted-printable (Content-Transfer-Encoding, which RFC 7578 no longer has) comes out decoded.

    Args:
        content_type: the header, with the boundary.
        body: the whole body, whose size was limited before.

    Raises:
        MultipartError: no boundary, no file, or cut short.
    """
    if len(content_type) > TYPE_LENGTH_MAX:
        raise MultipartError(f"the content type of a form has at most {TYPE_LENGTH_MAX} characters")
    boundary = _parameters(content_type).get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise MultipartError("the content type has no boundary")
    best: _Part | None = None
    for part in _parts(body, b"--" + boundary.encode()):
        if part.likelihood == 3 and part.start < part.end:
            return _content(body, part)
        if best is None or (part.start < part.end, part.likelihood) > (best.start < best.end, best.likelihood):
            best = part if part.likelihood else best
    if best is None:
        raise MultipartError("the form has no file")
    return _content(body, best)


def _content(body: bytes, part: _Part) -> bytes:
    """The part's bytes, decoded."""
    coding = part.head.get("content-transfer-encoding", "").lower()
    content = body[part.start : part.end]
    if coding == "quoted-printable":
        return binascii.a2b_qp(content)
    if coding != "base64":
        return content
    try:
        return binascii.a2b_base64(content)
    except binascii.Error as error:
        raise MultipartError("the file is not Base64") from error


def _parts(body: bytes, dashes: bytes) -> Iterator[_Part]:
    """The parts, each as soon as it is found whole."""
    at = _delimiter(body, dashes, 0)
    if at < 0:
        raise MultipartError("the form doesn't begin with its boundary")
    for _ in range(PARTS_MAX):
        after = at + len(dashes)
        if body.startswith(b"--", after):
            return
        line_end = _LINE_END.match(body, after)
        assert line_end is not None, "a delimiter that ends nothing is a line"
        blank = _BLANK_LINE.search(body, line_end.start(1), line_end.end() + HEAD_BYTES_MAX)
        following = _delimiter(body, dashes, blank.end() if blank else line_end.end())
        if following < 0:
            raise MultipartError("the form is cut short")
        if blank is None or blank.end() > following:
            raise MultipartError("a part has no blank line behind its headers")
        yield _Part(_headers(body[line_end.end() : blank.start()]), blank.end(), _end(body, following, line_end[1]))
        at = following
    raise MultipartError("the form has too many parts")


def _delimiter(body: bytes, dashes: bytes, start: int) -> int:
    """Where the next boundary begins, -1: nowhere. It has its own line; the last one may follow the file at once."""
    at = body.find(dashes, start)
    for _ in range(LOOKALIKES_MAX):
        if at < 0:
            return -1
        closing = body.startswith(b"--", at + len(dashes))
        opens_line = at == start or body[at - 1 : at] == b"\n"
        if opens_line and (closing or _LINE_END.match(body, at + len(dashes))):
            return at
        if closing and _AT_END.match(body, at + len(dashes) + 2):
            return at
        at = body.find(dashes, at + 1)
    raise MultipartError("the boundary occurs in the file")


def _end(body: bytes, delimiter: int, line_end: bytes) -> int:
    """Where the content before a delimiter ends: the line break between belongs to the delimiter."""
    if body.endswith(line_end, 0, delimiter):
        return delimiter - len(line_end)
    return delimiter - body.endswith(b"\n", 0, delimiter)


def _headers(head: bytes) -> dict[str, str]:
    """A part's headers by their names in small letters; of one that is there twice the first."""
    found: dict[str, str] = {}
    for line in _FOLD.sub(" ", head.decode("utf-8", "replace")).splitlines():
        name, _, value = line.partition(":")
        if value:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _parameters(header: str) -> dict[str, str]:
    """A header's parameters by name; of `filename*=` and `filename*0=` (RFC 2231) only that they are there is meant."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        name, quoted, bare = match.groups()
        found.setdefault(
            name.lower().partition("*")[0], bare.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        )
    return found
