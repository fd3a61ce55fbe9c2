"""Agents: programs that play in a culture's place, for comparison; what can be set of them, and where they sit."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NoReturn

from pydantic import BaseModel, ConfigDict

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    from wetloop.core.plugin import BuildContext, TaskConfig
    from wetloop.core.types import SpikeBatch

EXTRA = "stable_baselines3"


class AgentConfig(BaseModel):
    """Who plays under the condition ``agent``; other conditions do not read this."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["random", "dqn", "a2c", "ppo"] = "random"
    """How it acts: at random in each decision, or by a method of stable-baselines3 with its default settings."""
    sees: Literal["image", "paddle_and_ball", "ball"] = "ball"
    """What it is shown of Pong: pictures; places of ball and paddle and the ball's velocity; or what a culture is
    shown: how far away the ball is, and how high above the paddle."""


class ByAgentConfig(DecoderConfig):
    """Sits in the decoder's place where an agent acts. Made by the condition, never written in a configuration."""

    kind: Literal["agent"] = "agent"
    agent: AgentConfig
    """The agent."""

    def admit(self, task: TaskConfig) -> None:
        """Refuse what cannot be played: a task of another kind, or an agent that is not installed."""
        if task.kind != "pong":
            raise ConfigError(
                f"condition agent: what agents are shown is known of Pong alone, not of task {task.kind}: leave this "
                "condition or arm out, or set task.kind to pong"
            )
        if self.agent.kind != "random" and find_spec(EXTRA) is None:
            raise ConfigError(
                f"agent.kind {self.agent.kind}: {EXTRA} is needed for this: install it with pip install "
                "'wetloop[agents]', or set agent.kind to random"
            )

    def build(self, context: BuildContext) -> NoSpikesRead:
        _ = context
        return NoSpikesRead()


class NoSpikesRead:
    """What stands for the decoder of an agent's session: there is none."""

    def decode(self, batch: SpikeBatch, *, held: bool) -> NoReturn:
        """Refuse to decode."""
        _ = batch, held
        raise ConfigError(
            "an agent played this session: its actions were not decoded from spikes, and what it learned is in no "
            "recording, so that a replay cannot decide again; its game can be shown (wetloop render)"
        )
