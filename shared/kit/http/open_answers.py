"""A bound on long answers that are being sent: each open one holds the piece at hand and what makes the next.

A connection that reads slowly keeps its answer open for as long as its route's time limit, so what one caller may have
open, and a process altogether, is counted and not left to the rate of requests.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from shared.kit import metrics
from shared.kit.problems import ServiceBusy, too_many

RETRY_AFTER_S = 10


class OpenAnswers:
    """The long answers of one kind that this process sends now."""

    def __init__(self, *, of_caller: int, of_all: int) -> None:
        self._of_caller = of_caller
        self._of_all = of_all
        self._open: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many are being sent."""
        return self._open.total()

    def stream(
        self, caller: str, pieces: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str]
    ) -> StreamingResponse:
        """The pieces as one of the caller's answers.

        Counted from its first byte to its last: before it, the answer becomes the 429 problem where the caller has
        enough open, or the 503 one where the process has.
        """
        return _Counted(self, caller, pieces, media_type, headers)

    @contextlib.contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Counts an answer while it is being sent. Raises the 429 and 503 problems."""
        if self._open[caller] >= self._of_caller:
            metrics.RATE_LIMITED.labels("open").inc()
            raise too_many(RETRY_AFTER_S)
        if self.open >= self._of_all:
            raise ServiceBusy("too many of these answers are being sent", RETRY_AFTER_S)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]


class _Counted(StreamingResponse):
    """Takes its place where it is sent, not where it is made: one that nobody sends would keep it for ever."""

    def __init__(
        self,
        answers: OpenAnswers,
        caller: str,
        pieces: AsyncGenerator[bytes],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._answers = answers
        self._caller = caller
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._answers.one(self._caller):
            async with contextlib.aclosing(self._pieces):
                await super().__call__(scope, receive, send)
