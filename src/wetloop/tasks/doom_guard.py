"""Becomes a game's engine that dies with the process that started it; run as a script, so it needs no package.

Arguments: process id of the parent, the path to run (its last part names the process), the engine, its arguments.
The engine keeps nothing of its parent: files are closed, what it prints is dropped, its folder is that of the path;
its process id is left there.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG, SIGKILL = 1, 9
PID_FILE = "pid"


def become(parent_pid: int, path: str, *arguments: str) -> None:
    """Replace this process by the engine."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(SIGKILL), *[ctypes.c_ulong(0)] * 3)
    if os.getppid() != parent_pid:
        sys.exit(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(os.path.dirname(path))  # noqa: PTH120  (pathlib would take longer to import than all of this)
    with open(PID_FILE, "w", encoding="ascii") as file:  # noqa: PTH123  (likewise)
        file.write(str(os.getpid()))
    os.execv(path, arguments)  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    become(int(sys.argv[1]), *sys.argv[2:])
