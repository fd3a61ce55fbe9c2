"""Rings with one producer and several readers, used alike from Python and from compiled code.

Control words (int64), each hot one on cache lines of its own: HEAD, slots ever committed; DROPPED, records refused
because a reader had no room; one tail per reader, slots ever released, -1 where no reader is attached. A reader is
never overrun: a full ring drops the newest record and counts it. An observer keeps its own cursor and writes nothing:
the producer may lap it, and it is told how many records it lost.

The parties may be threads or processes, on processors that reorder memory: HEAD and the tails are stored with release
and loaded with acquire. Observers read slots that may be written meanwhile; as in a sequence lock, that takes two
fences more, free on x86: between HEAD and the next write, and between the last read and HEAD.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from wetloop.kernels.clock import now_ns, sleep_until_ns
from wetloop.kernels.jit import inner, intrinsic, kernel

HEAD, LOWEST, DROPPED, FIRST_TAIL, TAIL_STEP, READERS, WORDS = 16, 17, 18, 32, 16, 4, 96
SESSION, RECORDER, STIMULATOR, ENGINE = range(READERS)
POLL_NS = 30_000
"""Between two looks of a waiting reader: waking one instead would cost the producer a system call."""


class Ring(NamedTuple):
    """``words`` int64 (WORDS,), ``slots`` structured (capacity,)."""

    words: npt.NDArray[np.int64]
    slots: npt.NDArray[np.void]


def _load_acquire(_typing: Any, words: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(builder.gep(array.data, [args[1]]), ordering="acquire", align=8)

    return types.int64(words, types.intp), generate


def _store_release(_typing: Any, words: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        builder.store_atomic(args[2], builder.gep(array.data, [args[1]]), ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(words, types.intp, types.int64), generate


def _fence(ordering: str) -> Any:
    def fence(_typing: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), generate

    return intrinsic(fence)


load_acquire = intrinsic(_load_acquire)
store_release = intrinsic(_store_release)
fence_acquire, fence_release = _fence("acquire"), _fence("release")


def new_ring(dtype: np.dtype[np.void], capacity: int, *readers: int) -> Ring:
    """Return an empty ring in ordinary memory with these readers attached."""
    return prepare(Ring(np.zeros(WORDS, np.int64), np.zeros(capacity, dtype)), *readers)


def prepare(ring: Ring, *readers: int) -> Ring:
    """Empty the ring, attach these readers and return it; before anybody else uses it, so no reader attaches later."""
    ring.words[:] = 0
    ring.words[FIRST_TAIL::TAIL_STEP] = -1
    for reader in readers:
        ring.words[FIRST_TAIL + TAIL_STEP * reader] = 0
    return ring


@kernel
def reserve_slot(words: npt.NDArray[np.int64], capacity: int) -> int:
    """Return the slot to fill, or -1 when a reader has no room (counted). Follow with ``commit_slots``."""
    head = words[HEAD]
    if head - words[LOWEST] >= capacity:
        lowest = head
        for k in range(READERS):
            tail = load_acquire(words, FIRST_TAIL + TAIL_STEP * k)
            if 0 <= tail < lowest:
                lowest = tail
        words[LOWEST] = lowest
        if head - lowest >= capacity:
            store_release(words, DROPPED, words[DROPPED] + 1)
            return -1
    fence_release()
    return int(head % capacity)


@kernel
def commit_slots(words: npt.NDArray[np.int64], n: int) -> None:
    """Show the next ``n`` slots to the readers."""
    store_release(words, HEAD, words[HEAD] + n)


@kernel
def reserve(ring: Ring) -> int:
    """Reserve a slot, from compiled code."""
    return reserve_slot(ring.words, ring.slots.size)


@kernel
def commit(ring: Ring) -> None:
    """Commit a slot, from compiled code."""
    commit_slots(ring.words, 1)


def put(ring: Ring, row: tuple[Any, ...]) -> bool:
    """Write one record from Python; return False, counted in the ring, where a reader has no room."""
    slot = reserve_slot(ring.words, ring.slots.size)
    if slot < 0:
        return False
    ring.slots[slot] = row
    commit_slots(ring.words, 1)
    return True


@inner
def waiting(ring: Ring, reader: int) -> int:
    """Return how many committed slots this reader has not released."""
    return int(load_acquire(ring.words, HEAD) - ring.words[FIRST_TAIL + TAIL_STEP * reader])


@inner
def front(ring: Ring, reader: int) -> int:
    """Return the slot that this reader reads next."""
    return int(ring.words[FIRST_TAIL + TAIL_STEP * reader] % ring.slots.size)


@inner
def release(ring: Ring, reader: int) -> None:
    """Let go of the front slot."""
    at = FIRST_TAIL + TAIL_STEP * reader
    store_release(ring.words, at, ring.words[at] + 1)


@kernel
def load_head(words: npt.NDArray[np.int64]) -> int:
    """Return how many slots were ever committed; all of them can be read."""
    return int(load_acquire(words, HEAD))


@kernel
def store_tail(words: npt.NDArray[np.int64], reader: int, tail: int) -> None:
    """Let go of all slots before ``tail``, which have been read; -1 detaches the reader for good, a dead one say."""
    store_release(words, FIRST_TAIL + TAIL_STEP * reader, tail)


@kernel
def wait_for(ring: Ring, reader: int, timeout_ns: int) -> int:
    """Poll until something waits for this reader or the time is over; return how many slots wait."""
    deadline = now_ns() + timeout_ns
    while waiting(ring, reader) == 0:
        now = now_ns()
        if now >= deadline:
            break
        sleep_until_ns(min(now + POLL_NS, deadline))
    return waiting(ring, reader)


@kernel
def observe(ring: Ring, cursor: int, out: npt.NDArray[np.void]) -> tuple[int, int, int]:
    """Copy the oldest records from ``cursor`` on that are still there, for an observer that may be lapped.

    Parameters
    ----------
    ring
        Left as it is.
    cursor
        Records seen or lost so far: at first 0, or ``load_head`` to begin with what comes next.
    out
        Of the dtype of ``ring.slots``, shape (n_most,); the copies go to its beginning.

    Returns
    -------
    copied, cursor, lost
        Whole records in ``out``, the new cursor, and the records overwritten before they were copied;
        the cursor advances by ``copied + lost``.
    """
    words, slots, capacity = ring.words, ring.slots, ring.slots.size
    head = load_acquire(words, HEAD)
    first = max(cursor, head - capacity + 1)
    n = min(head - first, out.size)
    for i in range(n):
        out[i] = slots[(first + i) % capacity]
    fence_acquire()
    torn = min(n, max(0, load_acquire(words, HEAD) - capacity + 1 - first))
    for i in range(n - torn):
        out[i] = out[i + torn]
    return n - torn, first + n, first + torn - cursor
