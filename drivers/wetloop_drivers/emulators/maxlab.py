"""A MaxLab Live server in front of a culture: both streams, and a stand-in for the vendor's package.

The stand-in and the configuration of the chip lie in a folder that the settings tell: a script that has it on its path
imports ``maxlab`` and stimulates the simulated culture. Frames come at the culture's sampling frequency: set
``culture.sampling_frequency_hz=20000`` for that of a MaxOne. The stream is not filtered: the culture's noise is white.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import platformdirs
import zmq
from pydantic import Field

from wetloop.core.errors import RigError
from wetloop.core.layout import positions_um
from wetloop.core.plugin import EmulatorConfig, seeded
from wetloop.core.types import Signal
from wetloop_drivers.emulators.maxlab_board import Board
from wetloop_drivers.emulators.zmq_ports import bound
from wetloop_drivers.maxlab_wire import (
    AMPLITUDES_BYTES,
    COMMAND_PORT,
    FILTERED_PORT,
    FULL_SCALE_UV,
    LARGEST_AMPLITUDE,
    N_CHANNELS,
    RAW_PORT,
    TOLD_SPIKE,
    Routing,
    electrode_positions_um,
    electrodes_at,
    pack_frame,
    pack_routing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Block, Records

Share = Field(0.0, ge=0, le=1)
OTHER_WELL = 6
"""MaxTwo: another culture, that fires as the first one does."""
MID_SCALE, TOP = 512.0, 1023.0


class MaxLabEmulatorConfig(EmulatorConfig):
    """An emulated MaxLab Live server."""

    kind: Literal["maxlab"] = "maxlab"
    host: str = "127.0.0.1"
    """Address to listen at."""
    raw_port: int = Field(RAW_PORT, ge=0, le=65535)
    """Of the raw stream; 0: chosen by the system, as of the other ports."""
    filtered_port: int = Field(FILTERED_PORT, ge=0, le=65535)
    """Of the filtered stream."""
    command_port: int = Field(COMMAND_PORT, ge=0, le=65535)
    """Of what the stand-in for the vendor's package talks to."""
    folder: str | None = None
    """Where the stand-in and the configuration are put; by default emulated-maxlab in the user's cache, or a temporary
    folder where command_port is 0."""
    model: Literal["maxone", "maxtwo"] = "maxone"
    """The rig; of a maxtwo another well's spikes come too."""
    well: int = Field(0, ge=0, le=5)
    """MaxTwo: the well that the culture is in."""
    stream: Literal["filtered", "raw"] = "filtered"
    """Which stream the settings name."""
    spike_record_bytes: Literal[16, 24] = 16
    """Size of a spike record."""
    gain: Literal[1, 7, 112, 512, 1024, 2048] = 512
    """Gain of the amplifiers."""
    split_share: float = Share
    """Share of the frames with spikes whose records come in two parts."""
    corrupt_share: float = Share
    """Share of the frames of which a part is damaged."""
    lost_share: float = Share
    """Share of the packets that are not sent."""
    fault_seed: int = Field(1, ge=0)
    """Decides which."""

    def build(self, dish: Dish) -> MaxLabEmulator:
        return MaxLabEmulator(self, dish)


