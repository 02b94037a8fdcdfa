"""What a Shapefile says about the encoding of its texts, in words that Python knows.

It may say so in a .cpg file, in words of the program that wrote it, or in one byte of the .dbf; GDAL knows few of these
words and reads the texts as Latin-1 where it doesn't, without a word.
"""

import codecs
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Of code pages' numbers, and of the byte in the .dbf's header (29 of it); GB18030 contains GBK and GB2312
_PAGES = {936: "gb18030", 54936: "gb18030", 950: "big5hkscs", 65001: "utf-8", 932: "cp932", 1252: "", 88591: ""}
_LANGUAGES = {0x4D: 936, 0x78: 950, 0x7B: 932}
_CHINESE = {"gbk": "gb18030", "gb2312": "gb18030", "big5": "big5hkscs"}
# Programs write these where they know nothing: no city's Chinese names are in Latin-1
_NOTHING = {"iso8859-1", "cp1252", "ascii"}


@dataclass(frozen=True, slots=True)
class Stated:
    """What the file says: a codec of Python, or none. `unknown`: words that mean nothing to us."""

    codec: str | None = None
    unknown: str | None = None


@dataclass(slots=True)
class Texts:
    """How a layer's texts are read. `tries`: codecs one after the other; None: the format says it."""

    tries: list[str | None]
    stated: Stated
    used: str | None = None

    @classmethod
    def of(cls, path: Path, layer: str, encoding: str | None) -> "Texts":
        """What was asked for, what the file says, or what fits."""
        if encoding is not None:
            return cls([encoding], Stated(encoding))
        if not _is_shapefile(path):
            return cls([None], Stated("utf-8"))
        stated = stated_encoding(path, layer)
        return cls([stated.codec] if stated.codec else ["UTF-8", "GB18030"], stated)

    def doubts(self, names: Sequence[str]) -> list[str]:
        """What a person should look at: nearly any bytes can be read as GB18030, and then say something else."""
        sample = next((name for name in names if not name.isascii()), None)
        found = []
        if self.stated.unknown is not None:
            found.append(f"the .cpg says {self.stated.unknown[:40]!r}, which is no known encoding")
        if self.stated.codec is None and self.used == "GB18030" and sample is not None:
            found.append(f"texts were read as GBK, e.g. {sample[:30]}; if that looks wrong: --encoding big5")
        return found


def _is_shapefile(path: Path) -> bool:
    if path.suffix.lower() != ".zip":
        return path.suffix.lower() == ".shp"
    with zipfile.ZipFile(path) as archive:
        return any(name.lower().endswith(".shp") for name in archive.namelist())


def stated_encoding(path: Path, layer: str) -> Stated:
    """What a Shapefile, or one of those in a zip, says about its texts."""
    words, language = _parts(path, layer)
    if words:
        return _meaning(words)
    page = _LANGUAGES.get(language)
    return Stated(_PAGES[page]) if page is not None else Stated()


def _meaning(words: str) -> Stated:
    """The codec that a .cpg's words stand for."""
    plain = re.sub(r"^(ansi|oem|cp|windows|ms|codepage)[\s_-]*", "", words.lower())
    if not plain:  # the system's own, whichever that was
        return Stated()
    plain = plain.removeprefix("utf8mb4") or "utf-8"
    number = re.sub(r"[\s_-]", "", plain)
    if number.isdigit() and int(number) in _PAGES:
        return Stated(_PAGES[int(number)] or None)
    try:
        name = codecs.lookup(plain.replace(" ", "-")).name
    except LookupError:
        return Stated(unknown=words)
    if name in _NOTHING:
        return Stated()
    return Stated(_CHINESE.get(name, name))


def _parts(path: Path, layer: str) -> tuple[str | None, int]:
    """The words of the .cpg, "" where it is blank, and the .dbf's language byte; None and 0 where there is none."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            found = _beside(archive.namelist(), layer)
            words = archive.read(found[".cpg"]) if ".cpg" in found else None
            head = archive.open(found[".dbf"]).read(30) if ".dbf" in found else b""
    else:
        beside = {one.suffix.lower(): one for one in path.parent.glob(f"{_literal(path.stem)}.*")}
        words = beside[".cpg"].read_bytes() if ".cpg" in beside else None
        head = beside[".dbf"].open("rb").read(30) if ".dbf" in beside else b""
    text = None if words is None else words.removeprefix(codecs.BOM_UTF8).decode("latin-1").strip("\x00 \t\r\n")
    return text, head[29] if len(head) > 29 else 0


def _beside(names: Sequence[str], layer: str) -> dict[str, str]:
    """Ending → name of the files that make up a layer: others in the zip say nothing about it."""
    files = {name: PurePosixPath(name) for name in names if "__MACOSX" not in name}
    shapes = {one.stem for one in files.values() if one.suffix.lower() == ".shp"}
    # a name that isn't in UTF-8 is read in one way here and in another by the library
    wanted = next(iter(shapes)) if len(shapes) == 1 else layer
    ours = [name for name, one in files.items() if one.stem.lower() == wanted.lower()]
    # where names differ by case alone, the exact one is the layer's
    ours.sort(key=lambda name: files[name].stem == wanted)
    return {files[name].suffix.lower(): name for name in ours}


def _literal(stem: str) -> str:
    """A name for glob, whatever it holds."""
    return re.sub(r"([*?[])", r"[\1]", stem)
