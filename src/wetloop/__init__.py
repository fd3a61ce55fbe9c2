"""Wetloop: a closed-loop control server for cultured neurons on a microelectrode array."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the client of a server when it is asked for."""
    if name == "Client":
        from wetloop.server.client import Client

        return Client
    raise AttributeError(f"module 'wetloop' has no attribute {name!r}")
