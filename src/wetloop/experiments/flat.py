"""What an experiment is played on, and which arms cannot learn whatever happens.

There, a flat line tests the plumbing and not the hypothesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wetloop.experiments.protocol import Arm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wetloop.config import SessionConfig
    from wetloop.experiments.protocol import Protocol

DECODER_BLIND = {
    "zero_spikes": "the decoder sees no spikes",
    "random_actions": "actions are drawn, whatever the culture does",
    "poisson_spikes": "the decoder sees drawn spikes, which follow the culture's rates alone",
}
PLAYED_ON = {
    "culture": "a model: simulated cultures",
    "poisson": "a model: drawn spikes",
    "recorded": "measured, but recorded: spikes that could not react",
}
DRAWN = "actions are drawn, whatever the task shows"
NEVER_FED_BACK = ("silent", "no_feedback", "rest")
GATED = ("three-factor", "oracle")
"""Rules of the simulated culture that change weights only when feedback pulses come."""


def played_on(protocol: Protocol, plan: Mapping[str, Any]) -> str:
    """Return whether the numbers of an experiment are of a model or were measured, and which arms are programs."""
    agents = [name for name, config in _configs(plan) if config.condition == "agent"]
    programs = f"; programs, not cultures: {', '.join(agents)}" if agents else ""
    return f"{_cultures_are(protocol, plan['session'])}{programs}"


def _cultures_are(protocol: Protocol, session: str) -> str:
    from wetloop.config import parse_config

    if protocol.cultures.recorded:
        return PLAYED_ON["recorded"]
    kind = parse_config(session, "session").source.kind
    return PLAYED_ON.get(kind, f"measured on {kind}")


def flat_by_construction(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return why an arm cannot learn, by its name; arms that can are not among them."""
    return {name: why for name, config in _configs(plan) if (why := _why(config))}


def _why(config: SessionConfig) -> str:
    if config.condition == "agent":
        return DRAWN if config.agent.kind == "random" else ""
    return _why_flat(config)


def _configs(plan: Mapping[str, Any]) -> Iterator[tuple[str, SessionConfig]]:
    """Yield the session of each arm, by the arm's name."""
    from wetloop.config import parse_config

    for name, told in plan["arms"].items():
        arm = Arm.model_validate(told)
        yield name, parse_config(plan["session"], "session", (f"condition={arm.condition}", *arm.set))


def _why_flat(config: SessionConfig) -> str:
    from wetloop.conditions import applied

    played = applied(config)
    if config.condition in DECODER_BLIND:
        return DECODER_BLIND[config.condition]
    if played.source.kind in {"recorded", "poisson"}:
        return "what plays is recorded or drawn and cannot react"
    if played.source.kind != "culture":
        return ""
    rule = getattr(getattr(played.source, "plasticity", None), "kind", "off")
    if rule == "off":
        return "no weight of the simulated culture can change"
    if rule in GATED and config.condition in NEVER_FED_BACK:
        return f"the rule {rule} of the simulated culture changes weights by feedback pulses, and there are none"
    return ""
