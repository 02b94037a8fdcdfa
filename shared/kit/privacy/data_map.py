"""Which columns are about a person: declared once a table, beside the service that owns it.

docs/data-map.md is made from these declarations and from the marks on fields of events (shared/events/personal.py). A
column that can hold words, numbers or places of a person and is not declared fails the checks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.events.personal import Sort


@dataclass(frozen=True, slots=True)
class About:
    """A column about a person: what it holds, what for, who sees it, and what an erasure leaves of it."""

    sort: Sort
    why: str
    who: str
    after: str


Columns = Mapping[str, Mapping[str, About | None]]
"""Table → column → what it says of a person; None: nothing."""

RIDER_ID = About("id", "whose row it is", "the service", "stays, and leads to nobody")
STAFF = About("name", "staff answers for what it does", "those who see the row", "not a rider's: stays as the record")
OPEN_TYPES = frozenset({"text", "jsonb", "json", "bytea", "ARRAY"})
"""Of columns that can hold anything a person says."""
PERSONAL_NAMES = frozenset({"rider_id", "lng", "lat"})


def plain(names: str) -> dict[str, About | None]:
    """Columns, by their names, that are about nobody."""
    return dict.fromkeys(names.split())


def faults(declared: Columns, present: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What is wrong between declarations and a schema's tables (table → column → type)."""
    for table, columns in present.items():
        for column, type_ in columns.items():
            if (type_ in OPEN_TYPES or column in PERSONAL_NAMES) and column not in declared.get(table, {}):
                yield f"{table}.{column}: nobody says whether it is about a person"
    for table, named in declared.items():
        yield from (f"{table}.{name}: declared, and not there" for name in named if name not in present.get(table, {}))


KIT_COLUMNS: Columns = {
    "outbox": {
        **plain("topic traceparent"),
        "key": About("id", "the order of an event's kind", "the service", "leaves with the row, within seconds"),
        "record_key": About("number", "a refused record's own key", "the service", "leaves with the row"),
        "headers": About("number", "a refused record's own headers", "the service", "leaves with the row"),
        "payload": About("words", "the event on its way out", "the service", "leaves with the row, within seconds"),
    },
    "inbox": {
        "content": About(
            "words", "tells a repetition from another event under its id: a hash", "the service", "goes after 22 days"
        ),
    },
    "outbox_held": {
        **plain("topic traceparent reason"),
        "key": About("id", "the order of a refused event's kind", "operators", "leaves when sent or discarded"),
        "record_key": About("number", "a refused record's own key", "the service", "emptied"),
        "headers": About("number", "a refused record's own headers", "the service", "emptied"),
        "payload": About("words", "the event that Kafka refused", "the service", "without the words, or emptied"),
        "riders": About("id", "finds the held events of one rider", "the service", "ids stay, and lead to nobody"),
        "discarded_by": STAFF,
    },
    "outbox_holds": {
        **plain("topic code detail"),
        "key": About("id", "whose events wait behind a refused one", "operators", "goes with its last event"),
    },
    "known_areas": plain("code level path successors"),
    "dead_letters": {
        **plain("topic status code resolved_by resolution content"),
        "key": About("number", "the record's key as it came", "operators", "of companies' records: emptied"),
        "value": About("words", "the record, to be handled again", "operators", "emptied, or without the words"),
        "headers": About("number", "the record's headers as they came", "operators", "of companies' records: emptied"),
        "detail": About("words", "why it was refused", "operators", "cut to the kind of error"),
        "riders": About("id", "finds the letters of one rider", "the service", "ids stay, and lead to nobody"),
    },
    "dead_letter_ranges": plain("topic code"),
    "letter_allowances": plain("topic cause granted_by reason"),
    "parked_keys": {
        **plain("topic key_hash"),
        "key": About("id", "whose order waits", "the service", "goes with the letters"),
    },
    "counters": plain("what label"),
    "request_ids": {
        **plain("company request_id content_hash media_type"),
        "response": About("number", "the first answer, to be given again", "its company", "emptied"),
        "riders": About("number", "finds the answers about one rider: hashes", "the service", "emptied"),
    },
    "idempotency_keys": {
        **plain("key body_hash"),
        "principal": About("id", "whose POST it was", "the service", "deleted"),
        "response": About("words", "the first answer, to be given again", "its person", "deleted"),
    },
    "erased_riders": {
        "rider_id": RIDER_ID,
        "number": About("number", "a hash: the company's number is recognised, and refused", "operators", "stays"),
    },
}
"""Those that every service has."""
