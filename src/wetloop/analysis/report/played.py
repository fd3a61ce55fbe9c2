"""What a session's condition exchanged, in sentences: a control is not described as if it were the real thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wetloop.conditions import EXCHANGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Section = dict[str, Any]

DECODED = {
    "zero_spikes": "The decoder was shown silence instead of the spikes.",
    "poisson_spikes": "The decoder was shown Poisson spikes at each channel's running rate instead of the spikes.",
    "shuffled_channels": "The decoder was shown the spikes on channels permuted anew in each decision.",
    "random_actions": "Spikes were not read: each action was drawn uniformly from -1 to 1.",
}
"""What a control around the decoder did, by condition."""
NO_CULTURE = "No culture played"


def played(config: Mapping[str, Any], condition: str) -> Section:
    """Return the configuration with the kinds, and the end of a rally, that its condition exchanged."""
    changed: Section = {
        name: config.get(name, {}) | {"kind": kind} for name, kind in EXCHANGED.get(condition, {}).items()
    }
    if condition == "no_feedback":
        task = config.get("task", {})
        changed["task"] = task | {name: False for name in task if name.endswith("_ends_episode")}
    return {**config, **changed}


def source(config: Mapping[str, Any], condition: str) -> str:
    """Return what played where no culture did; empty where one may have."""
    if condition == "agent":
        return f"{NO_CULTURE}, but a program. {_agent(config['agent'])}"
    if condition == "noise":
        return f"{NO_CULTURE}: each electrode gave random (Poisson) spikes, whatever was stimulated."
    return ""


def _agent(agent: Section) -> str:
    if agent["kind"] == "random":
        return "Each of its actions was drawn at random."
    return (
        f"It was {agent['kind'].upper()} with the settings of its library, shown {agent['sees']}, and learned while it "
        "played, from a reward of 1 for a hit and -1 for a miss, with the pauses that a culture has."
    )


def silent(_: Section) -> str:
    """Return the sentence on pauses without pulses."""
    return "Outcomes were followed by the pauses that feedback takes, without its pulses."


def yoked(described: Callable[[Section], str]) -> Callable[[Section], str]:
    """Return the sentence on feedback without contingency, from that on the feedback that it is the control of."""
    return lambda feedback: (
        "Feedback was not contingent: each outcome got an answer drawn at random from all that had been earned so far. "
        f"They were earned thus. {described(feedback)}"
    )
