"""What ``wetloop doctor`` asks of the computer itself: processors, clock, kernel, permissions, leftovers.

A check looks at one thing and says what to do about it. *Pass*: fit; *warn*: works, but less well; *fail*: a session
would not work; *skip*: cannot be told here.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from wetloop.engine.arena import segments
from wetloop.engine.host import strays

if TYPE_CHECKING:
    from wetloop.cli.spread import Spread
    from wetloop.engine.host import Permissions

Level: TypeAlias = Literal["pass", "warn", "fail", "skip"]

ENOUGH_CPUS = 4
"""Source, engine and stimulator each on their own, one for everything else."""
FAST_CLOCKS = ("tsc", "arch_sys_counter")
"""Clock sources that are read without entering the kernel or the hypervisor."""
CLOCK_FILE = "sys/devices/system/clocksource/clocksource0/current_clocksource"
LIMITS_FILE = "/etc/security/limits.d/wetloop.conf"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What was looked at.
    level
        How it is.
    value
        What was found.
    remedy
        What to do about it; empty where there is nothing to do.
    spread
        Distribution of what was measured, if anything was.
    """

    name: str
    level: Level
    value: str
    remedy: str = ""
    spread: Spread | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON; times in us."""
        named = {"name": self.name, "level": self.level, "value": self.value, "remedy": self.remedy or None}
        return named if self.spread is None else {**named, **self.spread.to_dict()}


def judged(name: str, value: str, *, good: bool, remedy: str, otherwise: Level = "warn") -> Check:
    """Return a check that passes if ``good``; the remedy is kept only where it does not."""
    return Check(name, "pass", value) if good else Check(name, otherwise, value, remedy)


def cores() -> Check:
    """Count the CPUs that this process may use."""
    n = len(os.sched_getaffinity(0))
    return judged(
        "processors",
        f"{n} CPU{'s' * (n != 1)}",
        good=n >= ENOUGH_CPUS,
        remedy=f"a session in real time has processes for {ENOUGH_CPUS}: give it that many, and keep others off",
    )


def preemption(root: Path = Path("/")) -> Check:
    """Tell how the kernel may be interrupted, from its build string; ``root`` holds ``proc`` and ``sys``."""
    words = _text(root / "proc/version").replace("(", " ").replace(")", " ").split()
    real_time = _text(root / "sys/kernel/realtime") == "1"
    model = "PREEMPT_RT" if real_time else next((word for word in words if word.startswith("PREEMPT")), "")
    return judged(
        "kernel preemption",
        model or "none told",
        good=bool(model),
        remedy="a kernel that cannot be interrupted holds the loop up for ms: install one built with PREEMPT_RT",
    )


def clock_source(root: Path = Path("/")) -> Check:
    """Tell what the kernel reads the time from."""
    name = _text(root / CLOCK_FILE)
    if not name:
        return Check("clock source", "skip", "not told by this kernel")
    return judged(
        "clock source",
        name,
        good=name in FAST_CLOCKS,
        remedy=f"reading {name} is slow; if dmesg names no fault of the tsc, boot with clocksource=tsc tsc=reliable",
    )


def governor(root: Path = Path("/")) -> Check:
    """Tell whether the clock rate of a CPU follows its load: one that sleeps most of a frame is slowed down."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    found = sorted({_text(file) for file in files})
    if not found:
        return Check("CPU governor", "skip", "not managed by this kernel (a virtual machine, or fixed in the BIOS)")
    return judged(
        "CPU governor",
        ", ".join(found),
        good=found == ["performance"],
        remedy="keep the clock rate up: sudo cpupower frequency-set --governor performance",
    )


def real_time(permissions: Permissions) -> Check:
    """Tell whether an engine got real-time priority."""
    limit = _limit(resource.RLIMIT_RTPRIO)
    got = permissions.fifo_priority
    return judged(
        "real-time priority",
        f"SCHED_FIFO {got}" if got is not None else f"not permitted (RLIMIT_RTPRIO {limit})",
        good=got is not None,
        remedy=f"write '@GROUP - rtprio 95' with a group of yours into {LIMITS_FILE} and log in again",
    )


def memory_lock(permissions: Permissions) -> Check:
    """Tell whether an engine could lock its memory."""
    limit = _limit(resource.RLIMIT_MEMLOCK)
    return judged(
        "memory lock",
        "permitted" if permissions.memory_locked else f"not permitted (RLIMIT_MEMLOCK {limit})",
        good=permissions.memory_locked,
        remedy=f"write '@GROUP - memlock unlimited' with a group of yours into {LIMITS_FILE} and log in again",
    )


def stray_processes() -> Check:
    """Look for processes of sessions that died: one may still hold the rig."""
    found = strays()
    return judged(
        "stray processes",
        "\n".join(f"{pid}: {command}" for pid, command in found) or "none",
        good=not found,
        remedy=f"end what earlier sessions left behind: kill {' '.join(str(pid) for pid, _ in found)}",
        otherwise="fail",
    )


def shared_memory() -> Check:
    """Look for shared memory of sessions that died."""
    stale = [(name, size) for name, is_stale, size in segments() if is_stale]
    return judged(
        "shared memory",
        "\n".join(f"{name}: {size / 1e6:.1f} MB, left behind" for name, size in stale) or "nothing left behind",
        good=not stale,
        remedy="the next session in real time sweeps it up",
    )


def _limit(which: int) -> str:
    soft = resource.getrlimit(which)[0]
    return "unlimited" if soft == resource.RLIM_INFINITY else str(soft)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
