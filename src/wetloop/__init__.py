"""Wetloop: a closed-loop control server for cultured neurons on a microelectrode array."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the client of a server when it is asked for."""
    if name == "Client":
        return import_module("wetloop.server.client").Client
    raise AttributeError(f"module 'wetloop' has no attribute {name!r}")
