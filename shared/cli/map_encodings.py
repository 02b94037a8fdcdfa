"""What a Shapefile says about the encoding of its texts, in words that Python knows.

It may say so in a .cpg file, in words of the program that wrote it, or in one byte of the .dbf; GDAL knows few of these
words and reads the texts as Latin-1 where it doesn't, without a word.
"""

import codecs
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyogrio

# Of code pages' numbers, and of the byte in the .dbf's header (29 of it); GB18030 contains GBK and GB2312
_PAGES = {936: "gb18030", 54936: "gb18030", 950: "big5hkscs", 65001: "utf-8", 932: "cp932", 1252: "", 88591: ""}
_LANGUAGES = {0x4D: 936, 0x78: 950, 0x7B: 932}
_CHINESE = {"gbk": "gb18030", "gb2312": "gb18030", "big5": "big5hkscs"}
_FAMILIES = {"gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "big5": "big5", "big5hkscs": "big5"}
_FAMILIES |= {"cp936": "gb18030", "cp950": "big5"}
# The first and second bytes of the few thousand characters that nearly all texts are made of
_USUAL = {
    "gb18030": (range(0xB0, 0xD8), range(0xA1, 0xFF)),
    "big5": (range(0xA4, 0xC7), (*range(0x40, 0x7F), *range(0xA1, 0xFF))),
}
_CLEARLY = 0.2
_OF_HOSTS = {"idna", "punycode"}
_PLAIN = rb"code \u4e00 +-"
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
    says: str
    """Who stated it: the file, or whoever runs the command."""
    bytes_known: bool = True
    """Whether the format keeps texts as bytes that mean nothing by themselves."""
    used: str | None = None
    seen: list[bytes] = field(default_factory=list)
    """Texts that aren't ASCII, as they stand in the file."""

    @classmethod
    def of(cls, path: Path, source: str, layer: str, encoding: str | None) -> "Texts":
        """What was asked for, what the file says, or what fits. `source`: the file as GDAL names it."""
        shapefile = _is_shapefile(path, source, layer)
        if encoding is not None:
            return cls([encoding], Stated(encoding), "asked for", shapefile)
        if not shapefile:
            return cls([None], Stated("utf-8"), "the format says", bytes_known=False)
        stated = stated_encoding(path, layer)
        return cls([stated.codec] if stated.codec else ["UTF-8", "GB18030"], stated, "the file says")

    def doubts(self) -> list[str]:
        """What a person should look at: nearly any bytes can be read as GB18030 or Big5, and say something else."""
        found = []
        if self.stated.unknown is not None:
            found.append(f"the .cpg says {self.stated.unknown[:40]!r}, which is no known encoding")
        if not self.seen or self.used is None:
            return found
        used = codecs.lookup(self.used).name
        shown = self.seen[0].decode(self.used, "replace")[:30]
        likelier = None if used == "utf-8" else _likelier(self.seen, used)
        if likelier is not None:
            found.append(
                f"texts were read as {self.used}, as {self._who()}, e.g. {shown}; they look like {likelier}: "
                f"if that looks wrong: --encoding {likelier}"
            )
        elif self.stated.codec is None and self.used == "GB18030":
            found.append(f"texts were read as GBK, e.g. {shown}; if that looks wrong: --encoding big5")
        return found

    def _who(self) -> str:
        return self.says if self.stated.codec is not None else "nothing else is stated"


def _likelier(seen: Sequence[bytes], used: str) -> str | None:
    """The encoding that the bytes rather are in; None where the one used is as good."""
    if all_fit(seen, "utf-8"):  # hardly anything else is, by chance
        return "utf-8"
    mine = _usual(seen, _FAMILIES.get(used))
    for name in ("gb18030", "big5"):
        if name != _FAMILIES.get(used) and all_fit(seen, name) and _usual(seen, name) > mine + _CLEARLY:
            return name
    return None


def is_of_tables(codec: str) -> bool:
    """Whether Python knows it and it leaves ASCII alone: hex and base64 are codecs too, UTF-16 isn't of tables."""
    try:
        return codecs.lookup(codec).name not in _OF_HOSTS and _PLAIN.decode(codec) == _PLAIN.decode("ascii")
    except (LookupError, UnicodeError):
        return False


def all_fit(seen: Sequence[bytes], codec: str) -> bool:
    """Whether every text is one in that encoding."""
    try:
        for one in seen:
            one.decode(codec)
    except UnicodeError:
        return False
    return True


def _usual(seen: Sequence[bytes], family: str | None) -> float:
    """Which share of the pairs of bytes are usual characters of an encoding: each has them in a range of its own."""
    ranges = _USUAL.get(family or "")
    pairs = usual = 0
    for one in seen:
        at = 0
        while at < len(one):
            if one[at] < 0x80:
                at += 1
                continue
            pairs += 1
            lead, trail = one[at], one[at + 1] if at + 1 < len(one) else 0
            usual += ranges is not None and lead in ranges[0] and trail in ranges[1]
            at += 2
    return usual / pairs if pairs else 0.0


def _is_shapefile(path: Path, source: str, layer: str) -> bool:
    if path.suffix.lower() != ".zip":
        return path.suffix.lower() == ".shp"
    try:
        return bool(pyogrio.read_info(source, layer=layer, encoding="ISO-8859-1")["driver"] == "ESRI Shapefile")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
        return False  # whoever reads it says why


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
    if not is_of_tables(name):
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
