"""How the Python of a real-time session's processes waits: in naps, for a word or a ring, never in a full spin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.engine.live import NAP_NS, SPIN_NS
from wetloop.engine.words import ENDED, GO, POSITION, SILENCE, STOP
from wetloop.kernels.clock import now_ns, pause, sleep_until_ns
from wetloop.kernels.jit import kernel
from wetloop.kernels.rings import ENGINE, load_acquire, waiting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.kernels.rings import Ring

LONG_WAIT_NS = 500_000
"""Between two looks for triggers, ns: they come well ahead of their samples."""


@kernel
def wait_start(control: npt.NDArray[np.int64], until_ns: int) -> bool:
    """Poll until the session lets the rig go or ends, or ``until_ns``; return whether the wait is over."""
    while load_acquire(control, GO) == 0 and load_acquire(control, STOP) == 0 and now_ns() < until_ns:
        sleep_until_ns(now_ns() + NAP_NS)
    return bool(load_acquire(control, GO) != 0 or load_acquire(control, STOP) != 0)


@kernel
def wait_position(control: npt.NDArray[np.int64], sample: int, until_ns: int) -> int:
    """Poll until the engine is done up to ``sample``, the source ends, or ``until_ns``; return its position."""
    while load_acquire(control, POSITION) < sample and load_acquire(control, ENDED) == 0 and now_ns() < until_ns:
        sleep_until_ns(now_ns() + NAP_NS)
    return int(load_acquire(control, POSITION))


@kernel
def wait_stop(control: npt.NDArray[np.int64], until_ns: int) -> None:
    """Poll until the session ends, or ``until_ns``."""
    while load_acquire(control, STOP) == 0 and now_ns() < until_ns:
        sleep_until_ns(now_ns() + NAP_NS)


@kernel
def wait_trigger(triggers: Ring, control: npt.NDArray[np.int64], until_ns: int) -> bool:
    """Poll until a trigger waits, the session falls silent or ends, or ``until_ns``; return whether nothing ends it.

    The last stretch before ``until_ns`` is spun, as a pulse may be due then.
    """
    while load_acquire(control, STOP) == 0 and load_acquire(control, SILENCE) == 0:
        now = now_ns()
        if now >= until_ns or waiting(triggers, ENGINE) > 0:
            return True
        if until_ns - now > SPIN_NS:
            sleep_until_ns(min(now + LONG_WAIT_NS, until_ns - SPIN_NS))
        else:
            pause()
    return False
