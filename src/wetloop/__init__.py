"""Wetloop: a closed-loop control server for cultured neurons on a microelectrode array."""

__version__ = "0.1.0"
