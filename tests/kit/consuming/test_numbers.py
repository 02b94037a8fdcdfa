"""A company hears of its refused records under the number in their body, wherever that can be read."""

import base64
from typing import Any

import orjson
import pytest

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.consuming.decode import Decoder, Unreadable
from shared.kit.consuming.numbers import number_of
from shared.kit.consuming.pending import burial, refused_records
from shared.kit.messaging.work import Record

BODY: dict[str, Any] = {"external_id": "r-1", "rider": "7"}
EVENT = {"specversion": "1.0", "id": "17", "source": "/a", "type": "report"}
RAW = orjson.dumps(BODY)


def record(key: bytes | None, value: bytes | None) -> Record:
    return Record("inbound.suda.reports.v1", 0, 7, key, value, ())


@pytest.mark.parametrize("key", [None, b"", b"r-2", b"\xff", b"with a space"])
@pytest.mark.parametrize(
    "value",
    [
        RAW,
        orjson.dumps({**BODY, "external_id": " ｒ-１ "}),
        orjson.dumps({**EVENT, "data": BODY}),
        orjson.dumps({"id": "no event", "data": BODY}),
        orjson.dumps({**EVENT, "data_base64": base64.b64encode(RAW).decode()}),
    ],
)
def test_the_bodys_number_goes_before_any_key(value: bytes, key: bytes | None) -> None:
    assert number_of(INBOUND_REPORTS, record(key, value)) == "r-1"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{broken",
        b"[" * 10_000,
        b"7",
        orjson.dumps({"rider": "7"}),
        orjson.dumps({"external_id": 7}),
        orjson.dumps({"external_id": "x" * 65}),
        orjson.dumps({"external_id": "a b"}),
        orjson.dumps({"data_base64": "r-1"}),
        orjson.dumps({"data": [], "data_base64": 1}),
        RAW + b" " * INBOUND_REPORTS.record_bytes_max,
    ],
)
def test_where_it_says_none_the_key_is_the_number(value: bytes | None) -> None:
    assert number_of(INBOUND_REPORTS, record(b"r-2", value)) == "r-2"
    assert number_of(INBOUND_REPORTS, record(None, value)) is None
    assert number_of(INBOUND_REPORTS, record(b"\xff", value)) is None


def test_a_key_that_is_another_number_is_refused_under_the_bodys() -> None:
    whole = {
        **BODY, "kind": "part-01001", "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"},
        "occurred_at": "2018-05-01T12:00:00+08:00",
    }  # fmt: skip
    [item] = Decoder(INBOUND_REPORTS, "").decode([record(b"r-2", orjson.dumps(whole))])
    assert isinstance(item, Unreadable)
    [refused] = refused_records(INBOUND_REPORTS, [], [burial(item, item.status, item.code, item.detail, 1)])
    assert (refused.company, refused.key, refused.code) == ("suda", "r-1", "external_id_mismatch")
