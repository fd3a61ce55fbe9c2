"""Compiles a rule of plasticity and hands its address to a culture."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from numba import cfunc, float32, float64, int32, int64, types
from numba.np.numpy_support import carray

from wetloop.core.errors import ConfigError
from wetloop.kernels import plasticity as kernel
from wetloop.kernels.plasticity import CELL_ROWS, MEMORY, PARAMETERS, Dish

if TYPE_CHECKING:
    from collections.abc import Callable

    from wetloop.core.plugin import Rule
    from wetloop.kernels.plasticity import Plasticity


def connect(plasticity: Plasticity, rule: Rule) -> Any:
    """Compile a rule and write its address; return what must be kept for as long as the culture lives.

    Raises
    ------
    ConfigError
        If the rule does not compile, or is no function of one parameter.
    """
    name = getattr(rule.step, "__name__", "rule")
    plain = getattr(rule.step, "py_func", rule.step)
    if not inspect.isfunction(plain) or len(inspect.signature(plain).parameters) != 1:
        raise ConfigError(f"plasticity {name}: must be a compiled function of one parameter, the dish")
    try:
        entry = _entry(rule.step)
    except Exception as error:
        raise ConfigError(f"plasticity {name}: does not compile: {error}") from error
    plasticity.link[0] = entry.address
    return entry


def _entry(step: Callable[[Dish], None]) -> Any:
    """Return the C function that ``wetloop.kernels.plasticity.learn`` calls."""

    def entry(  # noqa: PLR0913, PLR0917  (one parameter for each array)
        sizes: Any, fired: Any, pulses: Any, target: Any, weight_mv: Any, first_in: Any, incoming: Any, cells: Any,
        tags: Any, memory: Any, parameters: Any,
    ) -> int:  # fmt: skip
        n = carray(sizes, 7)
        shape = (n[kernel.N_CELLS], n[kernel.N_OUT])
        dish = Dish(
            n[kernel.NOW_MS], n[kernel.N_EXCITATORY], carray(fired, n[kernel.N_FIRED]),
            carray(pulses, (n[kernel.N_PULSES], 2)), carray(target, shape), carray(weight_mv, shape),
            carray(first_in, n[kernel.N_CELLS] + 1), carray(incoming, n[kernel.N_SYNAPSES]),
            carray(cells, (CELL_ROWS, n[kernel.N_CELLS])), carray(tags, shape), carray(memory, MEMORY),
            carray(parameters, PARAMETERS),
        )  # fmt: skip
        step(dish)
        return 0

    pointer: Any = types.CPointer
    floats, integers, doubles = pointer(float32), pointer(int32), pointer(float64)
    return cfunc(
        int64(pointer(int64), integers, floats, integers, floats, integers, integers, floats, floats, doubles, doubles),
    )(entry)
