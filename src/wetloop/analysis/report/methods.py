"""The methods of a session in sentences that a paper can take, and every parameter behind them.

What a sentence tells comes from the recording. Plug-ins that are not known here are told by their parameters alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.analysis.report.played import DECODED, played, silent, source, yoked
from wetloop.core.layout import pitch_um, positions_um
from wetloop.core.types import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wetloop.analysis.report.material import Material
    from wetloop.analysis.report.numbers import Columns

    Section = dict[str, Any]

ANALYSIS = (
    "Spikes were taken as they were detected, unsorted; those marked as artefacts were left out. Network bursts were "
    "runs of bins of 100 ms in which at least 25 % of the active electrodes fired, with gaps of up to 200 ms bridged. "
    "Avalanches were runs of bins with spikes, the bin being the mean interval between spikes of the array (Beggs and "
    "Plenz 2003); exponents are maximum-likelihood estimates (Clauset, Shalizi and Newman 2009). Functional "
    "connectivity is the spike time tiling coefficient with dt = 10 ms (Cutts and Eglen 2014). Intervals are 95 % "
    "percentile bootstrap intervals of the mean (2,000 resamples)."
)
RANGES = ("min_rate_hz", "max_rate_hz")


class Paragraph(NamedTuple):
    """A paragraph of the methods and its heading."""

    heading: str
    text: str


def paragraphs(session: Material) -> list[Paragraph]:
    """Return the methods, with what the session's condition exchanged."""
    config = played(session.config, session.condition)
    told = (
        ("Culture", source(config, session.condition) or _culture(session)),
        ("Recording", _rig(session)),
        ("Task", _part(config, "task", TASKS)),
        ("Encoding", _part(config, "encoder", ENCODERS)),
        ("Decoding", _decoding(session)),
        ("Feedback", _part(config, "feedback", FEEDBACK)),
        ("Stimulation and its limits", _stimulation(session)),
        ("Session", _session(session)),
        ("Analysis", ANALYSIS),
        ("Software", _software(session)),
    )
    return [Paragraph(heading, text) for heading, text in told if text]


def parameters(session: Material) -> Columns:
    """Return every parameter of the resolved configuration, the rig and the tightest limits, by its path."""
    rig = {
        "name": session.info.name,
        "sampling_frequency_hz": session.info.sampling_frequency,
        "n_channels": session.info.n_channels,
        "signal": session.info.signal.name.lower(),
        "packet_samples": session.info.packet_samples,
        "lead_samples": session.info.lead_samples,
        "unit": session.info.unit,
        "electrode_area_um2": session.info.electrode_area_um2,
        "access_resistance_kohm": session.info.access_resistance_kohm,
        "latency_ms": session.info.latency_ms,
    }
    limits = session.limits.model_dump(mode="json", exclude_defaults=True)
    everything = {"config": session.config, "rig": rig, "limits in force": limits}
    pairs = list(_leaves(everything))
    return {"parameter": np.array([p for p, _ in pairs], str), "value": np.array([v for _, v in pairs], str)}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, _word(value)


def _word(value: Any) -> str:
    """Return a value as a person writes it."""
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return ", ".join(map(_word, value)) if isinstance(value, list | tuple) else str(value)


def _culture(session: Material) -> str:
    source, subject = session.config["source"], session.header.get("subject", {})
    told = ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in subject.items() if name != "notes")
    known = f" Of the culture: {told}." if told else " Nothing is recorded of the culture's origin."
    if source["kind"] == "culture":
        plasticity = source.get("plasticity", "off")
        kind = plasticity if isinstance(plasticity, str) else plasticity.get("kind", "off")
        return (
            f"The culture was simulated: {source['cells']} leaky integrate-and-fire cells with adaptation and synaptic "
            f"depression, {100 * source['network']['excitatory_share']:g} % of them excitatory, "
            f"{source['network']['synapses_per_cell']} synapses per cell, simulated for {source['settle_s']:g} s "
            f"before the session; plasticity: {kind}.{known if told else ''}"
        )
    return f"Spikes came from the source {_with_parameters(source)}.{known}"


def _rig(session: Material) -> str:
    info = session.info
    where = positions_um(info.probe)
    motor = [int((session.layout.regions == region).sum()) for region in range(session.layout.n_regions)]
    array = (
        f"Activity was recorded with {info.n_channels} electrodes ({pitch_um(where):g} µm between neighbours) at "
        f"{info.sampling_frequency:g} Hz ({info.name}), in packets of {info.packet_samples} samples. "
        f"{len(session.layout.sensory)} electrodes were sensory; {_listed(map(str, motor))} lay in the motor regions."
    )
    return f"{array} {_detection(session)}"


def _detection(session: Material) -> str:
    found = session.config.get("detection", {})
    if session.info.signal != Signal.SAMPLES:
        return "The rig delivered spikes."
    return (
        f"Samples were filtered from {found['low_hz']:g} to {found['high_hz']:g} Hz; spikes were negative peaks beyond "
        f"{found['threshold_sigma']:g} standard deviations of the noise (median of the absolute values over 0.6745), "
        f"with a lockout of {found['lockout_ms']:g} ms, and {found['blank_ms']:g} ms after each pulse were blanked."
    )


