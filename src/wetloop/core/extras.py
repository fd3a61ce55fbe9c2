"""Packages that only some uses need, and that come with an extra of Wetloop."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wetloop.core.errors import ConfigError


def from_extra(module: str, extra: str) -> Any:
    """Return an imported module.

    Raises
    ------
    ConfigError
        Where it is not installed, naming the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{module} is needed for this: install it with pip install 'wetloop[{extra}]'") from error
