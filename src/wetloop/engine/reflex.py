"""A reflex, from a Python function to C code that the engine calls at the end of every frame of 1 ms.

What must answer within a frame (spike on A, pulse on B) cannot wait for the session's decision. A reflex is a function
that Numba can compile, plain or ``@njit``::

    def follow(now_sample, counts, memory):
        return 0 if counts[5] > 0 else -1

``now_sample`` is the end of the frame; ``counts``, int32 (n_channels,), the spikes that became known in it; ``memory``,
float64 (16,), is kept from frame to frame: places 0 to 6 are the reflex's own, 0 at the start; 7 holds the samples per
ms; 8 to 15 hold the ``parameters`` of the configuration. It returns the number of one of the configured patterns, or -1
for none. The pulse comes at the earliest sample that is still undecided, passes the guard like every other, and goes
before feedback and encoder. All that a reflex remembers belongs in ``memory``, and it must draw no random numbers: else
a replay differs.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from importlib.abc import ExecutionLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import cfunc, float64, int32, int64, njit, types
from numba.np.numpy_support import carray

from wetloop.core.errors import ConfigError
from wetloop.kernels.reflex import FAILED
from wetloop.kernels.state import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import PatternSet
    from wetloop.kernels.state import Reflex

SAMPLES_PER_MS, PARAMETERS = 7, 8
"""Places in ``memory``."""
BURST = 10
"""Spikes on every channel in the second frame of the rehearsal."""
_NOISE = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"line (\d+)")
_BOILERPLATE = ("Failed in nopython", "During", "File", "There are", "<source", "Overload", "Raised from")


@dataclass(frozen=True)
class ReflexCode:
    """A reflex as it was found; a file's has not been run yet. Can be sent to another process.

    Attributes
    ----------
    name
        ``file.py:function``, or the name of an entry point.
    text
        The file, or the function's own source.
    function
        The function, where it came through an entry point.
    """

    name: str
    text: str
    function: Callable[..., Any] | None = None

    def load(self) -> Any:
        """Return the function as its author wrote it; a file's text is run for that.

        Raises
        ------
        ConfigError
            If the text cannot be run or holds no such function.
        """
        if self.function is not None:
            return self.function
        path, _, function = self.name.rpartition(":")
        try:
            return getattr(_run(path, self.text), function)
        except Exception as error:
            raise ConfigError(f"reflex {self.name}: cannot be loaded: {type(error).__name__}: {error}") from error


class Wiring(NamedTuple):
    """What a reflex is connected to: channels, samples per frame (1 ms), its patterns, its parameters (at most 8)."""

    n_channels: int
    frame_samples: int
    patterns: PatternSet
    parameters: tuple[float, ...] = ()

    def memory(self) -> npt.NDArray[np.float64]:
        """Return what the reflex remembers at the start, shape (MEMORY,)."""
        memory = np.zeros(MEMORY)
        memory[SAMPLES_PER_MS] = self.frame_samples
        memory[PARAMETERS : PARAMETERS + len(self.parameters)] = self.parameters
        return memory


@dataclass(frozen=True)
class CompiledReflex:
    """A C entry point, to be kept for as long as an engine calls it, and what it is connected to."""

    entry: Any
    wiring: Wiring

    def connect(self, state: Reflex) -> None:
        """Write address, patterns and memory into an engine's state, in the process that runs the engine."""
        link = state.link
        link["first"], link["count"] = self.wiring.patterns
        state.counts[:], state.memory[:] = 0, self.wiring.memory()
        link["address"] = self.entry.address


