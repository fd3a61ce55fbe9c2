"""The checksum that HDF5 keeps with each chunk, fast enough for the raw samples of a thousand channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.jit import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_WORDS = 256
"""Words between two reductions: the weighted sum of so many words just fits 32 bits."""
MODULUS = 65535
SWAP = 256
"""Modulo 65535, swapping the bytes of a word is a multiplication by 256: HDF5 sums big-endian words."""


@kernel
def fletcher32(words: npt.NDArray[np.uint16]) -> int:
    """Return HDF5's Fletcher-32 of little-endian words (an even number of bytes), as its filter 3 stores it."""
    n = words.size
    first, second = np.uint64(0), np.uint64(0)
    for start in range(0, n, BLOCK_WORDS):
        stop = min(n, start + BLOCK_WORDS)
        total, weighted, weight = np.uint32(0), np.uint32(0), np.uint32(stop - start)
        for i in range(start, stop):
            word = np.uint32(words[i])
            total = np.uint32(total + word)
            weighted = np.uint32(weighted + np.uint32(weight * word))
            weight = np.uint32(weight - np.uint32(1))
        first = first + np.uint64(total)
        second = (second + np.uint64(weighted) + np.uint64(total) * np.uint64(n - stop)) % np.uint64(MODULUS)
    if first == np.uint64(0):
        return 0
    low = (int(first % np.uint64(MODULUS)) * SWAP) % MODULUS
    high = (int(second) * SWAP) % MODULUS
    return ((high or MODULUS) << 16) | (low or MODULUS)