class MaxLabEmulator:
    """The server while it runs.

    Attributes
    ----------
    board
        What carries out commands.
    """

    def __init__(self, config: MaxLabEmulatorConfig, dish: Dish) -> None:
        self._config, self._dish = config, dish
        self._rng = seeded(config.fault_seed, "maxlab faults")
        where = positions_um(dish.info.probe)
        electrodes = electrodes_at(where)
        channels = tuple(range(len(electrodes)))
        self._routing = Routing(channels, electrodes, electrode_positions_um(electrodes))
        self._channels = np.array(channels)
        self._lsb_uv = FULL_SCALE_UV / config.gain
        self._silence = bytes(AMPLITUDES_BYTES)
        self.board = Board(dish, {electrode: k for k, electrode in enumerate(electrodes)})
        self._context = zmq.Context()
        self._streams: dict[str, zmq.Socket[bytes]] = {}
        self._publishing, self._ended = threading.Lock(), threading.Event()
        self._server: threading.Thread | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def open(self) -> Mapping[str, Any]:
        config = self._config
        try:
            self._streams["raw"], raw_port = bound(self._context, zmq.PUB, self._config.host, config.raw_port)
            self._streams["filtered"], filtered_port = bound(
                self._context, zmq.PUB, self._config.host, config.filtered_port
            )
            commands, command_port = bound(self._context, zmq.REP, self._config.host, config.command_port)
        except zmq.ZMQError as error:
            self.close()
            raise RigError(
                f"the emulated MaxLab server cannot listen ({error}): end what uses its ports, or set others (0: any)"
            ) from error
        self._server = threading.Thread(target=self._serve, args=(commands,), name="maxlab", daemon=True)
        self._server.start()
        folder = self._put_folder(f"tcp://{config.host}:{command_port}")
        return {
            "host": config.host, "port": raw_port if config.stream == "raw" else filtered_port,
            "model": config.model, "well": config.well, "stream": config.stream, "gain": config.gain,
            "signal": self._dish.info.signal.name.lower(), "spike_record_bytes": config.spike_record_bytes,
            "sampling_frequency_hz": round(self._dish.info.sampling_frequency),
            "configuration": str(folder / "array.cfg"), "package_folder": str(folder), "settle_s": 0.0,
        }  # fmt: skip

    def deliver(self, block: Block) -> None:
        with self._publishing:
            if not self._streams or self._rng.random() < self._config.lost_share:
                return
            for name, messages in self._messages(block).items():
                for parts in messages:
                    self._streams[name].send_multipart(parts, zmq.NOBLOCK)

    def unplug(self) -> None:
        self._end()

    def close(self) -> None:
        self._end()
        self._context.destroy(linger=0)
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _end(self) -> None:
        self._ended.set()
        if self._server is not None:
            self._server.join()
        with self._publishing:
            for stream in self._streams.values():
                stream.close(linger=0)
            self._streams.clear()

    def _put_folder(self, address: str) -> Path:
        """Put the stand-in, bound to this server, and the chip's configuration into the folder."""
        folder = self._folder().expanduser().absolute()
        package = Path(__file__).parent / "maxlab_package" / "maxlab"
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, folder / "maxlab", dirs_exist_ok=True, ignore=unwanted)
        (folder / "maxlab" / "address.txt").write_text(address)
        (folder / "array.cfg").write_text(pack_routing(self._routing))
        return folder

    def _folder(self) -> Path:
        if self._config.folder is not None:
            return Path(self._config.folder)
        if self._config.command_port:
            return Path(platformdirs.user_cache_dir("wetloop")) / "emulated-maxlab"
        self._temporary = tempfile.TemporaryDirectory(prefix="maxlab-")
        return Path(self._temporary.name)

    def _serve(self, commands: zmq.Socket[bytes]) -> None:
        while not self._ended.is_set():
            if commands.poll(50):
                commands.send_string(self.board.answer(commands.recv().decode(errors="replace")))
        commands.close(linger=0)

    def _messages(self, block: Block) -> dict[str, list[list[bytes]]]:
        """Return the messages of both streams."""
        if self._dish.info.signal is Signal.SPIKES:
            return {"filtered": list(self._frames(block, [self._silence] * block.n_samples))}
        steps = np.zeros((block.n_samples, N_CHANNELS), "<f4")
        steps[:, self._channels] = block.samples * (self._dish.info.gain_uv / np.float32(self._lsb_uv))
        raw = np.clip(np.rint(steps + MID_SCALE), 0, TOP).astype("<f4")
        filtered = np.clip(steps, -LARGEST_AMPLITUDE, LARGEST_AMPLITUDE)
        streams = {"raw": raw, "filtered": filtered}
        return {name: list(self._frames(block, [row.tobytes() for row in rows])) for name, rows in streams.items()}

    def _frames(self, block: Block, amplitudes: list[bytes]) -> Iterator[list[bytes]]:
        spikes = self._told(block.spikes)
        edges = np.searchsorted(spikes["told_frame"], np.arange(block.n_samples + 1) + block.start_sample).tolist()
        for k, row in enumerate(amplitudes):
            inside = spikes[edges[k] : edges[k + 1]]
            parts = pack_frame(block.start_sample + k, row, inside, self._config.spike_record_bytes)
            yield self._handled(parts) if self._config.corrupt_share or self._config.split_share else parts

    def _told(self, spikes: Records) -> Records:
        """Return spikes as the server tells them."""
        told = np.zeros(len(spikes), TOLD_SPIKE)
        told["frame"], told["told_frame"] = spikes["sample_index"], spikes["known_sample"]
        told["channel"], told["well"] = self._channels[spikes["channel_index"]], self._config.well
        told["amplitude"] = spikes["amplitude_uv"] / self._lsb_uv
        if self._config.model == "maxone":
            return told
        other = told.copy()
        other["well"] = OTHER_WELL
        both = np.concatenate([told, other])
        return both[np.argsort(both["told_frame"], kind="stable")]

    def _handled(self, parts: list[bytes]) -> list[bytes]:
        """Return a message as a bad link would: its spikes in two parts, or one part damaged."""
        if len(parts) > 2 and self._rng.random() < self._config.split_share:
            size = self._config.spike_record_bytes
            at = size * int(self._rng.integers(len(parts[2]) // size + 1))
            parts = [*parts[:2], parts[2][:at], parts[2][at:]]
        if self._rng.random() < self._config.corrupt_share:
            k = int(self._rng.integers(len(parts)))
            cut = int(self._rng.integers(len(parts[k]) + 1))
            parts = [*parts[:k], parts[k][:cut], *parts[k + 1 :]]
        return parts
