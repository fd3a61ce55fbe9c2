"""What an experiment is played on, and which arms cannot learn whatever happens.

There, a flat line tests the plumbing and not the hypothesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wetloop.experiments.protocol import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping

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
NEVER_FED_BACK = ("silent", "no_feedback", "rest")
GATED = ("three-factor", "oracle")
"""Rules of the simulated culture that change weights only when feedback pulses come."""


def played_on(protocol: Protocol, session: str) -> str:
    """Return whether the numbers of an experiment with this session (YAML) are of a model or were measured."""
    from wetloop.config import parse_config

    if protocol.cultures.recorded:
        return PLAYED_ON["recorded"]
    kind = parse_config(session, "session").source.kind
    return PLAYED_ON.get(kind, f"measured on {kind}")


def flat_by_construction(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return why an arm cannot learn, by its name; arms that can are not among them."""
    from wetloop.config import parse_config

    found = {}
    for name, told in plan["arms"].items():
        arm = Arm.model_validate(told)
        config = parse_config(plan["session"], "session", (f"condition={arm.condition}", *arm.set))
        why = _why_flat(config)
        if why:
            found[name] = why
    return found


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
