"""One decoding process: `python -m services.intake.usecases.decoding <parent> <memory in MiB> <seconds a photo>`.

It reads photos from its input and answers each, until its input ends. Whatever a photo makes of it, the system ends it:
at its limit of memory, of processor time, of time by the wall, and with its parent.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import BinaryIO

from services.intake.usecases.decoding import framing
from services.intake.usecases.decoding.pixels import process
from shared.kit.refusals import Refusal

PR_SET_PDEATHSIG = 1
OPEN_FILES_MAX = 64
OUT_OF_MEMORY = 3


def main() -> int:
    """Answer until the input ends; the exit status."""
    parent, memory_mb, seconds = (int(value) for value in sys.argv[1:4])
    bounded(parent, memory_mb)
    photos, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _send(answers, framing.READY)
    # what a codec writes about a photo goes nowhere, and never between two answers
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while content := _next(photos):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            answer = framing.of_photo(process(content))
        except Refusal as refused:
            answer = framing.of_refusal(refused)
        except MemoryError:
            return OUT_OF_MEMORY  # no answer: the parent knows what that means, and starts another process
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, answer)
    return 0


def bounded(parent: int, memory_mb: int) -> None:
    """Limit this process; end it when its parent ends.

    Raises:
        SystemExit: the parent has ended already.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent says when to end
    for limit, most in (
        (resource.RLIMIT_AS, memory_mb * 1024 * 1024),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
    ):
        resource.setrlimit(limit, (most, most))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write("1000")  # if the pod's memory ran out all the same, this process goes first
    if os.getppid() != parent:
        raise SystemExit(1)


def _next(photos: BinaryIO) -> bytes:
    """The next photo; empty at the input's end."""
    size = photos.read(framing.LENGTH_BYTES)
    return photos.read(int.from_bytes(size, "big"))


def _send(answers: BinaryIO, answer: bytes) -> None:
    answers.write(framing.length(len(answer)) + answer)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
