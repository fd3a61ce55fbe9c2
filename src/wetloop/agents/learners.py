"""Who acts: at random, or a learner of stable-baselines3 that learns while it plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wetloop.core.extras import from_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from wetloop.agents.court import Court

    Learner = Callable[["Court", int, np.random.Generator], None]


def play_at_random(court: Court, most_steps: int, rng: np.random.Generator) -> None:
    """Play until the session is over; every action is drawn anew."""
    court.reset()
    for _ in range(most_steps):
        if court.over:
            return
        _, _, terminated, truncated, _ = court.step(rng.integers(3))
        if terminated or truncated:
            court.reset()


def learner(kind: str) -> Learner:
    """Return what plays and learns by this method, with the default settings of stable-baselines3."""

    def play(court: Court, most_steps: int, rng: np.random.Generator) -> None:
        library, torch = from_extra("stable_baselines3", "agents"), from_extra("torch", "agents")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            pictures = len(court.observation_space.shape or ()) > 1
            made = getattr(library, kind.upper())(
                "CnnPolicy" if pictures else "MlpPolicy",
                court,
                seed=int(rng.integers(2**31)),
                device="cpu",
                **_sized(kind, most_steps),
            )
            made.learn(most_steps, callback=lambda *_: not court.over)
        finally:
            torch.set_num_threads(threads)

    return play


def _sized(kind: str, most_steps: int) -> dict[str, Any]:
    """Return the one setting that is not the library's: a memory for the whole session instead of a million steps."""
    return {"buffer_size": max(1, most_steps)} if kind == "dqn" else {}
