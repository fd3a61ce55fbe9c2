"""Starts ViZDoom so that nothing of it outlives the process that started it: no engine, no file, no shared memory."""

from __future__ import annotations

import os
import select
import shlex
import signal
import sys
import tempfile
from contextlib import suppress
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


class Engine:
    """A running game, and a handle of the process behind it.

    Raises
    ------
    ConfigError
        Where ViZDoom is not installed.
    TaskError
        Where its engine does not start.
    """

    def __init__(self, config: DoomConfig) -> None:
        self.game = configured_game(config)
        self._handle = _start_guarded(self.game)

    def require_alive(self) -> None:
        """Raise a ChildProcessError where the process has ended, which ViZDoom tells at the next tic only."""
        if select.select([self._handle], [], [], 0)[0]:
            raise ChildProcessError("its process has ended")

    def close(self) -> None:
        """Kill the engine, which may be stopped; may be called twice."""
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
            self._handle = -1
        self.game.close()


def configured_game(config: DoomConfig) -> vizdoom.DoomGame:
    """Return the scenario's game, not yet running, with depth, labels and colours."""
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
    game.set_vizdoom_path(str(Path(vizdoom.__file__).with_name("vizdoom")))
    return game


def _start_guarded(game: vizdoom.DoomGame) -> int:
    """Start the engine in a folder that is deleted under its feet, and take the names of what it shares away.

    Returns a file descriptor of the process.
    """
    with tempfile.TemporaryDirectory(prefix="wetloop-doom-") as folder:
        path, starter = Path(folder, GAME), Path(folder, "start")
        path.symlink_to(game.get_vizdoom_path())
        words = [sys.executable, "-IS", doom_guard.__file__, str(os.getpid()), str(path), game.get_vizdoom_path()]
        starter.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        starter.chmod(0o700)
        game.set_vizdoom_path(str(starter))
        try:
            game.init()
            handle = os.pidfd_open(int(Path(folder, doom_guard.PID_FILE).read_text(encoding="ascii")))
        except Exception as error:
            raise TaskError(f"the engine of ViZDoom did not start: {error}") from error
    for shared in SHARED_MEMORY.glob(f"ViZDoom*{game.get_instance_id()}"):
        shared.unlink(missing_ok=True)
    return handle
