"""The policy: what the motor regions do, and the decoder with them, by where the ball is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from wetloop.analysis.measures import interval_of_mean, means_by_bin, motor_balance
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import COLOURS, INK, Panel, new_figure
from wetloop.core.plugin import seeded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

    Floats = npt.NDArray[np.float64]

N_BINS = 10


class Shown(NamedTuple):
    """What the culture was shown at each decision, and what that is."""

    name: str
    values: Floats


@dataclass(frozen=True)
class PolicyNumbers(Numbers):
    """Motor balance and action by what was shown.

    Correlations (Pearson) with what was shown are over the decisions in play; intervals are bootstrapped over
    ``episodes``, since successive decisions depend on each other.
    """

    shown: str
    decisions_in_play: int
    episodes: int
    correlation_balance: float
    correlation_action: float
    bins: Columns


def measure(session: Material) -> PolicyNumbers:
    """Return the policy in ten equal bins of what was shown."""
    rows = session.decisions
    playing = rows["playing"] > 0
    shown = _shown(session)
    balance, action = _balance(session)[playing], rows["action"][playing, 0]
    values = shown.values[playing]
    starts = session.episodes["start_sample"]
    episode = np.searchsorted(starts, rows["start_sample"][playing], "right") - 1
    return PolicyNumbers(
        shown=shown.name,
        decisions_in_play=int(playing.sum()),
        episodes=len(starts),
        correlation_balance=_correlation(values, balance),
        correlation_action=_correlation(values, action),
        bins=_binned(values, episode, {"balance": balance, "action": action}) if len(values) else _no_bins(),
    )


def _shown(session: Material) -> Shown:
    """Return ball relative to paddle; else what the encoder's ``place`` names; else the first of the observation."""
    names, observation = session.header["observation_names"], session.decisions["observation"]
    if "ball_y" in names and "paddle_y" in names:
        ball, paddle = (observation[:, names.index(name)].astype(float) for name in ("ball_y", "paddle_y"))
        return Shown("ball above the paddle (fraction of the field)", ball - paddle)
    place = session.config.get("encoder", {}).get("place")
    column = place if isinstance(place, int) and 0 <= place < observation.shape[1] else 0
    return Shown(
        names[column] if column < len(names) else f"observation {column}", observation[:, column].astype(float)
    )


def _balance(session: Material) -> Floats:
    """Return the motor balance of each decision, from the spikes that were decoded in its window."""
    stops, n = session.decisions["stop_sample"], len(session.decisions)
    counted = session.spikes[session.spikes["excluded"] == 0]
    when = np.searchsorted(stops, counted["known_sample"], "right")
    region = session.layout.regions[counted["channel_index"]]
    counts = [np.bincount(when[(region == r) & (when < n)], minlength=n).astype(float) for r in (0, 1)]
    return motor_balance(*counts)


def _correlation(a: Floats, b: Floats) -> float:
    known = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[known], b[known]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and np.ptp(a) and np.ptp(b) else float("nan")


def _binned(values: Floats, episode: npt.NDArray[np.int64], measured: dict[str, Floats]) -> Columns:
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    which = (np.searchsorted(edges, values, "right") - 1).clip(0, N_BINS - 1)
    columns: Columns = {"from": edges[:-1], "to": edges[1:], "decisions": np.bincount(which, minlength=N_BINS)}
    for name, of in measured.items():
        columns |= _mean_and_interval(name, which, episode, of)
    return columns


def _mean_and_interval(name: str, which: npt.NDArray[np.int64], episode: npt.NDArray[np.int64], of: Floats) -> Columns:
    """Return the mean over episodes of the mean in each, with its interval, by bin."""
    rng = seeded(0, f"policy {name}")
    n_episodes = int(episode.max()) + 1
    cell = np.where((episode >= 0) & ~np.isnan(of), episode * N_BINS + which, -1)
    means = means_by_bin(cell, of, max(1, n_episodes) * N_BINS).reshape(-1, N_BINS)
    intervals = np.array([interval_of_mean(column, rng) for column in means.T])
    known = ~np.isnan(means)
    mean = np.divide(np.nansum(means, axis=0), known.sum(axis=0), out=np.full(N_BINS, np.nan), where=known.any(axis=0))
    return {name: mean, f"{name}_low": intervals[:, 0], f"{name}_high": intervals[:, 1]}


def _no_bins() -> Columns:
    names = [f"{name}{end}" for name in ("balance", "action") for end in ("", "_low", "_high")]
    return {name: np.zeros(0) for name in ("from", "to", "decisions", *names)}


def draw(numbers: PolicyNumbers) -> Figure:
    """Draw balance and action against what was shown."""
    figure, axes = new_figure(2, height_in=4.2, sharex=True)
    bins = numbers.bins
    centre = (bins["from"] + bins["to"]) / 2
    labels = ("motor balance\n(0 - 1) / (0 + 1)", "action\n(-1 to 1)")
    for ax, name, label, colour in zip(axes, ("balance", "action"), labels, COLOURS, strict=False):
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.fill_between(centre, bins[f"{name}_low"], bins[f"{name}_high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(centre, bins[name], "o-", color=colour, markersize=3.5)
        ax.set_ylabel(label)
    axes[-1].set_xlabel(numbers.shown)
    return figure


def panel(session: Material) -> Panel:
    """Return the figure of the policy."""
    numbers = measure(session)
    return Panel(
        "policy",
        "Policy",
        "What the culture did by what it was shown, in play only: balance of the two motor regions, and the action "
        "that the decoder made of it, positive upwards in Pong. A culture that follows the ball rises from left to "
        f"right. Means over {worded(numbers.episodes)} episodes with 95 % bootstrap intervals; correlation with what "
        f"was shown: balance {worded(numbers.correlation_balance)}, action {worded(numbers.correlation_action)}.",
        numbers,
        lambda: draw(numbers),
        "" if numbers.decisions_in_play else "The task was never in play.",
    )
