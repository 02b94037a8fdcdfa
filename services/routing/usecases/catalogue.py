"""The catalogue for whoever is outside: kinds, departments and codes from files, areas from the map in force."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from services.routing.store import areas as area_store
from services.routing.store import catalogue as store
from services.routing.store.catalogue import Published
from shared.catalog import Catalogue, Kind
from shared.catalog.problems import ProblemWords, problem_words
from shared.events.catalogue_changed import CATALOGUE_CHANGED, CatalogueChanged, CodeFacts, KindFacts
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States

PUBLISH_EVERY_S = 15.0
PUBLISHED_AT_ONCE = 500


def kind_facts(kind: Kind) -> KindFacts:
    """Of a kind, with the rule that it has."""
    return KindFacts(
        group_zh=kind.group, group_en=kind.group_en, level=kind.level, department=kind.department_kind,
        limit_hours=kind.limit_hours, clock=kind.clock,
    )  # fmt: skip


def code_facts(one: ProblemWords) -> CodeFacts:
    """Of a code of refusals."""
    letters = one.letters
    return CodeFacts(
        status=one.status, next_zh=one.next.zh, next_en=one.next.en, letters=letters is not None,
        same_number=letters is None or letters.same_number, same_id=letters is not None and letters.same_id,
    )  # fmt: skip


def of_files(catalogue: Catalogue, at: datetime) -> Iterator[CatalogueChanged]:
    """The entries that don't come from the map, by the rules in force at an instant."""
    for kind in catalogue.kinds(at):
        yield CatalogueChanged(
            entry=f"kind/{kind.code}", sort="kind", code=kind.code, name_zh=kind.name_zh, name_en=kind.name_en,
            kind=kind_facts(kind),
        )  # fmt: skip
    for code, (zh, en) in catalogue.departments.items():
        yield CatalogueChanged(entry=f"department/{code}", sort="department", code=code, name_zh=zh, name_en=en)
    for one in problem_words().values():
        yield CatalogueChanged(
            entry=f"code/{one.code}", sort="code", code=one.code, name_zh=one.title.zh, name_en=one.title.en,
            refusal=code_facts(one),
        )  # fmt: skip


class Publishing:
    """Publishes what differs from what was published. While nothing has changed, it asks for nothing but the map."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._settled: tuple[UUID | None, int] | None = None

    async def publish_catalogue(self, work: Work) -> int:
        """A bounded piece: how many entries it published.

        A map that comes into force meanwhile is seen by the next one. Two releases side by side may have different
        files: each publishes its own while it leads, and the last one's stays.
        """
        version_id, _ = await area_store.in_force(work.conn)
        files = [(one.entry, one.model_dump_json()) for one in of_files(self._catalogue, work.now)]
        present = (version_id, hash(tuple(files)))
        if present == self._settled:
            return 0
        changed = await store.publish(work.conn, files, version_id, PUBLISHED_AT_ONCE)
        say(work, changed)
        if not changed:
            self._settled = present
        return len(changed)


def say(work: Work, entries: list[Published]) -> None:
    """Entries as they are, and that others have left."""
    for one in sorted(entries, key=lambda entry: entry.entry):
        if one.body is None:
            work.retire(CATALOGUE_CHANGED, one.entry, version=one.version)
        else:
            work.publish(CATALOGUE_CHANGED, CatalogueChanged.model_validate(one.body), version=one.version)


async def entries(work: Work, after: str, most: int) -> Page:
    """What the topic holds, once more."""
    found = await store.lock_after(work.conn, after, most)
    say(work, found)
    return Page.of([one.entry for one in found])


async def count_entries(conn: Connection) -> Counted:
    """Entries on the topic, and those that have left it."""
    found = await store.tally(conn)
    return Counted(found.here, found.gone)


STATES = States(CATALOGUE_CHANGED, entries, count_entries)
