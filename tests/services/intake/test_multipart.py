"""The one file of a form."""

import base64
import binascii
import time

import pytest

from services.intake.api import multipart
from services.intake.api.multipart import MultipartError, first_file
from shared.kit import clock

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


PHOTO = b"\xff\xd8" + bytes(range(256)) * 10 + b"\n--x\r\n\r\n\xff\xd9"
NAMED = b'Content-Disposition: form-data; name="file"; filename="a.jpg"'
ODD_FORMS: dict[str, tuple[str, bytes]] = {
    "bare line feeds": (TYPE, b"--x1\n" + NAMED + b"\nContent-Type: image/jpeg\n\n" + PHOTO + b"\n--x1--\n"),
    "line feeds in the head only": (TYPE, b"--x1\r\n" + NAMED + b"\n\n" + PHOTO + b"\r\n--x1--"),
    "no line break at the end": (TYPE, FIELD + FILE + PHOTO + b"\r\n--x1--"),
    "no line break before the last boundary": (TYPE, FIELD + FILE + PHOTO + b"--x1--\r\n"),
    "unquoted boundary": ("multipart/form-data; boundary=x1", FILE + PHOTO + b"\r\n--x1--\r\n"),
    "more parameters": ("Multipart/Form-Data; charset=utf-8; Boundary=x1; a=b", FILE + PHOTO + b"\r\n--x1--\r\n"),
    "words around": (TYPE, b"a preamble\r\nof lines\r\n" + FILE + PHOTO + b"\r\n--x1--\r\nan epilogue --x1"),
    "spaces behind the boundary": (TYPE, FILE.replace(b"x1\r", b"x1 \t\r") + PHOTO + b"\r\n--x1--\r\n"),
    "no type of its own": (TYPE, b"--x1\r\n" + NAMED + b"\r\n\r\n" + PHOTO + b"\r\n--x1--\r\n"),
    "a name in another script": (
        TYPE,
        b"--x1\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''%E4%BA%95.jpg\r\n\r\n"
        + PHOTO
        + b"\r\n--x1--",
    ),
    "a name in bytes": (TYPE, b"--x1\r\n" + NAMED.replace(b"a.", b"\xe4\xff.") + b"\r\n\r\n" + PHOTO + b"\r\n--x1--"),
    "a folded head": (TYPE, b"--x1\r\n" + NAMED.replace(b"; f", b";\r\n f") + b"\r\n\r\n" + PHOTO + b"\r\n--x1--"),
    "no file name, a photo's type": (
        TYPE,
        FIELD
        + b"--x1\r\nContent-Disposition: form-data; name=x\r\nContent-Type: image/jpg\r\n\r\n"
        + PHOTO
        + b"\r\n--x1--",
    ),
    "no file name, the field's": (
        TYPE,
        FIELD + b'--x1\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + PHOTO + b"\r\n--x1--",
    ),
    "an empty file before": (TYPE, FILE.replace(b"a.jpg", b"") + b"\r\n" + FILE + PHOTO + b"\r\n--x1--"),
    "an empty file before the field's name": (
        TYPE,
        FILE + b'\r\n--x1\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + PHOTO + b"\r\n--x1--",
    ),
    "an empty file behind": (TYPE, FILE + PHOTO + b"\r\n" + FILE + b"\r\n--x1--"),
    "Base64": (
        TYPE,
        FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n")
        + base64.encodebytes(PHOTO).replace(b"\n", b"\r\n")
        + b"\r\n--x1--",
    ),
    "quoted-printable": (
        TYPE,
        FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
        + binascii.b2a_qp(PHOTO, istext=False)
        + b"\r\n--x1--",
    ),
    "binary": (
        TYPE,
        FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: binary\r\n\r\n") + PHOTO + b"\r\n--x1--",
    ),
    "a boundary that begins as a line of the file": (TYPE, FILE + PHOTO + b"\r\n--x10\r\n--x1--"),
}


@pytest.mark.parametrize("form", ODD_FORMS)
def test_odd_framing_is_read_where_it_is_plain(form: str) -> None:
    kind, body = ODD_FORMS[form]
    expected = PHOTO + b"\r\n--x10" if "begins as" in form else PHOTO
    assert first_file(kind, body) == expected


def test_a_form_of_empty_files_has_an_empty_one_and_bad_base64_is_none() -> None:
    assert first_file(TYPE, FIELD + FILE + b"\r\n" + FILE + b"\r\n--x1--") == b""
    with pytest.raises(MultipartError):
        first_file(TYPE, FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"a\r\n--x1--")


def test_boundaries_without_end_cost_little() -> None:
    body = FILE + b"y" + b"--x1" * 2_000_000
    started_s = clock.monotonic_s()
    with pytest.raises(MultipartError):
        first_file(TYPE, body)
    with pytest.raises(MultipartError):
        first_file(TYPE, b"--x1\r\n\r\n" * 1_000_000)
    assert clock.monotonic_s() - started_s < 0.5


def parts_of(head: bytes) -> bytes:
    """A form of as many parts as are read, each with as large a head as is read."""
    return (b"--x1\r\n" + head[:4_000] + b"\r\n\r\nzz\r\n") * 49 + b"--x1--"


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; a="' + b";" * 4_000,
        b"Content-Disposition: form-data" + b";" * 4_000,
        b"Content-Disposition: form-data; " + b'a="\\";' * 1_000,
        b"Content-Disposition: form-data;" + b" " * 4_000,
        b'Content-Type: a/b; a="' + b";" * 4_000,
        b"".join(b"%x:1\n" % n for n in range(1_000)),
        b"a:1" + b"\n " * 2_000,
    ],
)
def test_parts_heads_cost_little_whatever_is_in_them(head: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(MultipartError):
        first_file(TYPE, parts_of(head))
    assert time.process_time() - started_s < 0.5


@pytest.mark.parametrize("more", ['; a="' + ";" * 60_000, ";" * 60_000, "; a=" + "b" * 512, '; a="' + ';"";' * 15_000])
def test_a_long_content_type_is_refused_before_it_is_read(more: str) -> None:
    started_s = time.process_time()
    with pytest.raises(MultipartError, match="at most 512 characters"):
        first_file(TYPE + more, FILE + PHOTO + b"\r\n--x1--")
    assert time.process_time() - started_s < 0.1


@pytest.mark.parametrize(
    ("head", "likelihood"),
    [
        ('form-data; name="f"; filename="a;b=c.jpg"', 3),
        ('form-data; note="; filename=x"; name=f', 0),
        ('form-data; name="x"; FileName = a.jpg', 3),
        ('form-data; name="a\\"; filename=b"', 0),
        ("form-data; filename*0*=UTF-8''%E4; filename*1=.jpg", 3),
        ('form-data; filename="&#20013;&#25991;.jpg', 3),
        ("form-data; name= file ", 1),
        ('form-data;filename;name="file"', 1),
    ],
)
def test_parameters_are_read_with_their_quotes(head: str, likelihood: int) -> None:
    assert multipart._Part({"content-disposition": head}, 0, 0).likelihood == likelihood
