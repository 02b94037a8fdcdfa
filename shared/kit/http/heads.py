"""A bound on what stands before a request's body: address and headers, and trailers behind it.

Uvicorn's quick parser has none: one connection without a token could fill the memory with a header. The bound is on
what is kept, so that a connection may be ahead of it by what is read at once, a quarter of a MiB. Nor does uvicorn
count requests that wait behind the one that is answered: each is a few bytes to send, and some kilobytes to keep.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shared.kit.http.unread import ReadAnswers

HEAD_BYTES_MAX = 64 * 1024
"""Address, names and values together. As much as uvicorn's other parser takes; a token has less than 2 KiB."""
QUEUED_MAX = 16
"""Requests of one connection that wait behind the one that is being answered. Hardly any client sends a second."""
_URI_TOO_LONG, _HEADERS_TOO_LARGE = 414, 431
_TOO_MANY = 429


class _HeadTooLarge(Exception):
    """Ends the parsing; uvicorn takes it for a request that can't be read."""


class _TooFarAhead(Exception):
    """Ends the parsing, and the connection."""


class BoundedHeads(ReadAnswers):
    """Uvicorn's protocol; a request of more than HEAD_BYTES_MAX before its body gets 414 or 431 and no more is read.

    A connection with more than QUEUED_MAX requests waiting is ended.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._unseen_bytes = 0  # a header is handed over once it is whole: what was read since then is in the parser
        self._refusal: int | None = None

    def data_received(self, data: bytes) -> None:
        """Called with what was read from the connection."""
        if self._refusal is not None:
            return
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self._unseen_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refusal = _HEADERS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Called by the parser with each piece of the address."""
        self._count(len(url), _URI_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header, and each trailer."""
        self._count(len(name) + len(value) + len(": \r\n"), _HEADERS_TOO_LARGE)
        self._unseen_bytes = 0
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._unseen_bytes = 0
        super().on_headers_complete()
        if len(self.pipeline) > QUEUED_MAX:
            self._refusal = _TOO_MANY
            raise _TooFarAhead

    def on_body(self, body: bytes) -> None:
        """Called by the parser with each piece of the body."""
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._unseen_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called where a request can't be read, also for what was refused here."""
        if self._refusal is None:
            super().send_400_response(msg)
            return
        if self._refusal == _TOO_MANY:  # an answer to another request may be on its way: nothing can be said between
            self.pipeline.clear()
            self.transport.close()
            return
        answer = b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[self._refusal] + answer)
        self.transport.close()

    def _count(self, size: int, refusal: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refusal = refusal
            raise _HeadTooLarge
