"""Every column and every field of an event that can be about a person says whether it does. Real Postgres."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from shared.devtools.gen.data_map_doc import columns_of
from shared.devtools.gen.files import ROOT
from shared.events.personal import Impersonal, Personal, inner_models, marked_fields
from shared.events.registry import AnyTopic, topics
from shared.events.topic import EventModel
from shared.kit.postgres.db import Pool
from shared.kit.privacy.data_map import KIT_COLUMNS, RIDER_ID, faults, plain
from shared.provision.services import service_names

PoolFor = Callable[[str], Awaitable[Pool]]
COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema()
AND table_name IN (SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()
                   AND table_type = 'BASE TABLE' AND table_name <> 'schema_migrations')
AND table_name NOT IN (SELECT inhrelid::regclass::text FROM pg_inherits)
"""


@pytest.mark.parametrize("service", service_names(ROOT))
async def test_every_column_is_declared(pool_for: PoolFor, service: str) -> None:
    present: dict[str, dict[str, str]] = defaultdict(dict)
    for row in await (await pool_for(service)).fetch(COLUMNS):
        present[row["table_name"]][row["column_name"]] = row["data_type"]
    assert list(faults({**KIT_COLUMNS, **columns_of(service)}, present)) == []


def test_the_check_of_columns_bites() -> None:
    present = {"notes": {"id": "uuid", "words": "text", "lat": "double precision", "rider_id": "uuid"}}
    assert list(faults({}, present)) == [
        f"notes.{name}: nobody says whether it is about a person" for name in ("words", "lat", "rider_id")
    ]
    assert list(faults({"notes": {"rider_id": RIDER_ID, **plain("words lat gone")}}, present)) == [
        "notes.gone: declared, and not there"
    ]


def unmarked(model: type[BaseModel]) -> Iterator[str]:
    """Fields that can hold any text, or whose rider or place they are, and say nothing about people."""
    for name, mark in marked_fields(model):
        personal = name in ("rider_id", "lng", "lat") and not model.__name__.startswith("Public")
        if mark is None and (personal or _holds_text(model.model_fields[name].annotation)):
            yield f"{model.__name__}.{name}"
        for inner in inner_models(model, name):
            yield from unmarked(inner)


def _holds_text(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        marked = any(isinstance(one, Personal | Impersonal) for one in annotation.__metadata__)
        return not marked and _holds_text(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return False
    return annotation is str or any(_holds_text(one) for one in get_args(annotation))


@pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)
def test_every_field_is_marked(topic: AnyTopic) -> None:
    assert list(unmarked(topic.model)) == []


def test_the_check_of_fields_bites() -> None:
    class Inner(EventModel):
        remark: str | None

    class Outer(EventModel):
        kind: Annotated[str, Impersonal()]
        state: Literal["open"]
        codes: tuple[Annotated[str, Impersonal()], ...]
        names: tuple[str, ...]
        lat: float
        inner: Inner | None

    assert list(unmarked(Outer)) == ["Outer.names", "Outer.lat", "Inner.remark"]
