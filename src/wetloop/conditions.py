"""Experimental conditions: each exchanges parts of a configuration; nothing else ever asks which condition runs.

The arms of DishBrain's second experiment (Kagan et al., Neuron 2022) and the controls that every claim needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from wetloop.coding.agent import ByAgentConfig
from wetloop.coding.controls import Control, ControlConfig
from wetloop.registry import find

if TYPE_CHECKING:
    from wetloop.config import SessionConfig
    from wetloop.core.plugin import PluginConfig

GROUPS = {"source": "wetloop.sources", "encoder": "wetloop.encoders", "feedback": "wetloop.feedback"}
EXCHANGED: dict[str, dict[str, str]] = {
    "stimulus": {},
    "silent": {"feedback": "silent"},
    "no_feedback": {"feedback": "none"},
    "rest": {"encoder": "none", "feedback": "silent"},
    "yoked": {"feedback": "yoked"},
    "noise": {"source": "poisson"},
    "agent": {"source": "poisson", "encoder": "none", "feedback": "silent"},
}
SILENT_HZ = 1e-9
"""Rate of the spikes on the rig of an agent, which reads none, Hz: there will be none."""
CONTROLS: tuple[Control, ...] = get_args(Control)
"""Conditions that put a control around the decoder and leave everything else as it is under ``stimulus``."""
RULES_OUT = {
    "silent": "that pausing after an outcome, without feedback pulses, gives the score",
    "no_feedback": "that showing the task, without any answer to outcomes, gives the score",
    "rest": "that spontaneous activity, with nothing shown and nothing answered, gives the score",
    "yoked": "that feedback pulses give the score whether or not they fit the outcome",
    "noise": "that decoder and task give the score to spikes that no cells made",
    "zero_spikes": "that the decoder gives the score by itself, without any spikes",
    "poisson_spikes": "that channel rates alone give the score, without anything that cells answer to stimulation",
    "shuffled_channels": "that how much the culture fires gives the score, no matter where",
    "random_actions": "that the task gives the score to anyone, whatever the actions",
    "agent": "that a program, which learns from rewards in a game as long, scores as well",
}
"""What a condition rules out where ``stimulus`` scores better than it."""


def applied(config: SessionConfig) -> SessionConfig:
    """Return the configuration with the parts that its condition exchanges."""
    update: dict[str, Any] = {
        section: exchanged(getattr(config, section), GROUPS[section], kind)
        for section, kind in EXCHANGED.get(config.condition, {}).items()
    }
    if config.condition in CONTROLS:
        update["decoder"] = ControlConfig(control=config.condition, decoder=config.decoder)
    if config.condition == "no_feedback":
        update["task"] = config.task.endless()
    if config.condition in {"rest", "agent"}:
        update["reflex"] = type(config.reflex)()
    if config.condition == "agent":
        update["decoder"] = ByAgentConfig(agent=config.agent)
        update["source"] = update["source"].model_copy(update={"rate_hz": SILENT_HZ})
        never = config.watch.silent.model_copy(update={"at_most_hz": -1.0})
        update["watch"] = config.watch.model_copy(update={"silent": never})
    return config.model_copy(update=update)


def exchanged(section: PluginConfig, group: str, kind: str) -> PluginConfig:
    """Return another plug-in's configuration with every setting that the two share."""
    model = find(group, kind)
    shared = {k: v for k, v in section.model_dump().items() if k in model.model_fields and k != "kind"}
    return model.model_validate({"kind": kind, **shared})
