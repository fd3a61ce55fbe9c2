"""The checksum that HDF5 keeps with each chunk, fast enough for the raw samples of a thousand channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.jit import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_WORDS = 256
"""Words between two reductions: the weighted sum of so many signed words just fits 32 bits."""
WEIGHTS = np.arange(BLOCK_WORDS, 0, -1, dtype=np.int16)
"""How often each word of a block enters the second sum."""
OFFSET = 32768
"""Words are summed less this, as signed ones: processors multiply and add those many at a time."""
OFFSET_TOTAL, OFFSET_WEIGHTED = OFFSET * BLOCK_WORDS, OFFSET * BLOCK_WORDS * (BLOCK_WORDS + 1) // 2
MODULUS = 65535
SWAP = 256
"""Modulo 65535, swapping the bytes of a word is a multiplication by 256: HDF5 sums big-endian words."""


@kernel
def fletcher32(words: npt.NDArray[np.uint16]) -> int:
    """Return HDF5's Fletcher-32 of little-endian words (an even number of bytes), as its filter 3 stores it."""
    n = words.size
    whole = n - n % BLOCK_WORDS
    first, second = np.uint64(0), np.uint64(0)
    for start in range(0, whole, BLOCK_WORDS):
        total, weighted = np.int32(0), np.int32(0)
        for i in range(BLOCK_WORDS):
            word = np.int32(np.int16(words[start + i] ^ np.uint16(OFFSET)))
            total = np.int32(total + word)
            weighted = np.int32(weighted + np.int32(word * np.int32(WEIGHTS[i])))
        block = np.uint64(np.int64(total) + np.int64(OFFSET_TOTAL))
        first = first + block
        second = second + np.uint64(np.int64(weighted) + np.int64(OFFSET_WEIGHTED))
        second = (second + block * np.uint64(n - start - BLOCK_WORDS)) % np.uint64(MODULUS)
    for i in range(whole, n):
        first = first + np.uint64(words[i])
        second = (second + np.uint64(words[i]) * np.uint64(n - i)) % np.uint64(MODULUS)
    if first == np.uint64(0):
        return 0
    low = (int(first % np.uint64(MODULUS)) * SWAP) % MODULUS
    high = (int(second) * SWAP) % MODULUS
    return ((high or MODULUS) << 16) | (low or MODULUS)
