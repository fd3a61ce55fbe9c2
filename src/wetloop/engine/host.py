"""What the operating system can do for real time, and what is left of sessions that died.

Everything here is asked for where it is permitted, never required, and never raises: a session without any of it runs
too, only less punctually. What comes back is what the kernel says, not what was asked for.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal["engine", "source", "stimulator", "recorder", "task", "session", "viewer"]

PR_SET_PDEATHSIG, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 1, 29, 30
MCL_CURRENT, MCL_FUTURE = 1, 2
CAP_IPC_LOCK: Final = 14
PINNED_FROM_CPUS: Final = 4
"""With fewer CPUs than this, pinning takes more from the scheduler than it gives to the loop."""


class _Wish(NamedTuple):
    """``fifo_priority`` None: the normal scheduler, at this ``nice``; ``cpu``: position from the end of the list.

    ``batch``: never take a CPU from others upon waking up.
    """

    fifo_priority: int | None = None
    cpu: int = 0
    nice: int = 0
    batch: bool = False


WISHES: Final[dict[Role, _Wish]] = {
    "engine": _Wish(fifo_priority=50, cpu=-1),
    "source": _Wish(fifo_priority=45, cpu=-2),
    "stimulator": _Wish(fifo_priority=40, cpu=-3),
    "recorder": _Wish(nice=5),
    "task": _Wish(),
    "session": _Wish(),
    "viewer": _Wish(nice=19, batch=True),
}
"""The engine comes first: a late source delays a block, a late engine delays every pulse."""
NAMES: Final[dict[Role, str]] = {role: f"wetloop-{role}"[:15] for role in WISHES if role not in {"session", "viewer"}}
"""Names of a session's processes in ``ps`` and ``top``; the kernel keeps 15 characters."""
GAME: Final = "wetloop-game"
"""Name of a game's own engine, which a task starts."""


@dataclass(frozen=True)
class Permissions:
    """What a process really got.

    Attributes
    ----------
    fifo_priority
        Priority under SCHED_FIFO; None under the normal scheduler.
    memory_locked
        Whether pages of the process, present and future, stay in memory.
    cpus
        CPUs that the calling thread may run on.
    timer_slack_ns
        How much later than asked the kernel may end a sleep, ns (0 under SCHED_FIFO); None where it does not tell.
    nice
        Niceness under the normal scheduler.
    batch
        Whether it waits for its turn upon waking up (SCHED_BATCH).
    """

    fifo_priority: int | None
    memory_locked: bool
    cpus: tuple[int, ...]
    timer_slack_ns: int | None
    nice: int = 0
    batch: bool = False

    def describe(self) -> str:
        """Return it in words, for a status line."""
        nice = f" (nice {self.nice})" if self.nice else ""
        priority = f"normal priority{nice}" if self.fifo_priority is None else f"SCHED_FIFO {self.fifo_priority}"
        slack = "unknown" if self.timer_slack_ns is None else f"{self.timer_slack_ns} ns"
        locked = "memory locked" if self.memory_locked else "memory not locked"
        return f"{priority}, {locked}, timer slack {slack}, CPU {', '.join(map(str, self.cpus))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for the recording and for JSON."""
        return {**asdict(self), "cpus": list(self.cpus)}


def obtain(role: Role) -> Permissions:
    """Take what this role of a session is permitted, for the calling thread, and name the process after the role.

    Memory is locked for the whole process. Threads and programs that the thread starts later get the normal scheduler:
    a busy helper at real-time priority could starve the machine.
    """
    wish = WISHES[role]
    _name_process(role)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    if wish.fifo_priority is None:
        _be_nice(wish.nice, batch=wish.batch)
        locked = False
    else:
        locked = _may_lock_memory() and libc.mlockall(MCL_CURRENT | MCL_FUTURE) == 0
        if _go_real_time(wish.fifo_priority):
            _pin(wish.cpu)
    slack_ns = libc.prctl(PR_GET_TIMERSLACK, *[ctypes.c_ulong(0)] * 4)
    return Permissions(
        fifo_priority=_fifo_priority(),
        memory_locked=locked,
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        timer_slack_ns=slack_ns if slack_ns >= 0 else None,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        batch=os.sched_getscheduler(0) == os.SCHED_BATCH,
    )


def die_with_parent(number: int = signal.SIGKILL, parent_pid: int | None = None) -> None:
    """Have the kernel send this process a signal when the thread that started it ends, however it ends.

    Parameters
    ----------
    number
        The signal.
    parent_pid
        Whose child this process is meant to be; where that one has ended already, the signal is sent at once.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(number), *[ctypes.c_ulong(0)] * 3)
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), number)


class Stray(NamedTuple):
    """A process that its session left behind."""

    pid: int
    command: str


def strays() -> list[Stray]:
    """Return processes of earlier sessions that still run although their parent is gone, by process id.

    A session's processes bear one of ``NAMES`` and run the interpreter of their parent, a game's engine runs under some
    Python; an orphan is handed to init or to a service manager, which is neither. Zombies and other users' processes
    are not seen.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (folder / "comm").read_text().strip()
            if name in {*NAMES.values(), GAME} and _orphaned(folder, name):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(Stray(int(folder.name), f"{name} ({command})"))
    return sorted(found)


def _orphaned(process: Path, name: str) -> bool:
    executable = (process / "exe").readlink()
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    try:
        above = Path(f"/proc/{parent}/exe").readlink()
    except OSError:
        return True
    return not above.name.startswith("python") if name == GAME else above != executable


def _name_process(role: Role) -> None:
    if role in NAMES:
        with suppress(OSError):
            Path("/proc/self/comm").write_text(NAMES[role])


def _be_nice(nice: int, *, batch: bool) -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
        if batch:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _may_lock_memory() -> bool:
    """Tell whether memory may be locked without bound: under a bound, a later allocation would fail in mid-session."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        effective = next(line for line in lines if line.startswith("CapEff:"))
        return bool(int(effective.split()[1], 16) >> CAP_IPC_LOCK & 1)
    return False


def _go_real_time(priority: int) -> bool:
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        return True
    return False


def _fifo_priority() -> int | None:
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_FIFO:
        return None
    return os.sched_getparam(0).sched_priority


def _pin(position: int) -> None:
    """Keep to one CPU, where there are enough; a thread without priority could wait there behind another for long."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) >= PINNED_FROM_CPUS:
        with suppress(OSError):
            os.sched_setaffinity(0, {cpus[position]})
