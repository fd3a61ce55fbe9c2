"""The host's monotonic clock: time stamps that are recorded and never read by a decision, and waiting.

libc is bound by symbol name, since a pointer would forbid caching.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from wetloop.kernels.jit import intrinsic

CLOCK_MONOTONIC, TIMER_ABSTIME = 1, 1
I32, I64 = ir.IntType(32), ir.IntType(64)
SECOND_NS = I64(1_000_000_000)
HAS_PAUSE = platform.machine() in {"x86_64", "AMD64"}


def _libc(builder: Any, name: str, *args: Any) -> Any:
    kind = ir.FunctionType(I32, [argument.type for argument in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _timespec(builder: Any) -> tuple[Any, Any, Any]:
    """Emit a timespec; return its address and those of its seconds and nanoseconds."""
    when = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
    seconds, nanoseconds = (builder.gep(when, [I64(0), I64(k)]) for k in (0, 1))
    return builder.bitcast(when, I64.as_pointer()), seconds, nanoseconds


def _now_ns(_typing: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        when, seconds, nanoseconds = _timespec(builder)
        _libc(builder, "clock_gettime", I32(CLOCK_MONOTONIC), when)
        return builder.add(builder.mul(builder.load(seconds), SECOND_NS), builder.load(nanoseconds))

    return types.int64(), generate


def _sleep_until_ns(_typing: Any, deadline_ns: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        when, seconds, nanoseconds = _timespec(builder)
        builder.store(builder.sdiv(args[0], SECOND_NS), seconds)
        builder.store(builder.srem(args[0], SECOND_NS), nanoseconds)
        left = ir.Constant(I64.as_pointer(), None)
        _libc(builder, "clock_nanosleep", I32(CLOCK_MONOTONIC), I32(TIMER_ABSTIME), when, left)
        return context.get_dummy_value()

    return types.void(types.int64), generate


def _pause(_typing: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        if HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


now_ns = intrinsic(_now_ns)
"""Nanoseconds of CLOCK_MONOTONIC."""
sleep_until_ns = intrinsic(_sleep_until_ns)
"""Sleep until CLOCK_MONOTONIC shows this many ns: an absolute time, so a preemption before the call adds nothing.

Returns early when a signal arrives, and later by the thread's timer slack (50 us unless it was lowered).
"""
pause = intrinsic(_pause)
"""The processor's hint for a spinning loop where there is one; elsewhere nothing."""
