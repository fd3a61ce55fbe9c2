"""The server: one loop over its sockets and its rig, in one thread.

Sessions run in processes of their own. When the server dies, a session goes on to its end under its own guard; the next
server of the rig takes it over.
"""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zmq

from wetloop.config import load_config
from wetloop.core.errors import ConfigError
from wetloop.net.addresses import require_safe
from wetloop.net.keys import KeyPair, admit_roles, key_pair
from wetloop.server.control import Desk
from wetloop.server.keeper import Keeper
from wetloop.server.logs import logging_to
from wetloop.server.place import rig_folder, rig_name, server_lock
from wetloop.server.protocol import MAX_BYTES, VERSION
from wetloop.server.telemetry import BATCH_S, HIGH_WATER, TOPICS, Telemetry, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wetloop.net.keys import Role

LOG = logging.getLogger("wetloop.server")
LARGEST_BYTES = 16 * MAX_BYTES
"""A longer frame ends the connection before it fills the memory."""
CONTROL, TELEMETRY = "tcp://127.0.0.1:5601", "tcp://127.0.0.1:5602"


@dataclass(frozen=True)
class ServerOptions:
    """How a rig is served; port 0 takes any that is free."""

    rig: Path
    control: str = CONTROL
    telemetry: str = TELEMETRY
    keys: Path | None = None
    state: Path | None = None
    arm: bool = False
    resume_queue: bool = False


def serve(options: ServerOptions, on_ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve a rig until somebody shuts the server down, or a signal does.

    Parameters
    ----------
    options
        How.
    on_ready
        Is told the addresses once they can be reached.

    Raises
    ------
    ConfigError
        Where the configuration or an address cannot be used.
    RigError
        Where the rig has a server already.
    """
    for address in (options.control, options.telemetry):
        require_safe(address, keys=options.keys is not None)
    config = load_config(options.rig)
    name = rig_name(config)
    folder = rig_folder(name, options.state)
    with ExitStack() as stack:
        lock = server_lock(folder, name)
        stack.callback(lock.let_go)
        stack.enter_context(logging_to(folder / "server.log"))
        sockets = stack.enter_context(_sockets(options))
        keeper = Keeper(name, options.rig.resolve(), folder)
        stack.callback(keeper.close)
        if options.arm and keeper.machine.state == "disarmed" and keeper.session is None:
            keeper.arm("server", "started with --arm")
        if options.resume_queue:
            keeper.queue_resume("server", "started with --resume-queue")
        rig = config.source.build(config.seed).info
        info = sockets.info() | {"rig": name, "version": VERSION, "folder": str(folder), "topics": list(TOPICS)}
        info |= {"n_channels": rig.n_channels, "sampling_frequency": rig.sampling_frequency}
        desk = Desk(keeper, sockets.control, sockets.roles, info)
        with _ending_on_signal(keeper, desk):
            warm_up()
            LOG.info("server ready", extra={"rig": name, **sockets.info()})
            on_ready(info)
            _loop(keeper, desk, sockets, Telemetry(sockets.telemetry, rig))
        LOG.info("server ends")


def _loop(keeper: Keeper, desk: Desk, sockets: _Sockets, telemetry: Telemetry) -> None:
    poller = zmq.Poller()
    poller.register(sockets.control, zmq.POLLIN)
    poller.register(sockets.telemetry, zmq.POLLIN)
    ordered = False
    while not (desk.closing and keeper.session is None):
        ready = dict(poller.poll(round(BATCH_S * 1000)))
        if sockets.control in ready:
            desk.serve()
        if sockets.telemetry in ready:
            telemetry.greet()
        if desk.closing and keeper.session is not None and not ordered:
            keeper.stop("server", "the server shuts down")
            ordered = True
        if not desk.closing or keeper.session is not None:
            keeper.look()
        telemetry.follow(keeper.session.shared if keeper.session else None)
        telemetry.state(keeper.standing())


@dataclass(frozen=True)
class _Sockets:
    control: zmq.Socket[bytes]
    telemetry: zmq.Socket[bytes]
    roles: dict[str, Role] | None

    def info(self) -> dict[str, Any]:
        """Return the addresses that were really bound."""
        return {
            "control": self.control.get_string(zmq.LAST_ENDPOINT),
            "telemetry": self.telemetry.get_string(zmq.LAST_ENDPOINT),
            "keys": self.roles is not None,
        }


@contextmanager
def _sockets(options: ServerOptions) -> Iterator[_Sockets]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with ExitStack() as stack:
        stack.callback(context.destroy, linger=200)
        pair = roles = None
        if options.keys is not None:
            pair = key_pair(options.keys, "server")
            authenticator, roles = admit_roles(context, options.keys)
            stack.callback(authenticator.stop)
        control = _bound(context.socket(zmq.ROUTER), options.control, pair)
        telemetry = _bound(context.socket(zmq.XPUB), options.telemetry, pair)
        yield _Sockets(control, telemetry, roles)


def _bound(socket: zmq.Socket[bytes], address: str, pair: KeyPair | None) -> zmq.Socket[bytes]:
    socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.IPV6, int("[" in address))
    if socket.socket_type == zmq.XPUB:
        socket.set(zmq.XPUB_VERBOSE, 1)
    if pair is not None:
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = pair
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise ConfigError(f"{address} cannot be listened on: {error.strerror}; choose another port") from None
    return socket


@contextmanager
def _ending_on_signal(keeper: Keeper, desk: Desk) -> Iterator[None]:
    """End on the first SIGINT; silence the rig at once on a second one, and on SIGTERM."""

    def handle(number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        if keeper.session is not None and (number == signal.SIGTERM or desk.closing):
            keeper.session.stop_now(f"server: {name}")
        desk.closing = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
