"""Rings with one producer and several readers, used alike from Python and from compiled code.

Control words (int64), each hot one on cache lines of its own: HEAD, slots ever committed; DROPPED, records refused
because a reader had no room; one tail per reader, slots ever released, -1 where no reader is attached. A reader is
never overrun: a full ring drops the newest record and counts it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from wetloop.kernels.jit import intrinsic, kernel

HEAD, LOWEST, DROPPED, FIRST_TAIL, TAIL_STEP, READERS, WORDS = 16, 17, 18, 32, 16, 4, 96
SESSION, RECORDER, STIMULATOR, ENGINE = range(READERS)


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


load_acquire = intrinsic(_load_acquire)
store_release = intrinsic(_store_release)


def new_ring(dtype: np.dtype[np.void], capacity: int, *readers: int) -> Ring:
    """Return an empty ring in ordinary memory with these readers attached."""
    words = np.zeros(WORDS, np.int64)
    words[FIRST_TAIL::TAIL_STEP] = -1
    for reader in readers:
        words[FIRST_TAIL + TAIL_STEP * reader] = 0
    return Ring(words, np.zeros(capacity, dtype))


@kernel
def reserve(ring: Ring) -> int:
    """Return the slot to fill, or -1 when a reader has no room (counted). Follow with ``commit``."""
    words, capacity = ring.words, ring.slots.size
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
    return int(head % capacity)


@kernel
def commit(ring: Ring) -> None:
    """Show the reserved slot to the readers."""
    store_release(ring.words, HEAD, ring.words[HEAD] + 1)


@kernel
def waiting(ring: Ring, reader: int) -> int:
    """Return how many committed slots this reader has not released."""
    return int(load_acquire(ring.words, HEAD) - ring.words[FIRST_TAIL + TAIL_STEP * reader])


@kernel
def front(ring: Ring, reader: int) -> int:
    """Return the slot that this reader reads next."""
    return int(ring.words[FIRST_TAIL + TAIL_STEP * reader] % ring.slots.size)


@kernel
def release(ring: Ring, reader: int) -> None:
    """Let go of the front slot."""
    at = FIRST_TAIL + TAIL_STEP * reader
    store_release(ring.words, at, ring.words[at] + 1)