def code_in_file(path: Path, function: str) -> ReflexCode:
    """Return the reflex in a file, read and not run."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"reflex {path}:{function}: the file cannot be read: {error}") from error
    return ReflexCode(f"{path}:{function}", text)


def code_of(name: str, function: Callable[..., Any]) -> ReflexCode:
    """Return a reflex that an entry point named."""
    try:
        text = inspect.getsource(getattr(function, "py_func", function))
    except OSError:
        text = ""
    return ReflexCode(name, text, function)


def compile_reflex(code: ReflexCode, wiring: Wiring) -> CompiledReflex:
    """Compile a reflex and try it on one silent frame and one burst.

    Raises
    ------
    ConfigError
        With file, function and reason: it cannot be loaded, is no function of three parameters, does not compile,
        raises, or asks for a pattern that there is not.
    """
    function = _compiled(code.name, _plain_function(code))
    _rehearse(code.name, function, wiring)
    return CompiledReflex(_entry(function, wiring.n_channels), wiring)


class _Text(ExecutionLoader):
    """Loads a module from text that has been read already: what runs is what was recorded."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text

    def get_filename(self, _fullname: str) -> str:
        return self._path

    def get_source(self, _fullname: str) -> str:
        return self._text


def _run(path: str, text: str) -> Any:
    loader = _Text(path, text)
    spec = spec_from_loader(f"wetloop reflex {path}", loader)
    if spec is None:
        raise ImportError(path)
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _plain_function(code: ReflexCode) -> Callable[..., Any]:
    """Return the Python function, also of one that is ``@njit``: it is compiled again, with bounds checked."""
    found = code.load()
    function: Callable[..., Any] = getattr(found, "py_func", found)
    if not inspect.isfunction(function):
        raise ConfigError(f"reflex {code.name}: is a {type(found).__name__}, not a function")
    names = tuple(inspect.signature(function).parameters)
    if len(names) != 3:
        raise ConfigError(
            f"reflex {code.name}: takes ({', '.join(names)}), but a reflex takes (now_sample, counts, memory)"
        )
    return function


def _compiled(name: str, function: Callable[..., Any]) -> Any:
    try:
        made = njit((int64, int32[::1], float64[::1]), nogil=True, error_model="numpy", boundscheck=True)(function)
    except Exception as error:
        raise ConfigError(f"reflex {name}: does not compile: {_reason(str(error))}") from error
    returns = made.nopython_signatures[0].return_type
    if not isinstance(returns, types.Integer):
        raise ConfigError(f"reflex {name}: returns {returns}, but must return an integer on every path")
    return made


def _reason(message: str) -> str:
    """Return the first paragraph of a compiler's message that says something, and the line it is about."""
    message = _NOISE.sub("", message)
    lines = [line.strip() for line in message.splitlines()]
    said = [line for line in lines if line and not line.startswith(_BOILERPLATE)]
    line = _LINE.search(message)
    return " ".join(said[:3]) + (f" (line {line[1]})" if line else "")


def _rehearse(name: str, function: Any, wiring: Wiring) -> None:
    memory, last = wiring.memory(), wiring.patterns.size - 1
    for frame, per_channel in ((1, 0), (2, BURST)):
        counts = np.full(wiring.n_channels, per_channel, np.int32)
        what = f"at {per_channel} spikes on each of {wiring.n_channels} channels"
        try:
            wanted = int(function(frame * wiring.frame_samples, counts, memory))
        except Exception as error:
            raise ConfigError(f"reflex {name}: raises {type(error).__name__}: {error}, {what}") from error
        if wanted > last:
            raise ConfigError(f"reflex {name}: asks for pattern {wanted} {what}; its patterns are 0 to {last}")


def _entry(function: Any, n_channels: int) -> Any:
    """Return a C function that answers as ``wetloop.kernels.reflex`` has it, and never raises."""

    def entry(now_sample: int, counts: Any, memory: Any) -> Any:
        try:
            wanted = function(now_sample, carray(counts, n_channels), carray(memory, MEMORY))
        except Exception:  # noqa: BLE001  (compiled code can catch nothing else)
            return FAILED
        return max(wanted, -1) + 1

    pointer: Any = types.CPointer
    return cfunc(int64(int64, pointer(int32), pointer(float64)))(entry)
