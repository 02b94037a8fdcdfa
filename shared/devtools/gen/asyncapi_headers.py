"""Every Kafka header that the suite writes, described once for the AsyncAPI document."""

from typing import Any

from shared.kit.consuming.record_reading import HEADER_BYTES_MAX, HEADERS_MAX

TRACE = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


def _text(words: str, **limits: object) -> dict[str, Any]:
    return {"type": "string", **limits, "description": words}


def _number(words: str) -> dict[str, Any]:
    return _text(words, pattern="^[0-9]+$")


def _moment(words: str) -> dict[str, Any]:
    return _text(words, format="date-time")


def _headers(described: dict[str, dict[str, Any]], *required: str) -> dict[str, Any]:
    """A schema of headers; `required`: those that are always there."""
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": described}


CLOUD_EVENT_HEADERS = _headers(
    {
        "ce_specversion": _text("version of CloudEvents", const="1.0"),
        "ce_id": _text(
            "事件编号,去重依据 / id of the event, a UUIDv7. A record can arrive more than once; the same ce_id is the "
            "same event: drop the second.",
            format="uuid",
        ),
        "ce_source": _text("who wrote it: /beegrid/<service>, or what a company states about itself"),
        "ce_type": _text(
            "the topic's name without the installation's prefix; the last part is the version of the contract"
        ),
        "ce_subject": _text("id of the aggregate that the event is about: the same text as the record's key"),
        "ce_time": _moment("when it happened (RFC 3339 with offset), not when it was published"),
        "ce_aggregateversion": _number(
            "对象的版本号 / the aggregate's version after this event, a decimal number: 1, 2, 3 … for one ce_subject, "
            "in this order on the topic. A number no larger than the last one seen is a repetition, or the tombstone "
            "of that state. Whoever reads along sees no gap; one means that something was missed, or that superseded "
            "states have gone, where a topic keeps the latest of each key. 0 or absent: the event has no aggregate."
        ),
        "content-type": _text("of the record's value", const="application/json"),
        "traceparent": _text(
            "W3C trace context of the request or event that caused this one; absent where nothing was traced",
            pattern=TRACE,
        ),
    },
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type",
)  # fmt: skip

DEAD_LETTER_HEADERS = _headers(
    {
        "dlq-topic": _text("topic on which the record was, by its whole name, with the installation's prefix"),
        "dlq-partition": _number("its partition"),
        "dlq-offset": _number("its offset"),
        "dlq-consumer": _text(
            "service that could not use it. Several services read one topic and share its dead-letter topic: this "
            "header tells them apart."
        ),
        "dlq-code": _text("reason for machines: a word that doesn't change. Each message lists its own"),
        "dlq-detail": _text("reason for people; holds no value of the body"),
        "dlq-attempts": _number("how often it was tried"),
        "dlq-cut": _number("only of a value that is longer than this topic takes: its whole length in bytes"),
        "dlq-key-cut": _number("only of a key of more than 64 KiB: its whole length in bytes"),
        "dlq-content": _text(
            "only where value, key and headers aren't here. left_out and counted: the topic has too many dead "
            "letters; what was refused is still on it at these offsets, and can be sent again, also under the "
            "same ce_id. erased: its rider has been erased.",
            enum=["left_out", "counted", "erased"],
        ),
        "dlq-records": _number(
            "only of counted ones: how many records this stands for, from dlq-offset to dlq-last-offset"
        ),
        "dlq-last-offset": _number(
            "only of counted ones: the last offset. Others that lie between may have taken effect"
        ),
        "dlq-at": _moment("when it was given up"),
        "dlq-status": _text(
            "dead: could not be read or kept failing. parked: waits behind a dead letter of the same key, in order. "
            "rejected: understood, and refused for a reason of business; it is never tried again by itself.",
            enum=["dead", "parked", "rejected"],
        ),
    },
    "dlq-topic", "dlq-partition", "dlq-offset", "dlq-consumer", "dlq-code", "dlq-detail", "dlq-attempts", "dlq-at",
    "dlq-status",
)  # fmt: skip

DEAD_LETTER_KEY = "the original key, byte for byte; none where the record had none, and of counted ones (dlq-content)"

DEAD_LETTER_WORDS = (
    "死信 / A record that a service could not use: key and value byte for byte, its original headers as they came "
    f"(none where they were more than {HEADERS_MAX}, or {HEADER_BYTES_MAX // 1024} KiB), and behind them the `dlq-*` "
    "headers with the reason, all UTF-8 text (where a header of that name came too, "
    "the last one is the suite's). The value can be anything, also not JSON. The service's database keeps the record "
    "until an operator replays or discards it (`/ops/<service>/dead-letters`), whole while its topic has not too many; "
    "this topic only lets others know."
)

SUBMISSION_HEADERS = _headers(
    {
        "ce_id": _text(
            "企业自己的记录编号,建议填写 / the company's own id of this record, recommended: the same ce_id of the "
            "same ce_source sent again has no second effect, and with other content it is a dead letter "
            "(`event_known`). Without it the record's place on the topic is its id.",
            maxLength=200,
        ),
        "ce_source": _text(
            "企业内部的来源 / which of the company's systems speaks. Two systems that number their records alike "
            "state one each: only source and id together name an event."
        ),
        "content-type": _text(
            "`application/cloudevents+json`: the value is a whole CloudEvent in structured mode, the body is its "
            "`data` (or `data_base64`), and `specversion`, `id`, `source` and `type` must be there. Anything else, "
            "or none: the value is the body."
        ),
        "traceparent": CLOUD_EVENT_HEADERS["properties"]["traceparent"],
    }
)

SUBMISSION_WORDS = (
    "A company's record needs no header. CloudEvents are welcome in binary mode (headers) and in structured mode "
    "(content-type); attributes that are not listed are ignored. Which company speaks is "
    "said by the topic's name alone, which only that company's user may write. The key is the body's number, or there "
    "is none; a field that nobody knows is refused. Batches may be packed with gzip, "
    "snappy, lz4 or zstd: from up to 32 MiB, to no less than a hundredth. One that can't be unpacked is one dead "
    "letter for all its records."
)

HEADER_EXAMPLE_ID = "0199a2c4-01c0-71c0-81c0-5f0c7be101c0"
HEADER_EXAMPLE_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def header_example(source: str, ce_type: str, subject: str, time: str, version: int) -> dict[str, str]:
    """Headers of one example message."""
    return {
        "ce_specversion": "1.0",
        "ce_id": HEADER_EXAMPLE_ID,
        "ce_source": source,
        "ce_type": ce_type,
        "ce_subject": subject,
        "ce_time": time,
        "ce_aggregateversion": str(version),
        "content-type": "application/json",
        "traceparent": HEADER_EXAMPLE_TRACE,
    }
