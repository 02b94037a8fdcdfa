"""The one file of a form."""

import pytest

from services.intake.api.multipart import MultipartError, first_file

TYPE = 'multipart/form-data; boundary="x1"'
FIELD = b'--x1\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
FILE = b'--x1\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'


def test_the_file_comes_out_byte_for_byte() -> None:
    content = bytes(range(256)) * 10 + b"\r\n--x"
    assert first_file(TYPE, FIELD + FILE + content + b"\r\n--x1--\r\n") == content
    assert first_file(TYPE, FILE + b"\r\n--x1--") == b""


@pytest.mark.parametrize(
    "body", [b"", b"--x1--\r\n", FIELD + b"--x1--\r\n", FILE + b"cut", b"--other\r\n", b"--x1\r\n\r\n\r\n--x1--"]
)
def test_what_is_no_form_with_a_file(body: bytes) -> None:
    with pytest.raises(MultipartError):
        first_file(TYPE, body)


def test_no_boundary() -> None:
    with pytest.raises(MultipartError):
        first_file("multipart/form-data", FILE)
