"""Logs: one JSON object a line on stdout, with trace and service, and without what must not be in a log."""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import Processor, WrappedLogger

from shared.kit.privacy.masking import masked
from shared.kit.telemetry.rarely import Rarely

REDACTED = "[redacted]"
_DEPTH_MAX = 8
TEXT_LENGTH_MAX = 8_000
"""Characters of one text that a line keeps: the first half and the last, where errors say what they are."""
_TORN = 100  # characters at a cut, where half of a number may stand that nobody would know for one
# a name with one of these words in it ("phone_hash", "Authorization", "api-token")
_SECRET_WORDS = frozenset(
    {
        "phone",
        "mobile",
        "token",
        "secret",
        "authorization",
        "password",
        "passwd",
        "signature",
        "cookie",
        "longitude",
        "latitude",
        "plate",
    }
)
# exactly these: as a word they are part of harmless names ("status_code", "place_holder")
_SECRET_NAMES = frozenset({"lng", "lat", "lon", "place", "address", "code", "sealed_key", "dsn", "photo"})
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# also inside of what could be an id: a log needs no number of eleven digits
_PHONE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)")
_POSITION = re.compile(r"(?<![\d.])\d{2,3}\.\d{4,}[,\s]+\d{1,2}\.\d{4,}")
_OURS_ALONE = ("uvicorn.access",)  # request lines carry query strings; the metrics count requests
_ROUTED = ("uvicorn", "uvicorn.error", "faststream", "aiokafka", "asyncpg", "httpx", "py.warnings")


def configure_logging(service: str, level: str, stream: TextIO | None = None) -> None:
    """Once per process, before anything logs. Everything of stdlib logging (uvicorn, FastStream, aiokafka) joins in.

    `level`: DEBUG, INFO, WARNING or ERROR. `stream`: stdout unless a test wants it.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _identify(service, os.environ.get("HOSTNAME", "") or f"pid-{os.getpid()}"),
        _trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(Rarely())
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _ROUTED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _OURS_ALONE:
        logging.getLogger(name).disabled = True
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=stream is None,
    )


def redact(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values of telling names, and phone numbers and positions inside texts, are blotted out."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def is_secret_name(name: str) -> bool:
    """Whether a value of this name never belongs in a log."""
    return name.lower() in _SECRET_NAMES or any(word.lower() in _SECRET_WORDS for word in _WORDS.findall(name))


def _clean(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name):
        return REDACTED
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, int):
        return REDACTED if _PHONE.fullmatch(str(value)) else value
    if isinstance(value, float):
        return value
    if depth >= _DEPTH_MAX:
        return REDACTED
    if isinstance(value, Mapping):
        return {_clean_text(str(k)): _clean(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(name, item, depth + 1) for item in value]
    return value if name.startswith("_") else _clean_text(str(value))


def _clean_text(text: str) -> str:
    """Blotted, and before that cut: blotting is expensive, and whoever is refused may have written what is logged."""
    if len(text) <= TEXT_LENGTH_MAX:
        return _blotted(text)
    half = TEXT_LENGTH_MAX // 2
    begin, end = _blotted(text[:half])[:-_TORN], _blotted(text[-half:])[_TORN:]
    return f"{begin} [… {len(text)} characters …] {end}"


def _blotted(text: str) -> str:
    return _POSITION.sub(REDACTED, _PHONE.sub(REDACTED, masked(text, REDACTED)))


def _identify(service: str, instance: str) -> Processor:
    def identify(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        event["instance"] = instance
        return event

    return identify


def _trace(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
        event["span_id"] = f"{span.span_id:016x}"
    return event


def _to_json(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
