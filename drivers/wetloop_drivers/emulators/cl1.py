"""A CL1 in front of a culture, and a stand-in for the vendor's package ``cl`` that reaches it.

The stand-in lies in a folder that the settings tell: a script that has it on its path imports ``cl``, reads what the
simulated culture does, and stimulates it. The vendor's own simulator knows no culture; this one checks the order of
calls and knows no bursts, loops or recordings.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import platformdirs
from pydantic import Field

from wetloop.core.errors import RigError
from wetloop.core.layout import pitch_um, positions_um
from wetloop.core.plugin import EmulatorConfig
from wetloop.core.types import Signal
from wetloop_drivers.cl1_wire import UV_PER_BIT, channels_at, indices_of
from wetloop_drivers.emulators.cl1_board import Board
from wetloop_drivers.emulators.cl1_package.cl.wire import ANSWER, BEGIN, N_CHANNELS, PACKET, SPIKE, STIM, pack
from wetloop_drivers.emulators.tcp_ports import Port, Ports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Block, Records

STREAM_PORT = 7064


class Cl1EmulatorConfig(EmulatorConfig):
    """An emulated CL1."""

    kind: Literal["cl1"] = "cl1"
    host: str = "127.0.0.1"
    """Address to listen at."""
    stream_port: int = Field(STREAM_PORT, ge=0, le=65535)
    """Where the stand-in for the vendor's package connects; 0: chosen by the system."""
    folder: str | None = None
    """Where the stand-in is put; by default emulated-cl1 in the user's cache, or a temporary folder where stream_port
    is 0."""

    def build(self, dish: Dish) -> Cl1Emulator:
        return Cl1Emulator(self, dish)


class Cl1Emulator:
    """The device while it runs.

    Attributes
    ----------
    board
        What carries out commands.
    """

    def __init__(self, config: Cl1EmulatorConfig, dish: Dish) -> None:
        self._config, self._dish = config, dish
        self._channels = _channels_of(dish)
        self.board = Board(dish, indices_of(self._channels.tolist()))
        self._said = bytearray()
        self._port = Port(config.host, config.stream_port, self._answer, lasting=True)
        self._ports: Ports | None = None
        self._closing = threading.Lock()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def open(self) -> Mapping[str, Any]:
        try:
            self._port.listen()
        except OSError as error:
            raise RigError(
                f"cannot listen at {self._config.host}:{self._config.stream_port} ({error}): set cl1.stream_port"
            ) from error
        self._ports = Ports([self._port])
        self._ports.open()
        folder = self._put_folder(f"{self._config.host}:{self._port.port}")
        return {
            "package_folder": str(folder), "signal": self._dish.info.signal.name.lower(),
            "sampling_frequency_hz": round(self._dish.info.sampling_frequency),
            "pitch_um": pitch_um(positions_um(self._dish.info.probe)),
        }  # fmt: skip

    def deliver(self, block: Block) -> None:
        self._port.send(pack(PACKET, self._packet(block)))
        with self._closing:
            if self._ports is not None:
                self._ports.ring()

    def unplug(self) -> None:
        self._end()

    def close(self) -> None:
        self._end()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _end(self) -> None:
        with self._closing:
            if self._ports is not None:
                self._ports.close()
                self._ports = None

    def _put_folder(self, address: str) -> Path:
        """Put the stand-in, bound to this device, into the folder."""
        folder = self._folder().expanduser().absolute()
        package, unwanted = Path(__file__).parent / "cl1_package" / "cl", shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, folder / "cl", dirs_exist_ok=True, ignore=unwanted)
        (folder / "cl" / "address.txt").write_text(address)
        return folder

    def _folder(self) -> Path:
        if self._config.folder is not None:
            return Path(self._config.folder)
        if self._config.stream_port:
            return Path(platformdirs.user_cache_dir("wetloop")) / "emulated-cl1"
        self._temporary = tempfile.TemporaryDirectory(prefix="cl1-")
        return Path(self._temporary.name)

    def _answer(self, said: bytes) -> bytes:
        self._said += said
        *lines, rest = bytes(self._said).split(b"\n")
        self._said = bytearray(rest)
        return b"".join(pack(ANSWER, json.dumps(self.board.answer(line)).encode()) for line in lines)

    def _packet(self, block: Block) -> bytes:
        frames, spikes = self._frames(block), self._spikes(block.spikes)
        pulses = self.board.delivered_before(block.start_sample + block.n_samples)
        stims = np.zeros(len(pulses), STIM)
        if pulses:
            stims["timestamp"], stims["channel"] = np.array(pulses).T
        begin = BEGIN.pack(block.start_sample, block.n_samples, len(frames), len(spikes), len(stims))
        return begin + frames.tobytes() + spikes.tobytes() + stims.tobytes()

    def _frames(self, block: Block) -> np.ndarray[Any, np.dtype[np.int16]]:
        """Return frames in the device's steps; none where the culture gives spikes only."""
        info = self._dish.info
        frames = np.zeros((len(block.samples) if info.signal is Signal.SAMPLES else 0, N_CHANNELS), "<i2")
        if len(frames):
            steps = block.samples * (info.gain_uv / np.float32(UV_PER_BIT))
            frames[:, self._channels] = np.clip(np.rint(steps), -32768, 32767)
        return frames

    def _spikes(self, spikes: Records) -> Records:
        """Return spikes as the device tells them, at the sample in which they became known."""
        told = np.zeros(len(spikes), SPIKE)
        told["timestamp"], told["amplitude_uv"] = spikes["known_sample"], spikes["amplitude_uv"]
        told["channel"] = self._channels[spikes["channel_index"]]
        return told


def _channels_of(dish: Dish) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the device's channel at each electrode of the dish."""
    where = positions_um(dish.info.probe)
    try:
        return channels_at(where, pitch_um(where))
    except ValueError as error:
        raise RigError(f"the culture does not fit a CL1: {error}") from None
