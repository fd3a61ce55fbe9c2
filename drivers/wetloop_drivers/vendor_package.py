"""Vendors' Python packages: imported as late as possible, and whatever they fail of told as an error of the rig."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wetloop.core.errors import RigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def import_package(name: str, folder: str | None, advice: str) -> ModuleType:
    """Import a package, from this folder where one is given.

    Raises
    ------
    RigError
        Where it cannot be imported: ``advice`` says what to do.
    """
    if folder is not None:
        _look_first_in(str(Path(folder).expanduser().absolute()), name)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RigError(f"the vendor's package {name} cannot be imported ({error}): {advice}") from error


@contextmanager
def told(vendor: str, doing: str, advice: str) -> Iterator[None]:
    """Tell whatever a vendor's package fails of as an error of the rig."""
    try:
        yield
    except RigError:
        raise
    except Exception as error:
        raise RigError(f"{vendor} failed while {doing}: {type(error).__name__}: {error}: {advice}") from error


def _look_first_in(folder: str, name: str) -> None:
    """Have the package imported from this folder, even after another one was."""
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    loaded = sys.modules.get(name)
    if loaded is not None and not str(loaded.__file__).startswith(folder):
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]
