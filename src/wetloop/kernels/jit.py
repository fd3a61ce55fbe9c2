"""The one way in which kernels are compiled, and where the compiled code is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numba.extending
import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def cache_folder() -> Path | None:
    """Return the folder of compiled code, or None where no folder can be written.

    Numba notices a change in a kernel but not in a kernel that it calls, so the folder is named after the text of all
    modules that hold compiled code.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(p for room in ("kernels", "engine", "culture") for p in (root / room).glob("*.py")):
        digest.update(path.read_bytes())
    folder = Path(platformdirs.user_cache_dir("wetloop")) / f"kernels-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
    except OSError:
        return None
    return folder


CACHE = cache_folder()
if CACHE is not None:
    vars(numba.config)["CACHE_DIR"] = str(CACHE)


def compiled() -> bool:
    """Tell whether kernels of this version have been compiled on this machine before."""
    return CACHE is not None and any(CACHE.rglob("*.nbi"))


def kernel(function: F) -> F:
    """Compile without the interpreter lock, with exact arithmetic, cached on disk where possible.

    Without reference counts too: counting those of 60 arrays at every call costs more than most kernels do. Whoever
    calls from Python holds the arrays meanwhile, and kernels allocate nothing.
    """
    return _compiled(function, {"_nrt": False})


def inner(function: F) -> F:
    """Compile a kernel that only other kernels call: unpacking 60 arrays takes longer to compile than most kernels."""
    return _compiled(function, {"_nrt": False, "no_cpython_wrapper": True})


def counted(function: F) -> F:
    """Compile a kernel that makes or opens a handle, which has to be counted."""
    return _compiled(function, {})


def _compiled(function: F, options: dict[str, bool]) -> F:
    dispatcher: Any = numba.njit(nogil=True, cache=CACHE is not None, error_model="numpy")(function)
    dispatcher.targetoptions.update(options, no_cfunc_wrapper=True)
    return cast("F", dispatcher)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Register an LLVM intrinsic; callers see it as untyped, as it is called without its first argument."""
    return numba.extending.intrinsic(function)
