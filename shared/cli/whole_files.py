"""Files that a command writes for people: under their name they are whole or as they were before, never half."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TextIO, cast

FOR_ALL = 0o644
FOR_THE_OWNER = 0o600


@contextmanager
def whole_text(file: Path, *, mode: int = FOR_ALL) -> Iterator[TextIO]:
    """A text file that takes its name when the block ends; one that is broken off leaves what was there before.

    Raises:
        OSError: it can't be written there.
    """
    with _draft(file, mode) as number, os.fdopen(number, "w", encoding="utf-8", newline="") as target:
        yield target
        _settle(target)


@contextmanager
def whole_bytes(file: Path, *, mode: int = FOR_ALL) -> Iterator[BinaryIO]:
    """The same of bytes. Raises OSError."""
    with _draft(file, mode) as number, os.fdopen(number, "wb") as target:
        yield cast("BinaryIO", target)
        _settle(target)


@contextmanager
def _draft(file: Path, mode: int) -> Iterator[int]:
    """A file beside it, for the owner alone until it is whole; after the block it takes its place."""
    try:
        number, draft = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:  # by the name that somebody gave
        raise OSError(error.errno, error.strerror, str(file)) from error
    try:
        yield number
        Path(draft).chmod(mode)
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)


def _settle(target: IO[str] | IO[bytes]) -> None:
    """A name that outlives a power cut has a content that does."""
    target.flush()
    os.fsync(target.fileno())
