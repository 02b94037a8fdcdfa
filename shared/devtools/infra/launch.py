"""Becomes a server process: drops root, asks the kernel to end it with its launcher, then executes the server.

Run as a script with `python -I -S launch.py <parent pid> <death signal> <uid> <gid> <program> <args…>`. A separate tiny
program instead of `preexec_fn`, because that one can deadlock in a launcher that has threads. Standard library only.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Replaces this process by the program; never returns. uid or gid -1 keeps the present one."""
    parent, death_signal, uid, gid = (int(word) for word in argv[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid: a change of credentials clears the setting.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)  # the launcher died before the kernel was asked
    os.execv(argv[4], argv[4:])  # noqa: S606 # to become another program is all it is for


if __name__ == "__main__":
    main(sys.argv[1:])
