"""The one file of an upload form (RFC 7578), cut out of the body without copying the rest."""

from email.message import Message


class MultipartError(ValueError):
    """The body is no form with a file; the text says why."""


def first_file(content_type: str, body: bytes) -> bytes:
    """The content of the first part that is a file.

    Args:
        content_type: the header, with the boundary.
        body: the whole body, whose size was limited before.

    Raises:
        MultipartError: no boundary, no file, or cut short.
    """
    boundary = _header(content_type).get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise MultipartError("the content type has no boundary")
    dashes = b"--" + boundary.encode()
    if not body.startswith(dashes):
        raise MultipartError("the form doesn't start with its boundary")
    start = len(dashes)
    while body[start : start + 2] == b"\r\n":
        head_end = body.find(b"\r\n\r\n", start, start + 4_096)
        end = body.find(b"\r\n" + dashes, start)
        if head_end < 0 or end < 0:
            raise MultipartError("the form is cut short")
        if _is_file(body[start + 2 : head_end]):
            return body[head_end + 4 : end]
        start = end + 2 + len(dashes)
    raise MultipartError("the form has no file")


def _is_file(head: bytes) -> bool:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            disposition = Message()
            disposition["content-disposition"] = value.decode("utf-8", "replace").strip()
            return disposition.get_filename() is not None
    return False


def _header(content_type: str) -> Message:
    message = Message()
    message["content-type"] = content_type
    return message
