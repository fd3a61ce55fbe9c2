"""Arrays without reference counts.

Compiled code counts references to every array of a tuple at every call that receives it, and each count is an atomic
operation of some nanoseconds: too much for a step of a microsecond that hands dozens of arrays to a dozen functions.
Whoever calls a kernel from Python holds the arrays until it returns, so inside they can be borrowed.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from wetloop.kernels.jit import intrinsic


def without_owner(builder: Any, kind: Any, value: Any) -> Any:
    """Emit the code that clears the owner (first field) of an array, or of every array of a tuple."""
    if isinstance(kind, types.Array):
        return builder.insert_value(value, ir.Constant(value.type.elements[0], None), 0)
    if isinstance(kind, types.BaseTuple):
        tuple_kind: Any = kind
        for k, part in enumerate(tuple_kind.types):
            inner = without_owner(builder, part, builder.extract_value(value, k))
            value = builder.insert_value(value, inner, k)
    return value


@intrinsic
def borrowed(_context: Any, value: Any) -> Any:
    """For kernels: return the same array or tuple of arrays, uncounted; valid while the caller holds the original."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return without_owner(builder, value, values[0])

    return value(value), generate
