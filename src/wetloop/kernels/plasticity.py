"""Plasticity: a compiled rule that is called every millisecond and may change weights.

Like a reflex it enters by the address of its C entry point, so that the culture is compiled once for all rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir
from numba import types

from wetloop.kernels.jit import inner, intrinsic

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.kernels.network import Network

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int32]
    Records = npt.NDArray[np.void]

CELL_ROWS, MEMORY, PARAMETERS, PULSES = 4, 32, 32, 64
"""Numbers that a rule may remember of each cell and of the dish; its parameters; pulses that it sees in one ms."""
TOLD = MEMORY - 1
"""Place in ``memory`` where the oracle, and no other rule, is told an outcome: +1 good, -1 bad, 0 none."""
N_CELLS, N_OUT, N_EXCITATORY, NOW_MS, N_FIRED, N_PULSES, N_SYNAPSES = range(7)
"""Places in ``Plasticity.sizes``."""


class Dish(NamedTuple):
    """All that a rule sees: the culture's own spikes and synapses, and the pulses that reached it. Nothing else.

    Attributes
    ----------
    now_ms
        The millisecond.
    n_excitatory
        Cells with a smaller index are excitatory, the others inhibitory.
    fired
        Cells that spike in this ms, shape (n_fired,).
    pulses
        Pulses of this ms: electrodes at once, and strength in mV, shape (n_pulses, 2).
    target
        Target of each synapse, shape (n_cells, n_out).
    weight_mv
        Peak drive of each synapse, mV, shape (n_cells, n_out); the rule may change it.
    first_in, incoming
        Entries ``first_in[cell]`` to ``first_in[cell + 1]`` of ``incoming`` are the synapses on a cell, as indices of
        the flat ``weight_mv``, excitatory ones first; the source of synapse k is ``k // n_out``.
    cells
        The rule's own memory of each cell, zero at the start, shape (CELL_ROWS, n_cells).
    tags
        The rule's own memory of each synapse, zero at the start, shape (n_cells, n_out).
    memory
        The rule's own memory of the dish, zero at the start, shape (MEMORY,).
    parameters
        Numbers that the rule's configuration gave it, shape (PARAMETERS,).
    """

    now_ms: int
    n_excitatory: int
    fired: Integers
    pulses: Floats
    target: Integers
    weight_mv: Floats
    first_in: Integers
    incoming: Integers
    cells: Floats
    tags: Floats
    memory: Doubles
    parameters: Doubles


class Plasticity(NamedTuple):
    """A rule and its memory; where plasticity is off the arrays are empty.

    ``link`` int64 (1,): address of the C entry point, 0 for none; ``reach`` float32 (n_patterns, 2): electrodes and
    strength of each pattern; ``told`` float32 (n_patterns,): what a pattern tells the oracle, empty for other rules;
    ``sizes`` int64 (7,); the others as in ``Dish``.
    """

    link: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    reach: Floats
    told: Floats
    pulses: Floats
    target: Integers
    first_in: Integers
    incoming: Integers
    cells: Floats
    tags: Floats
    memory: Doubles
    parameters: Doubles


def _call_rule(
    _typing: Any, address: Any, sizes: Any, fired: Any, pulses: Any, target: Any, weight_mv: Any, first_in: Any,
    incoming: Any, cells: Any, tags: Any, memory: Any, parameters: Any,
) -> Any:  # fmt: skip
    """Take the address and the arrays of a ``Dish``; the C function answers 0."""
    arrays = sizes, fired, pulses, target, weight_mv, first_in, incoming, cells, tags, memory, parameters

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(signature.args[1:], args[1:], strict=True)
        data = [context.make_array(kind)(context, builder, value).data for kind, value in pairs]
        integer = ir.IntType(64)
        entry = ir.FunctionType(integer, [pointer.type for pointer in data])
        return builder.call(builder.inttoptr(args[0], entry.as_pointer()), data)

    return types.int64(types.int64, *arrays), generate


call_rule = intrinsic(_call_rule)


@inner
def learn(p: Plasticity, net: Network, records: Records, n_pulses: int, n_fired: int) -> None:
    """Call the rule, if there is one, with what the culture has just done; before its spikes are sent on."""
    if p.link[0] == 0:
        return
    n = min(n_pulses, PULSES)
    for q in range(n):
        for k in range(2):
            p.pulses[q, k] = p.reach[records[q].pattern, k]
        if p.told.size > 0 and p.told[records[q].pattern] != 0.0:
            p.memory[TOLD] = p.told[records[q].pattern]
    p.sizes[NOW_MS], p.sizes[N_FIRED], p.sizes[N_PULSES] = net.core[0].ms, n_fired, n
    call_rule(
        p.link[0], p.sizes, net.fired, p.pulses, p.target, net.weight_mv, p.first_in, p.incoming, p.cells, p.tags,
        p.memory, p.parameters,
    )  # fmt: skip
