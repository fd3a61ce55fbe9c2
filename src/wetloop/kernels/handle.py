"""A handle that binds many arrays once: passing the engine's 60 arrays costs 10 us a call, passing a handle 1 us."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.experimental import structref

from wetloop.kernels.jit import counted


@structref.register
class HandleType(types.StructRef):
    """Numba's type of a handle."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Accept literal field types as their general ones."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class Handle(structref.StructRefProxy):
    """Engine state, rings and (in compiled stepping) the source's state."""


structref.define_proxy(Handle, HandleType, ["engine", "rings", "source"])


@counted
def bind(engine: Any, rings: Any, source: Any) -> Any:
    """Return a handle; made in compiled code, because that can be cached."""
    return Handle(engine, rings, source)
