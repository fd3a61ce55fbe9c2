"""A recording as objects of Neo, which Elephant and its relatives compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core.extras import from_extra
from wetloop.kernels.records import DELIVERED, EXCLUSIONS, FATES, KINDS
from wetloop.recording import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.core.types import Records
    from wetloop.recording.opened import OpenRecording


def block_of(opened: OpenRecording) -> Any:
    """Return a ``neo.Block`` with one segment: all times in s on the rig's clock, from the first to the last block.

    ``spiketrains`` has one train per channel, of all spikes, with ``excluded`` for each; ``events`` the delivered
    pulses and, apart, those that were not, with fate, pattern and channels for each; ``epochs`` the conditions and
    the episodes (rallies).
    """
    neo = from_extra("neo", "analysis")
    block = neo.Block(name=opened.path.stem, condition=opened.condition, rig=opened.info.name)
    segment = neo.Segment(name=opened.condition)
    segment.spiketrains.extend(list(_trains(neo, opened)))  # Neo takes lists only
    segment.events.extend(list(_pulses(neo, opened)))
    segment.epochs.extend([_conditions(neo, opened), _episodes(neo, opened)])
    block.segments.append(segment)
    return block


def _trains(neo: Any, opened: OpenRecording) -> Iterator[Any]:
    """Yield the spikes of each channel, those without any too."""
    from wetloop.recording.skeleton import role

    start_s, stop_s = opened.extent_s
    spikes = opened.spikes[["time_s", "channel_index", "excluded"]].numpy()
    spikes = spikes[(spikes["time_s"] >= start_s) & (spikes["time_s"] <= stop_s)]
    spikes = spikes[np.lexsort((spikes["time_s"], spikes["channel_index"]))]
    edges = np.searchsorted(spikes["channel_index"], np.arange(opened.info.n_channels + 1))
    for channel in range(opened.info.n_channels):
        mine = spikes[edges[channel] : edges[channel + 1]]
        yield neo.SpikeTrain(
            mine["time_s"],
            units="s",
            t_start=start_s,
            t_stop=stop_s,
            sampling_rate=opened.info.sampling_frequency * _hertz(),
            name=f"channel {channel}",
            channel_index=channel,
            role=role(opened.recording.layout, channel),
            array_annotations={"excluded": np.array(EXCLUSIONS)[mine["excluded"]]},
        )


def _hertz() -> Any:
    return from_extra("quantities", "analysis").Hz


def _pulses(neo: Any, opened: OpenRecording) -> Iterator[Any]:
    """Yield the pulses that reached the culture, and those that did not."""
    pulses = opened.pulses.numpy()
    delivered = pulses["fate"] == DELIVERED
    channels = [" ".join(map(str, pattern.channels)) for pattern in opened.patterns.values()]
    for name, rows in (("pulses", pulses[delivered]), ("pulses not delivered", pulses[~delivered])):
        yield neo.Event(
            rows["time_s"],
            units="s",
            labels=np.array(KINDS)[rows["kind"]],
            name=name,
            amplitude_unit=opened.info.unit,
            array_annotations=_told(rows, list(opened.patterns), channels),
        )


def _told(rows: Records, patterns: list[str], channels: list[str]) -> dict[str, Any]:
    """Return what is said of each pulse; Neo keeps no text without characters."""
    parameters = {column.name: rows[column.name] for column in schema.PULSE_PARAMETERS}
    named = {"pattern": np.array(patterns or ["?"]), "channels": np.array(channels or ["?"])}
    words = {name: texts[rows["pattern"]] for name, texts in named.items()}
    return {"fate": np.array(FATES)[rows["fate"]], **words, **parameters}


def _conditions(neo: Any, opened: OpenRecording) -> Any:
    """Return the experimental arm: the whole of the recording, as yet."""
    start_s, stop_s = opened.extent_s
    return neo.Epoch(
        [start_s], durations=[stop_s - start_s], units="s", labels=np.array([opened.condition]), name="conditions"
    )


def _episodes(neo: Any, opened: OpenRecording) -> Any:
    rows = opened.episodes.numpy()
    lengths_s = (rows["stop_sample"] - rows["start_sample"]) / opened.info.sampling_frequency
    return neo.Epoch(
        rows["time_s"],
        durations=lengths_s,
        units="s",
        labels=rows["ended_by"],
        name="episodes",
        array_annotations={"hits": rows["hits"]},
    )
