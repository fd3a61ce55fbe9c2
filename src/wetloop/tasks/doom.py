"""Doom as a Gymnasium environment: ViZDoom without a window, stepped tic by tic of the rig's clock.

A step lasts one decision. ``info["events"]`` tells what happened in it, ``info["magnitudes"]`` how much damage was
taken, in points of health, ``info["frame"]`` what the culture is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt

from wetloop.core.errors import TaskError
from wetloop.tasks.doom_config import DoomConfig
from wetloop.tasks.doom_engine import TICS_PER_S, Engine
from wetloop.tasks.doom_scenarios import BUTTONS, SCENARIOS
from wetloop.tasks.doom_view import FEATURES, HIGH, LOW, View, features, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = npt.NDArray[np.float32]

SHOTS = ("AMMO2", "AMMO3")
"""Bullets and shells, which hit in the tic in which they are fired; rockets and plasma take their time."""
GOODS = ("HEALTH", "ARMOR", "ITEMCOUNT", *SHOTS, "AMMO5", "AMMO6", *(f"WEAPON{slot}" for slot in range(1, 8)))
"""Where one of these grows, something was picked up."""
VARIABLES = (
    *GOODS, "KILLCOUNT", "HITCOUNT", "DAMAGE_TAKEN", "SELECTED_WEAPON_AMMO",
    "POSITION_X", "POSITION_Y", "ANGLE", "DEAD",
)  # fmt: skip


class Ending(NamedTuple):
    """How an episode stands: over by itself, over as its time is up, and what to call it."""

    terminated: bool = False
    truncated: bool = False
    events: tuple[str, ...] = ()


class Doom(gymnasium.Env[Vector, Vector]):
    """One of ViZDoom's scenarios.

    The action is one number in [-1, 1] for each of the scenario's axes (``action_names``): turning and walking in
    proportion, right and forward positive; the trigger is pulled above 0. The game runs 35 tics per second; a decision
    without a tic leaves its action to the next one, which plays the mean. The reward is the scenario's own.

    Raises
    ------
    ConfigError, TaskError
        Where ViZDoom is missing, or its engine does not start or has died.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": ["rgb_array"], "render_fps": TICS_PER_S}
    observation_names = tuple(FEATURES)

    def __init__(
        self, config: DoomConfig | None = None, decision_ms: float = 20.0, render_mode: str | None = None
    ) -> None:
        self.config = config or DoomConfig()
        self.render_mode = render_mode
        self._scenario = SCENARIOS[self.config.scenario]
        self.action_names: tuple[str, ...] = self._scenario.axes
        width, height = map(int, self.config.resolution.split("x"))
        self.frame_shape = (height, width)
        self.observation_space = gymnasium.spaces.Box(LOW, HIGH, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self._decision_us, self._elapsed = round(decision_ms * 1000), 0
        self._waiting: list[Vector] = []
        self._engine = Engine(self.config)
        self._game = self._engine.game
        self._known = self._variables()
        self._view: View

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Begin an episode; what is random in it follows from the environment's generator alone."""
        super().reset(seed=seed, options=options)
        self._elapsed, self._waiting = 0, []
        self._game.set_seed(int(self.np_random.integers(1 << 31)))
        self._played(self._game.new_episode)
        self._look()
        return self._observation(), self._info(())

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Play the tics that fall into the decision."""
        self._waiting.append(action)
        self._elapsed += TICS_PER_S * self._decision_us
        tics, self._elapsed = divmod(self._elapsed, 1_000_000)
        if not tics:
            self._played(self._engine.require_alive)
            return self._observation(), 0.0, False, False, self._info(())
        before, buttons = self._known, self._buttons()
        reward = float(self._played(lambda: self._game.make_action(buttons, tics)))
        self._look()
        ending = self._ending()
        info = self._info((*happened(before, self._known), *ending.events))
        info["magnitudes"] = {"damage": self._known["DAMAGE_TAKEN"] - before["DAMAGE_TAKEN"]}
        return self._observation(), reward, ending.terminated, ending.truncated, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Return the screen in colours, (height, width, 3), or None without a render mode."""
        return self._view.screen if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the engine."""
        self._engine.close()

    def _played(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            raise TaskError(f"the engine of ViZDoom failed: {error}") from error

    def _buttons(self) -> list[float]:
        mean: list[float] = np.stack(self._waiting).mean(axis=0, dtype=np.float64).tolist()
        self._waiting = []
        return [
            float(value > 0) if axis == "attack" else value * BUTTONS[axis][1]
            for axis, value in zip(self._scenario.axes, mean, strict=True)
        ]

    def _variables(self) -> dict[str, float]:
        import vizdoom

        return {name: self._game.get_game_variable(getattr(vizdoom.GameVariable, name)) for name in VARIABLES}

    def _look(self) -> None:
        """Take in variables and, while there is a state, what is seen; the last tic of an episode has none."""
        self._known = self._variables()
        state = self._game.get_state()
        if state is not None:
            self._view = view_of(state, self.config.frame, self._known["POSITION_X"], self._known["POSITION_Y"])

    def _ending(self) -> Ending:
        if not self._game.is_episode_finished():
            return Ending()
        if self._known["DEAD"]:
            return Ending(terminated=True, events=("death",))
        if self._game.is_episode_timeout_reached():
            return Ending(truncated=True, events=("survived",) if self._scenario.outlasts else ())
        return Ending(terminated=True, events=("goal",))

    def _observation(self) -> Vector:
        return features(self._known, self._view)

    def _info(self, events: tuple[str, ...]) -> dict[str, Any]:
        return {"events": events, "frame": self._view.frame}


def happened(before: dict[str, float], now: dict[str, float]) -> tuple[str, ...]:
    """Return what two looks at the variables tell: kills one by one, then damage, pickup and missed shot."""
    shots = sum(before[name] - now[name] for name in SHOTS)
    found = {
        "damage": now["DAMAGE_TAKEN"] > before["DAMAGE_TAKEN"],
        "pickup": any(now[name] > before[name] for name in GOODS),
        "missed_shot": shots > 0 and now["HITCOUNT"] == before["HITCOUNT"],
    }
    kills = int(now["KILLCOUNT"] - before["KILLCOUNT"])
    return ("kill",) * kills + tuple(event for event, so in found.items() if so)
