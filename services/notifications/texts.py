"""Texts for people: templates and words as data files, put together in the reader's language at reading time."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from services.notifications.domain import LANGUAGES, Language, choose_language
from shared.catalog import Catalogue
from shared.kit import clock

FOLDER = Path(__file__).parent / "templates"
WORDS = "words"
FALLBACK = "fallback"
WHY: Mapping[Language, str] = {"zh": "（{}）", "en": " ({})"}
"""How words about a rule stand in a text, if there are any: it reads without them."""


class TextError(ValueError):
    """A template file can't be used; the text names it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A title and a body with `$name` places."""

    title: string.Template
    body: string.Template


class Texts:
    """All texts in all languages. A template is `<name>.<language>`: the title, an empty line, the body.

    `words.<language>` has lines `group.code = word` for what params hold as codes: roles, reasons.
    """

    def __init__(self, catalogue: Catalogue, zone: tzinfo, folder: Path = FOLDER) -> None:
        self._catalogue = catalogue
        self._zone = zone
        self.texts: dict[tuple[str, Language], Text] = {}
        self.words: dict[Language, dict[str, str]] = {}
        for file in sorted(folder.iterdir()):
            name, _, suffix = file.name.partition(".")
            language = choose_language(suffix, None)
            if suffix not in LANGUAGES:
                raise TextError(f"{file}: the name must end in one of {', '.join(LANGUAGES)}")
            content = file.read_text(encoding="utf-8").strip()
            if name == WORDS:
                self.words[language] = _words(file, content)
            else:
                self.texts[(name, language)] = _text(file, content)

    def render(self, template: str, params: Mapping[str, Any], language: Language) -> tuple[str, str]:
        """Title and body. A template that is gone (an old message) reads as a plain notice; nothing raises."""
        text = self.texts.get((template, language)) or self.texts[(FALLBACK, language)]
        # messages of before have no words about rules
        values = {"why": "", **{name: self._shown(name, value, language) for name, value in params.items()}}
        return text.title.safe_substitute(values), text.body.safe_substitute(values)

    def _shown(self, name: str, value: Any, language: Language) -> str:
        if name == "kind":
            kind = self._catalogue.kind(str(value), clock.now())  # process clock: a name in a text
            return str(value) if kind is None else kind.name_zh if language == "zh" else kind.name_en
        if name == "why":
            said = value.get(language) if isinstance(value, dict) else None
            return WHY[language].format(said) if said else ""
        if name in ("role", "reason"):
            code = "none" if value is None else str(value)
            return self.words[language].get(f"{name}.{code}", code)
        if name.endswith("_at"):
            return _instant(value, self._zone)
        return str(value)


def _instant(value: Any, zone: tzinfo) -> str:
    """Local time, to the minute."""
    if not isinstance(value, str):
        return "-"
    return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _text(file: Path, content: str) -> Text:
    title, gap, body = content.partition("\n\n")
    text = Text(string.Template(title), string.Template(body))
    if not gap or "\n" in title or not text.title.is_valid() or not text.body.is_valid():
        raise TextError(f"{file}: needs one line of title, an empty line, a body, and only $name places")
    return text


def _words(file: Path, content: str) -> dict[str, str]:
    words = {}
    for number, line in enumerate(content.splitlines(), 1):
        key, equals, word = (part.strip() for part in line.partition("="))
        if not equals or not key or not word:
            raise TextError(f"{file}:{number}: needs `group.code = word`")
        words[key] = word
    return words
