"""The parent's side of one decoding process."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from services.intake import problems
from services.intake.domain import ProcessedPhoto
from services.intake.usecases.decoding import framing

MODULE = "services.intake.usecases.decoding"
ROOT = Path(__file__).parents[4]
START_S = 20.0
GRACE_S = 1.0
SLICE = 256 * 1024
# One heap, and every large block given back to the system when it is freed: a warm process stays small.
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(1024 * 1024),
}


class DecoderUnavailable(Exception):
    """A decoding process can't be started."""


class Child:
    """A running decoding process; one photo at a time. It inherits neither secrets nor threads."""

    def __init__(self, process: asyncio.subprocess.Process, seconds: int) -> None:
        assert process.stdin is not None, "started with pipes"
        assert process.stdout is not None, "started with pipes"
        self._process = process
        self._photos = process.stdin
        self._answers = process.stdout
        self._seconds = seconds

    @classmethod
    async def start(cls, memory_mb: int, seconds: int) -> "Child":
        """A process that is ready for photos.

        Raises:
            DecoderUnavailable: it did not become ready.
        """
        arguments = [sys.executable, "-s", "-m", MODULE, str(os.getpid()), str(memory_mb), str(seconds)]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, env=_ENVIRONMENT)
        except OSError as error:
            raise DecoderUnavailable(type(error).__name__) from error
        child = cls(process, seconds)
        try:
            async with asyncio.timeout(START_S):
                if await child._answer() != framing.READY:
                    raise DecoderUnavailable("not ready")
        except (OSError, EOFError, framing.Garbled) as error:  # a TimeoutError is an OSError
            await child.kill()
            raise DecoderUnavailable(type(error).__name__) from error
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    async def remade(self, content: bytes) -> ProcessedPhoto:
        """The photo remade. Whatever is raised but Refusal, the process is of no more use: kill it.

        Raises:
            Refusal: it can't be used, or the process reached a limit with it.
        """
        try:
            async with asyncio.timeout(self._seconds + GRACE_S):
                self._photos.write(framing.length(len(content)))
                for start in range(0, len(content), SLICE):
                    self._photos.write(content[start : start + SLICE])
                    await self._photos.drain()
                return framing.photo_of(await self._answer())
        except (OSError, EOFError, framing.Garbled) as error:  # a TimeoutError is an OSError
            await self.kill()
            raise problems.PHOTO_TOO_HEAVY() from error

    async def _answer(self) -> bytes:
        size = int.from_bytes(await self._answers.readexactly(framing.LENGTH_BYTES), "big")
        if size > framing.ANSWER_MAX:
            raise framing.Garbled("too long")
        return await self._answers.readexactly(size)

    async def kill(self) -> None:
        """End it at once, whatever it does, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._photos.close()
        await asyncio.shield(self._process.wait())
