"""Starts ViZDoom so that nothing of it outlives the process that started it: no engine, no file, no shared memory."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wetloop.core.errors import ConfigError, TaskError
from wetloop.engine.host import GAME
from wetloop.tasks import doom_guard
from wetloop.tasks.doom_scenarios import BUTTONS, SCENARIOS

if TYPE_CHECKING:
    import vizdoom

    from wetloop.tasks.doom_config import DoomConfig

TICS_PER_S = 35
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (where Boost puts what ViZDoom and its engine share)


def start_game(config: DoomConfig) -> vizdoom.DoomGame:
    """Return the scenario's game, running, with depth, labels and colours.

    Raises
    ------
    ConfigError
        Where ViZDoom is not installed.
    TaskError
        Where its engine does not start.
    """
    try:
        import vizdoom
    except ImportError as error:
        raise ConfigError(f"task doom needs ViZDoom ({error}): pip install 'wetloop[doom]'") from error
    game = vizdoom.DoomGame()
    game.load_config(str(Path(vizdoom.scenarios_path) / f"{config.scenario}.cfg"))
    game.set_available_buttons([getattr(vizdoom.Button, BUTTONS[axis][0]) for axis in SCENARIOS[config.scenario].axes])
    game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{config.resolution.upper()}"))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_depth_buffer_enabled(True)
    game.set_labels_buffer_enabled(True)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_window_visible(False)
    if config.timeout_s is not None:
        game.set_episode_timeout(game.get_episode_start_time() + round(config.timeout_s * TICS_PER_S))
    if config.skill is not None:
        game.set_doom_skill(config.skill)
    _start_guarded(game, Path(vizdoom.__file__).with_name("vizdoom"))
    return game


def _start_guarded(game: vizdoom.DoomGame, engine: Path) -> None:
    """Start the engine in a folder that is deleted under its feet, and take the names of what it shares away."""
    with tempfile.TemporaryDirectory(prefix="wetloop-doom-") as folder:
        path, starter = Path(folder, GAME), Path(folder, "start")
        path.symlink_to(engine)
        words = [sys.executable, "-IS", doom_guard.__file__, str(os.getpid()), str(path), str(engine)]
        starter.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        starter.chmod(0o700)
        game.set_vizdoom_path(str(starter))
        try:
            game.init()
        except Exception as error:
            raise TaskError(f"the engine of ViZDoom did not start: {error}") from error
    for shared in SHARED_MEMORY.glob(f"ViZDoom*{game.get_instance_id()}"):
        shared.unlink(missing_ok=True)
