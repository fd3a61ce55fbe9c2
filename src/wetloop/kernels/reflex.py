"""The reflex: a user's compiled function that the engine calls at the end of every frame.

It enters by the address of its C entry point: an engine that took it as an argument would be compiled anew for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types

from wetloop.kernels.jit import inner, intrinsic
from wetloop.kernels.records import KINDS
from wetloop.kernels.state import REFLEX_VOICE
from wetloop.kernels.voices import REGULAR

if TYPE_CHECKING:
    from wetloop.kernels.state import EngineState

KIND, PRIORITY, NO_COMMAND = KINDS.index("reflex"), 2, -1
"""Kind, priority (``wetloop.core.types.Priority``) and serial of the pulses that a reflex asks for."""
FAILED = -1
"""Answer of a C entry point whose reflex raised."""


def _call_reflex(_typing: Any, address: Any, now_sample: Any, counts: Any, memory: Any) -> Any:
    """Take the address, the frame's end, counts int32 (n_channels,) and memory float64 (MEMORY,).

    The C function answers with a pattern's number + 1, with 0 for none (which is also what Numba's own entry points
    answer when something goes wrong in them), or with ``FAILED``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = zip(signature.args[2:], args[2:], strict=True)
        data = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
        integer = ir.IntType(64)
        entry = ir.FunctionType(integer, [integer, *(pointer.type for pointer in data)])
        return builder.call(builder.inttoptr(args[0], entry.as_pointer()), [args[1], *data])

    return types.int64(types.int64, types.int64, counts, memory), generate


call_reflex = intrinsic(_call_reflex)


@inner
def react(s: EngineState, now_sample: int) -> None:
    """Ask the reflex, if there is one, at the end of a frame; it may have one pulse."""
    reflex, link = s.reflex, s.reflex.link[0]
    if link.address == 0:
        return
    answer = call_reflex(link.address, now_sample, reflex.counts, reflex.memory)
    for channel in range(reflex.counts.size):
        reflex.counts[channel] = 0
    if answer < 0 or answer > link.count:
        link.failures += 1
    elif answer > 0:
        request(s, link.first + answer - 1)


@inner
def request(s: EngineState, pattern: int) -> None:
    """Set the reflex voice to one pulse at the frontier, the earliest sample that is not decided yet."""
    core, v = s.core[0], s.voices[REFLEX_VOICE]
    v.first, v.count, v.kind, v.priority, v.timing = pattern, 1, KIND, PRIORITY, REGULAR
    v.start, v.stop, v.next, v.period = core.frontier, core.frontier + 1, np.float64(core.frontier), 1.0
    v.k, v.seed, v.serial, v.used, v.on = 0, 0, NO_COMMAND, 1, 1
    core.next_due = 0
