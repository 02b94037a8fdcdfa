"""What a process knows of rules and budgets by heart: read again when there is more of it, asked once a batch."""

from dataclasses import dataclass

from services.points.earning.budget import Directory
from services.points.earning.rules import RuleBook, RuleSet
from services.points.earning.words import Why
from services.points.store import budgets as budget_store
from services.points.store import rules as rule_store
from services.points.store.rules import Newest, SetHead
from shared.kit.postgres.db import Connection


@dataclass(frozen=True, slots=True)
class Known:
    """All rule sets and all budgets there are, as of one statement. Immutable: a batch takes one and asks it."""

    rules: RuleBook
    budgets: Directory


class Memory:
    """Keeps the newest `Known` of a process."""

    def __init__(self) -> None:
        self._newest: Newest | None = None
        self._known = Known(RuleBook(()), Directory(()))
        self._sets: dict[SetHead, RuleSet] = {}
        self.words: dict[tuple[str | None, str | None], Why] = {}
        """What was said about rules and reasons: a few sentences that every movement repeats."""

    async def read(self, conn: Connection) -> Known:
        """What there is now, in one short statement where nothing is new."""
        newest = await rule_store.newest(conn)
        if newest != self._newest:
            heads = await rule_store.heads(conn)
            kept = {head: self._sets.get(head) or await rule_store.rule_set(conn, head) for head in heads}
            book = RuleBook(tuple(kept.values()))
            self._known = Known(book, Directory(tuple(await budget_store.directory(conn))))
            self._sets, self._newest = kept, newest
            self.words.clear()
        return self._known

    @property
    def known(self) -> Known:
        """What was read last: for words about what a batch has decided."""
        return self._known
