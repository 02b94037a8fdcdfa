"""manifest.json: what a backup holds, written last, so that a folder without it is no backup."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.cli.client import CliError
from shared.cli.whole_files import whole_bytes, whole_text

FORMAT_VERSION = 1
NAME = "manifest.json"
SEAL = "manifest.sha256"
_MODULUS = 1 << 256
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFacts(_Part):
    """One file of the folder."""

    sha256: Sha256
    size_bytes: int


class TableFacts(_Part):
    """One table. `content` is the sum of its rows' SHA-256, so it doesn't depend on their order."""

    columns: list[str]
    rows: int
    content: Sha256


class SequenceFacts(_Part):
    """One sequence as `setval` takes it."""

    last_value: int
    is_called: bool


class SchemaFacts(_Part):
    """One service's schema. `migrations`: the versions that dbmate has applied."""

    migrations: list[str]
    tables: dict[str, TableFacts]
    sequences: dict[str, SequenceFacts]


class KafkaFacts(_Part):
    """What was kept of Kafka. `users` had passwords, which nobody can read: they get new ones after a restore."""

    records: int = Field(description="records that some consumer group had not yet read")
    partitions: dict[str, int] = Field(description="by topic of these records")
    companies: list[str] = Field(description="those with inbound topics")
    users: list[str] = Field(description="SCRAM users of companies and city systems, without the installation's prefix")


class Manifest(_Part):
    """The catalogue of a backup."""

    format_version: int
    taken_at: AwareDatetime
    schemas: dict[str, SchemaFacts]
    kafka: KafkaFacts
    photos: int
    sealing: list[str] | None = Field(
        None, description="ids of the sealing keys that the sealed secrets need; null: the services could not be asked"
    )
    files: dict[str, FileFacts] = Field(description="by path below the folder")

    def tables(self) -> Iterator[tuple[str, str, TableFacts]]:
        """(schema, table, facts) of all tables."""
        for schema, facts in self.schemas.items():
            for table, one in facts.tables.items():
                yield schema, table, one


class RowHash:
    """Counts and hashes rows that arrive in chunks of COPY's text form: one line a row, in any order."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes; they may end inside a row."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._sum += int.from_bytes(hashlib.sha256(line).digest())
        self.rows += len(lines)

    @property
    def content(self) -> str:
        """64 hexadecimal digits."""
        assert not self._rest, "COPY ends every row with a line feed"
        return f"{self._sum % _MODULUS:064x}"


def table_path(schema: str, table: str) -> str:
    """Where a table's rows are, below the folder."""
    return f"postgres/{schema}/{table}.copy"


def file_hash(path: Path) -> FileFacts:
    """Read a whole file. Raises OSError."""
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256")
        return FileFacts(sha256=digest.hexdigest(), size_bytes=source.tell())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make the folder a backup: the catalogue, and the catalogue's own hash as `sha256sum -c` reads it."""
    text = manifest.model_dump_json(indent=1).encode()
    with whole_text(folder / SEAL) as target:
        target.write(f"{hashlib.sha256(text).hexdigest()}  {NAME}\n")
    with whole_bytes(folder / NAME) as whole:
        whole.write(text)


def read_manifest(folder: Path) -> Manifest:
    """The catalogue of a folder. Raises CliError where there is none, or one that this version can't read."""
    try:
        text = (folder / NAME).read_bytes()
        seal = (folder / SEAL).read_text().split()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise _incomplete(folder, type(error).__name__) from error
    if seal != [hashlib.sha256(text).hexdigest()]:
        raise CliError(
            "备份已损坏 / The backup is damaged",
            f"{NAME} was changed: its SHA-256 is not the one in {SEAL}",
            hint="nothing was written; take the folder from another copy",
        )
    return _parsed(folder, text)


def _incomplete(folder: Path, why: str) -> CliError:
    return CliError(
        "不是完整的备份 / Not a complete backup",
        f"{folder / NAME}: {why}",
        hint="the manifest is written last: a backup that was broken off has none. Take another one",
    )


def _parsed(folder: Path, text: bytes) -> Manifest:
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise CliError(
            "清单无法读取 / The manifest is not readable",
            f"{folder / NAME}: {error.error_count()} faults, the first in {error.errors()[0]['loc']}",
            hint="it was written by another version: use the version that took the backup",
        ) from error
    if found.format_version != FORMAT_VERSION:
        raise CliError(
            "备份格式不同 / Another format of backups",
            f"the folder has {found.format_version}, this command reads {FORMAT_VERSION}",
            hint="use the version that took the backup",
        )
    return found


def damaged(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str | None]]:
    """(path, what is wrong or None) of every file, one after the other, while they are being read."""
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            yield name, "lies outside the folder"
        elif not path.is_file():
            yield name, "is missing"
        else:
            yield name, None if file_hash(path) == facts else "was changed: its SHA-256 is another"
