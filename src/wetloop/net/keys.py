"""CURVE keys in files that only their owner can read: one pair for each role of a client, and two that listen.

``server`` is the rig's own, for its server and its sessions; ``remote`` that of a program that is a task.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import zmq

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from zmq.auth.thread import ThreadAuthenticator

Role: TypeAlias = Literal["view", "control"]
ROLES: tuple[Role, ...] = ("view", "control")
PAIRS = ("server", *ROLES, "remote")


class KeyPair(NamedTuple):
    """Z85 text, 40 characters each."""

    public: bytes
    secret: bytes


def new_keys(folder: Path) -> list[Path]:
    """Write every new pair; return the files.

    Raises
    ------
    ConfigError
        Where a file is there already: a key is never overwritten.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for name in PAIRS:
        for ending, key in zip(("public", "secret"), zmq.curve_keypair(), strict=True):
            written.append(_write(folder / f"{name}.{ending}", key))
    return written


def _write(path: Path, key: bytes) -> Path:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; keys are never overwritten") from None
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(key + b"\n")
    return path


def public_key(folder: Path, name: str) -> bytes:
    """Return a public key."""
    return _read(folder / f"{name}.public")


def key_pair(folder: Path, name: str) -> KeyPair:
    """Return both keys; a secret that others can read is refused."""
    secret = folder / f"{name}.secret"
    key = _read(secret)
    if secret.stat().st_mode & 0o077:
        raise ConfigError(f"{secret} can be read by others: chmod 600 it, or better make new keys with wetloop keys")
    return KeyPair(public_key(folder, name), key)


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; wetloop keys new FOLDER makes keys") from None
    if len(key) != 40:
        raise ConfigError(f"{path} holds no key: 40 characters are expected, {len(key)} stand there")
    return key


def admit_roles(context: zmq.Context[zmq.Socket[bytes]], folder: Path) -> tuple[ThreadAuthenticator, dict[str, Role]]:
    """Let in the holders of the roles' keys, nobody else; return the authenticator and the role of each key."""
    roles = {public_key(folder, role).decode(): role for role in ROLES}
    return admit(context, set(roles)), roles


def admit(context: zmq.Context[zmq.Socket[bytes]], keys: set[str]) -> ThreadAuthenticator:
    """Let in the holders of these public keys, nobody else; return the authenticator, to be stopped."""
    from zmq.auth.thread import ThreadAuthenticator

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve_callback("*", credentials_provider=_AllowList(keys))
    return authenticator


class _AllowList:
    def __init__(self, keys: set[str]) -> None:
        self._keys = keys

    def callback(self, _domain: str, key: bytes) -> bool:
        """Tell whether a client may come in."""
        return key.decode() in self._keys