def _part(config: Section, name: str, known: Mapping[str, Callable[[Section], str]]) -> str:
    """Return a section of the configuration in a sentence of its own, or by its parameters."""
    section = config.get(name, {})
    told = known.get(section.get("kind", ""), _unknown(name))
    try:
        return told(section)
    except (KeyError, TypeError, ValueError):
        return _unknown(name)(section)


def _unknown(name: str) -> Callable[[Section], str]:
    return lambda section: f"The {name} was {_with_parameters(section)}."


def _with_parameters(section: Section) -> str:
    rest = [f"{path} = {value}" for path, value in _leaves(section) if path != "kind" and value != "none"]
    return f"{section.get('kind', 'unknown')}" + (f" ({'; '.join(rest)})" if rest else "")


def _pong(task: Section) -> str:
    return (
        f"The task was Pong with a paddle of {task['paddle']:g} of the field's height, moving at no more than "
        f"{task['paddle_speed']:g} heights per s; the ball crossed the field in {task['crossing_s']:g} s, with slopes "
        f"of {task['min_slope']:g} to {task['max_slope']:g}. "
        + ("A miss ended the rally." if task["miss_ends_episode"] else "After a miss the ball bounced on.")
    )


def _place_rate(encoder: Section) -> str:
    return (
        "The sensory electrode that was pulsed told the place of the ball, its rate the distance: from "
        f"{encoder['min_rate_hz']:g} to {encoder['max_rate_hz']:g} Hz, in biphasic pulses of "
        f"{encoder['phase_us']:g} µs per phase with an amplitude of {encoder['amplitude_mv']:g} mV "
        f"({encoder['amplitude_ua']:g} µA on rigs that control current)."
    )


def _region_ratio(decoder: Section) -> str:
    return (
        f"The action was the log ratio of the two motor regions' rates, smoothed over {decoder['smoothing_ms']:g} ms "
        f"with {decoder['floor_hz']:g} Hz added to each, as a standard score of its own mean and spread over "
        f"{decoder['gain_s']:g} s, clipped to -1 to 1."
    )


def _dishbrain(feedback: Section) -> str:
    good, bad = feedback["predictable"], feedback["random"]
    return (
        f"After {_listed(feedback['predictable_events'])}, all sensory electrodes were pulsed together at "
        f"{good['rate_hz']:g} Hz for {good['duration_ms']:g} ms ({good['amplitude_mv']:g} mV); after "
        f"{_listed(feedback['random_events'])}, random ones at {bad['rate_hz']:g} Hz on average for "
        f"{bad['duration_s']:g} s ({bad['amplitude_mv']:g} mV), followed by {feedback['rest_s']:g} s without "
        f"stimulation (after Kagan et al. 2022). Phases lasted {feedback['phase_us']:g} µs."
    )


TASKS: dict[str, Callable[[Section], str]] = {"pong": _pong}
ENCODERS: dict[str, Callable[[Section], str]] = {
    "place-rate": _place_rate,
    "none": lambda _: "The culture was shown nothing.",
}
DECODERS: dict[str, Callable[[Section], str]] = {"region-ratio": _region_ratio}
FEEDBACK: dict[str, Callable[[Section], str]] = {
    "dishbrain": _dishbrain,
    "yoked": yoked(_dishbrain),
    "silent": silent,
    "none": lambda _: "There was no feedback on outcomes.",
}


def _decoding(session: Material) -> str:
    decoder, every_ms = session.config.get("decoder", {}), session.config.get("decision_ms", 0)
    if session.condition == "agent":
        return f"The program chose an action every {every_ms:g} ms; no spikes were read."
    if session.condition == "random_actions":
        return DECODED[session.condition]
    told = _part(session.config, "decoder", DECODERS)
    window = f"Every {every_ms:g} ms spikes were decoded into an action. "
    fitted = " The decoder had been fitted to recordings." if session.header.get("decoder_fitted") else ""
    control = f" {DECODED[session.condition]}" if session.condition in DECODED else ""
    return window + (told if decoder else "") + fitted + control


def _stimulation(session: Material) -> str:
    limits = session.limits.model_dump(mode="json", exclude_defaults=True)
    bounds = "; ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in limits.items())
    lease = session.config.get("guard", {}).get("lease_ms")
    silent = f" Stimulation fell silent {lease:g} ms after the last decision." if lease else ""
    return (
        "Every pulse was charge-balanced and passed a guard, which refused what exceeded a limit and dropped what "
        f"would have been late. Limits in force: {bounds or 'none'}.{silent}"
    )


def _session(session: Material) -> str:
    return (
        f"The session of {session.duration_s / 60:.4g} min ran on {session.header['session_start']} under the "
        f"condition {session.condition}, with seed {session.header['seed']} for everything random."
    )


def _software(session: Material) -> str:
    versions = [f"{name} {version}" for name, version in session.header.get("versions", {}).items()]
    return f"Session and analysis were made with {_listed(versions)}."


def _listed(words: Any) -> str:
    *most, last = [*words] or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last
