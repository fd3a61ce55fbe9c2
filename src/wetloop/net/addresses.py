"""Where a socket may lead: to this machine, or anywhere with keys."""

from __future__ import annotations

import ipaddress
import re

from wetloop.core.errors import ConfigError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:]+\]|[^:/\[\]*]+|\*):(?P<port>\d+|\*)")


SERVER_REMEDY = "give --keys FOLDER (wetloop keys new FOLDER makes them), or listen on 127.0.0.1"


def require_safe(address: str, *, keys: bool, remedy: str = SERVER_REMEDY) -> None:
    """Refuse an address that others could reach without keys; ``remedy`` says how to give some.

    Raises
    ------
    ConfigError
        There, and where the text is no address at all.
    """
    match = _TCP.fullmatch(address)
    if match is None:
        raise ConfigError(f"{address!r} is no address: write tcp://HOST:PORT, such as tcp://127.0.0.1:5601")
    if not (keys or _is_loopback(match["host"].strip("[]"))):
        raise ConfigError(f"{address} can be reached by others: {remedy}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
