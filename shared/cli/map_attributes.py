"""The table of a map, its texts decoded strictly: the library drops what doesn't fit an encoding, without a word."""

import codecs
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyogrio
from numpy.typing import NDArray

from shared.cli.map_encodings import Texts, all_fit, is_of_tables
from shared.cli.map_projections import AreaFileError

# Each of its characters is one byte, so that the bytes come back unchanged
_BYTES = "ISO-8859-1"
Attributes = tuple[dict[str, Any], "NDArray[np.object_] | None", dict[str, NDArray[Any]]]


def attributes(source: str, layer: str, texts: Texts, wanted: Sequence[str]) -> Attributes:
    """Meta data, WKB (None: no geometry at all) and columns by name; of a Shapefile only wanted ones are decoded.

    Raises:
        AreaFileError: not readable, or the texts are in none of the encodings to try.
    """
    if not texts.bytes_known:
        return _read(source, layer, texts.tries[0])
    meta, geometry, raw = _read(source, layer, _BYTES)
    problem = ""
    for attempt in texts.tries:
        if attempt is None or not is_of_tables(attempt):
            raise AreaFileError(f"no encoding of a table's texts is called {attempt!r}; try gb18030 or big5")
        try:
            columns = _decoded(raw, attempt, wanted)
        except UnicodeError as bad:
            problem = str(getattr(bad, "reason", bad))
        else:
            texts.used = attempt
            texts.seen = _bytes(raw[name] for name in raw if _known(name, attempt) in wanted)
            return meta, geometry, columns
    said = f"not {texts.tries[-1]}, as {texts.says}" if texts.stated.codec else "in no known encoding"
    others = "utf-8" if all_fit(_bytes(raw.values()), "utf-8") else "gb18030 or big5"
    raise AreaFileError(f"texts are {said} ({problem}); name it with --encoding, e.g. {others}")


def _read(source: str, layer: str, encoding: str | None) -> Attributes:
    try:
        meta, _, geometry, values = pyogrio.raw.read(source, layer=layer, encoding=encoding, force_2d=True)
    except UnicodeDecodeError as bad:
        raise AreaFileError(
            f"texts are in no known encoding ({bad.reason}); name it with --encoding, e.g. gb18030"
        ) from bad
    except (LookupError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as bad:
        raise AreaFileError(f"not readable: {str(bad)[:200]}") from bad
    return meta, geometry, dict(zip((str(name) for name in meta["fields"]), values, strict=True))


def _decoded(raw: dict[str, NDArray[Any]], codec: str, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns by their names; wanted ones decoded. Raises UnicodeError."""
    found = {_known(name, codec): column for name, column in raw.items()}
    for name in wanted:
        if name in found and found[name].dtype == object:
            found[name] = _each(found[name], lambda text: text.encode(_BYTES).decode(codec))
    return found


def _known(name: str, codec: str) -> str:
    """A field's name. A table cuts it after ten bytes, maybe within a character. Raises UnicodeError."""
    return codecs.getincrementaldecoder(codec)().decode(name.encode(_BYTES))


def _each(column: NDArray[Any], change: Callable[[str], str]) -> NDArray[Any]:
    return np.array([change(one) if isinstance(one, str) else one for one in column], dtype=object)


def _bytes(columns: Iterable[NDArray[Any]]) -> list[bytes]:
    """Different texts that aren't ASCII, as they stand in the file."""
    cells = {one for column in columns if column.dtype == object for one in column if isinstance(one, str)}
    return [one.encode(_BYTES) for one in sorted(cells) if not one.isascii()]
