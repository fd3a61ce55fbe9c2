"""Counter-based random numbers: no generator state to save, the same on every machine."""

from __future__ import annotations

import numpy as np

from wetloop.kernels.jit import kernel

LN2 = 0.6931471805599453


@kernel
def mix(seed: int, counter: int) -> np.uint64:
    """Return 64 random bits for a counter (SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    h = np.uint64(seed) + np.uint64(counter + 1) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint64(h ^ (h >> np.uint64(31)))


@kernel
def uniform(seed: int, counter: int) -> float:
    """Return a number in [0, 1) with 53 random bits."""
    return np.float64(mix(seed, counter) >> np.uint64(11)) / 9007199254740992.0


@kernel
def exponential(seed: int, counter: int) -> float:
    """Return an exponential number of mean 1.

    The logarithm is a series in plain arithmetic: libraries differ in the last bit of theirs, and a pulse must fall on
    the same sample wherever a session is replayed.
    """
    u = 1.0 - uniform(seed, counter)  # in (0, 1]
    halvings = 0
    while u < 0.5:
        u *= 2.0
        halvings += 1
    z = (u - 1.0) / (u + 1.0)  # ln u = 2 artanh z, |z| <= 1/3
    z2 = z * z
    term, total = z, 0.0
    for k in range(20):
        total += term / (2 * k + 1)
        term *= z2
    return halvings * LN2 - 2.0 * total
