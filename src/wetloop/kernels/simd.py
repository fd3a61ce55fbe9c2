"""Explicit SIMD inside Numba: a vector of 16 float32 lanes as a value of compiled code.

In a plain loop over time and channels, LLVM vectorises over channels but moves the filter state through
memory at every sample; a vector that is a value keeps it in registers. LLVM splits the vectors on machines
with narrower registers, and every operation here is exactly rounded, so the bits do not depend on the
machine. The functions can only be called from kernels. ``Vector`` stands for the 16 lanes, and ``index``
counts elements of the flattened C-contiguous array; nothing checks bounds.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

LANES = 16
"""Elements of a vector: 16 float32 fill one 512-bit register."""

Vector: TypeAlias = Any

FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)
SHORTS = ir.VectorType(ir.IntType(16), LANES)

PrimitiveModel: Any = models.PrimitiveModel
get_or_insert_function: Any = cgutils.get_or_insert_function


def vector_model(manager: Any, numba_type: Any) -> Any:
    """Represent a vector by LLVM's own vector type, in registers and in memory."""
    return PrimitiveModel(manager, numba_type, FLOATS)


Float32x16 = type("Float32x16", (types.Type,), {})
float32x16 = Float32x16("float32x16")
register_model(Float32x16)(vector_model)


def operand_value(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return what LLVM computes with: of an array, the pointer to its first element."""
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    return value


def operation(result: Any, *operands: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function for kernels of a Python function that emits its LLVM instructions.

    ``emit`` receives the instruction builder and one LLVM value per operand; the operand ``types.Array``
    stands for any array.
    """

    def decorate(emit: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(emit)
        def typed(_context: Any, *given: Any) -> Any:
            kinds = [got if want is types.Array else want for want, got in zip(operands, given, strict=True)]

            def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
                pairs = zip(kinds, values, strict=True)
                emitted = emit(
                    builder, *(operand_value(context, builder, kind, value) for kind, value in pairs)
                )
                return context.get_dummy_value() if result is types.void else emitted

            return result(*kinds), generate

        compiled: Callable[..., Any] = intrinsic(typed)
        return compiled

    return decorate


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """Emit a call of the LLVM intrinsic ``name``."""
    signature = ir.FunctionType(result, [value.type for value in values])
    return builder.call(get_or_insert_function(builder.module, signature, name), values)


def vector_pointer(builder: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Return the address of element ``index`` as that of a vector."""
    return builder.bitcast(builder.gep(pointer, [index], inbounds=True), vector.as_pointer())


@operation(float32x16, types.Array, types.intp)
def load(builder: Any, array: Any, index: Any) -> Vector:
    """Return elements ``index`` to ``index + 15`` of a float32 array."""
    return builder.load(vector_pointer(builder, array, index, FLOATS), align=4)


@operation(float32x16, types.Array, types.intp)
def load_int16(builder: Any, array: Any, index: Any) -> Vector:
    """Return elements ``index`` to ``index + 15`` of an int16 array, converted."""
    shorts = builder.load(vector_pointer(builder, array, index, SHORTS), align=2)
    return builder.sitofp(builder.sext(shorts, INTS), FLOATS)


@operation(types.void, types.Array, types.intp, float32x16)
def store(builder: Any, array: Any, index: Any, a: Any) -> Any:
    """Write ``a`` to elements ``index`` to ``index + 15`` of a float32 array."""
    return builder.store(a, vector_pointer(builder, array, index, FLOATS), align=4)


@operation(types.void, types.Array, types.intp)
def prefetch(builder: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of element ``index``, which may lie past the end."""
    address = builder.bitcast(builder.gep(array, [index]), ir.IntType(8).as_pointer())
    read, keep, data = (ir.Constant(ir.IntType(32), value) for value in (0, 3, 1))
    return call(builder, "llvm.prefetch.p0", ir.VoidType(), address, read, keep, data)


@operation(float32x16, types.float32)
def splat(builder: Any, value: Any) -> Vector:
    """Return a vector whose lanes are all ``value``."""
    empty = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(INTS, [0] * LANES))


@operation(float32x16, float32x16, float32x16)
def add(builder: Any, a: Any, b: Any) -> Vector:
    """Return a + b."""
    return builder.fadd(a, b)


@operation(float32x16, float32x16, float32x16)
def sub(builder: Any, a: Any, b: Any) -> Vector:
    """Return a - b."""
    return builder.fsub(a, b)


@operation(float32x16, float32x16, float32x16)
def mul(builder: Any, a: Any, b: Any) -> Vector:
    """Return a * b."""
    return builder.fmul(a, b)


@operation(float32x16, float32x16, float32x16, float32x16)
def fma(builder: Any, a: Any, b: Any, c: Any) -> Vector:
    """Return a * b + c, rounded once."""
    return call(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, c)


@operation(float32x16, float32x16, float32x16, float32x16)
def fms(builder: Any, a: Any, b: Any, c: Any) -> Vector:
    """Return a * b - c, rounded once."""
    return call(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, builder.fneg(c))


@operation(float32x16, float32x16)
def neg(builder: Any, a: Any) -> Vector:
    """Return -a."""
    return builder.fneg(a)


@operation(float32x16, float32x16)
def absolute(builder: Any, a: Any) -> Vector:
    """Return the magnitude of a."""
    return call(builder, f"llvm.fabs.v{LANES}f32", FLOATS, a)


@operation(float32x16, float32x16, float32x16)
def minimum(builder: Any, a: Any, b: Any) -> Vector:
    """Return the smaller of a and b per lane, b where one is not a number."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@operation(float32x16, float32x16, float32x16)
def maximum(builder: Any, a: Any, b: Any) -> Vector:
    """Return the larger of a and b per lane, b where one is not a number."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@operation(float32x16, float32x16, float32x16, float32x16, float32x16)
def select_lt(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Vector:
    """Return x where a < b, y elsewhere."""
    return builder.select(builder.fcmp_ordered("<", a, b), x, y)


@operation(types.int64, float32x16, float32x16)
def mask_lt(builder: Any, a: Any, b: Any) -> Any:
    """Return an integer whose bit k is set where a < b in lane k."""
    lanes = builder.bitcast(builder.fcmp_ordered("<", a, b), ir.IntType(LANES))
    return builder.zext(lanes, ir.IntType(64))
