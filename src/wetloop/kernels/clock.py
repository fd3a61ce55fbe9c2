"""The host's monotonic clock, for time stamps that are recorded and never read by a decision."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from wetloop.kernels.jit import intrinsic

CLOCK_MONOTONIC = 1
I64 = ir.IntType(64)


def _now_ns(_typing: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        when = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), I64.as_pointer()])
        gettime = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(gettime, [ir.IntType(32)(CLOCK_MONOTONIC), builder.bitcast(when, I64.as_pointer())])
        seconds, nanoseconds = (builder.load(builder.gep(when, [I64(0), I64(k)])) for k in (0, 1))
        return builder.add(builder.mul(seconds, I64(1_000_000_000)), nanoseconds)

    return types.int64(), generate


now_ns = intrinsic(_now_ns)
"""Nanoseconds of CLOCK_MONOTONIC; libc is bound by symbol name, since a pointer would forbid caching."""
