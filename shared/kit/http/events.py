"""CloudEvents over HTTP, with the meaning that they have on Kafka: a route sees their data as its plain JSON body.

`@allow(…, event=True)`: a route takes one event, in structured or binary mode. `@allow(…, events="items")`: a batch,
the data of whose events becomes the list `items` of the body. What events say of themselves comes beside it:

    async def file_report(body: ReportIn, stated: StatedEvent) -> …
    async def file_reports(body: ReportsIn, stated: StatedEvents) -> …     # [] for a plain body

An event of a batch that is none stands as null in the list, and in `stated` with the problem: it costs no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import Depends
from starlette.requests import Request

from shared.events.envelope import EnvelopeError, valid_traceparent
from shared.kit.http.problems import not_taken, shapeless, too_many_items
from shared.kit.messaging import json_bounds
from shared.kit.messaging.cloudevents import BATCHED, STRUCTURED, check_attributes, event_id, media_type, read_object
from shared.kit.problems import MALFORMED_EVENT, MALFORMED_JSON
from shared.kit.refusals import Refusal

_SCOPE_KEY = "beegrid.events"
_PREFIX = "ce-"


@dataclass(frozen=True, slots=True)
class Stated:
    """What an event says of itself; nothing where the body was no event."""

    source: str = ""
    id: str = ""
    traceparent: str | None = None
    refusal: Refusal | None = None
    """Why it is none."""

    def id_at(self, place: str) -> UUID | None:
        """Its id in this suite, the same as on Kafka. `place`: the topic where it could have come as well."""
        return event_id(place, self.source, self.id) if self.id else None


class _Plain(Request):
    """A request as if its events' data had been sent as plain JSON."""

    def __init__(self, request: Request, raw: bytes, found: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._found = found

    async def body(self) -> bytes:
        """As it was sent."""
        return self._raw

    async def json(self) -> Any:
        """The data."""
        return self._found


async def plain(request: Request, *, event: bool, events: str | None, items_max: int) -> Request:
    """The request with a plain body, what its events say kept beside it. `event`, `events`: what the route takes,
    `items_max`: of a batch.

    Raises the 400 problems for what is no JSON or no event, the 415 problem for a mode that the route doesn't take,
    the 422 problem for a shape that no model has and for a batch of too many.
    """
    kind = media_type(request.headers.get("content-type"))
    if kind not in (STRUCTURED, BATCHED):
        if event or events:
            request.scope[_SCOPE_KEY] = _binary(request, alone=event)
        return _shaped(request, await request.body())
    if not (event if kind == STRUCTURED else events):
        taken = ["application/json", *[STRUCTURED] * event, *[BATCHED] * (events is not None)]
        raise not_taken(", ".join(taken))
    raw = await request.body()
    try:
        found = json_bounds.read(raw)
    except json_bounds.Shapeless as error:
        raise shapeless(error) from error
    except (ValueError, RecursionError) as error:
        raise MALFORMED_JSON(f"the body is not JSON: {type(error).__name__}") from error
    if kind == STRUCTURED:
        stated, data = _read(found)
        if stated.refusal is not None:
            raise stated.refusal
        request.scope[_SCOPE_KEY] = [stated]
        return _Plain(request, raw, data)
    if not isinstance(found, list):
        raise MALFORMED_EVENT("a batch of CloudEvents is a JSON array")
    if len(found) > items_max:
        raise too_many_items(len(found), items_max)
    read = [_read(one) for one in found]
    request.scope[_SCOPE_KEY] = [stated for stated, _ in read]
    return _Plain(request, raw, {events: [data for _, data in read]})


def _shaped(request: Request, raw: bytes) -> Request:
    """The request with its body read, where that must be looked at; what is no JSON is refused by who reads it next."""
    if not json_bounds.needs_check(raw):
        return request
    try:
        return _Plain(request, raw, json_bounds.read(raw))
    except json_bounds.Shapeless as error:
        raise shapeless(error) from error
    except (ValueError, RecursionError):
        return request


def _read(found: Any) -> tuple[Stated, Any]:
    """One event of a body and its data, None where it is none."""
    try:
        attributes, data = read_object(found)
        if isinstance(data, bytes):
            data = _json(data)
    except EnvelopeError as error:
        return Stated(refusal=MALFORMED_EVENT(str(error))), None
    return _stated(attributes), data


def _json(data: bytes) -> Any:
    try:
        return json_bounds.read(data)
    except json_bounds.Shapeless as error:
        raise EnvelopeError(f"data_base64: {error}") from error
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("data_base64 is no JSON") from error


def _stated(attributes: Mapping[str, str]) -> Stated:
    trace = valid_traceparent(attributes.get("traceparent"))
    return Stated(attributes.get("source", ""), attributes.get("id", ""), trace)


def _binary(request: Request, *, alone: bool) -> list[Stated]:
    """What headers say of the body: as on Kafka none is needed, and those that are there must be right."""
    names = {name for name in request.headers if name.startswith(_PREFIX)}
    if not names:
        return []
    if not alone:
        raise MALFORMED_EVENT(f"headers name one event: send a batch as {BATCHED}")
    attributes: dict[str, str] = {}
    for name in names:
        values = request.headers.getlist(name)
        if len(values) > 1:
            raise MALFORMED_EVENT("an attribute's header is there twice")
        try:
            attributes[name.removeprefix(_PREFIX)] = unquote_to_bytes(values[0].encode("latin-1")).decode()
        except UnicodeDecodeError as error:
            raise MALFORMED_EVENT("an attribute's header is not UTF-8") from error
    try:
        check_attributes(attributes)
    except EnvelopeError as error:
        raise MALFORMED_EVENT(str(error)) from error
    return [_stated(attributes)]


async def _one(request: Request) -> Stated:
    return next(iter(request.scope.get(_SCOPE_KEY, ())), Stated())


async def _each(request: Request) -> list[Stated]:
    found: list[Stated] = request.scope.get(_SCOPE_KEY, [])
    return found


StatedEvent = Annotated[Stated, Depends(_one)]
StatedEvents = Annotated[list[Stated], Depends(_each)]


def document(operation: dict[str, Any], schemas: Mapping[str, Any], *, event: bool, events: str | None) -> None:
    """Declare in an operation of an OpenAPI document what a route takes beside plain JSON."""
    content = operation["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    if event:
        content[STRUCTURED] = {"schema": _envelope(schema)}
        operation.setdefault("parameters", []).extend(_HEADERS)
    if events:
        items = schemas[schema["$ref"].rpartition("/")[2]]["properties"][events]
        bounds = {name: items[name] for name in ("minItems", "maxItems") if name in items}
        batch = {"type": "array", "items": _envelope(items["items"]), **bounds}
        # Said as bytes with a schema of their content: beside the JSON body a generator for Python tries a list as a
        # class, and can't send even the JSON body then.
        content[BATCHED] = {
            "schema": {"type": "string", "format": "binary", "contentMediaType": BATCHED, "contentSchema": batch}
        }
        operation.setdefault("parameters", []).append(TRACE)


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "CloudEvents 1.0, structured. The same source and id is the same event, here and on Kafka.",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"type": "string", "enum": ["1.0"]},
            "id": {**text, "maxLength": 200},
            "source": text,
            "type": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"type": "string", "enum": ["application/json"]},
            "data": data,
        },
    }


TRACE = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "W3C trace context; an event's own goes before it",
}
_HEADERS = [
    {
        "name": f"{_PREFIX}{name}",
        "in": "header",
        "required": False,
        "schema": {"type": "string", **bounds},
        "description": f"CloudEvents 1.0 in binary mode: the event's {name}; percent-encoded. The signature of a body "
        "covers no header: structured mode is covered.",
    }
    for name, bounds in (("specversion", {"enum": ["1.0"]}), ("id", {"minLength": 1, "maxLength": 200}),
                         ("source", {"minLength": 1}))
]  # fmt: skip
