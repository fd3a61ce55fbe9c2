"""Every vector operation against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from wetloop.kernels import simd
from wetloop.kernels.jit import kernel


@kernel
def apply_all(a, b, c, shorts, out):
    x, y, z = simd.load(a, 1), simd.load(b, 1), simd.load(c, 1)
    simd.store(out, 0, simd.add(x, y))
    simd.store(out, 16, simd.sub(x, y))
    simd.store(out, 32, simd.mul(x, y))
    simd.store(out, 48, simd.fma(x, y, z))
    simd.store(out, 64, simd.fms(x, y, z))
    simd.store(out, 80, simd.neg(x))
    simd.store(out, 96, simd.absolute(x))
    simd.store(out, 112, simd.minimum(x, y))
    simd.store(out, 128, simd.maximum(x, y))
    simd.store(out, 144, simd.select_lt(x, y, z, x))
    simd.store(out, 160, simd.splat(a[3]))
    simd.prefetch(shorts, 100)
    simd.store(out, 176, simd.load_int16(shorts, 1))
    return simd.mask_lt(x, y)


@pytest.fixture(scope="module")
def applied():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 17)).astype(np.float32)
    shorts = rng.integers(-32768, 32767, 17, dtype=np.int16)
    out = np.empty((12, 16), np.float32)
    return a, b, c, shorts, out, apply_all(a, b, c, shorts, out)


def test_each_operation_equals_numpy(applied):
    a, b, c, shorts, out, _ = applied
    x, y, z = a[1:], b[1:], c[1:]
    exact = x.astype(np.float64) * y
    fused = [(exact + z).astype(np.float32), (exact - z).astype(np.float32)]
    chosen = np.where(x < y, z, x)
    plain = [x + y, x - y, x * y, *fused, -x, abs(x), np.minimum(x, y), np.maximum(x, y), chosen]
    expected = np.array([*plain, np.full(16, a[3]), shorts[1:].astype(np.float32)])
    np.testing.assert_array_equal(out, expected)


def test_mask_has_one_bit_per_lane(applied):
    a, b, *_, mask = applied
    assert mask == sum(1 << int(lane) for lane in np.flatnonzero(a[1:] < b[1:]))
