"""Metrics that count events, on decisions written by hand."""

import numpy as np
import pytest

from wetloop.experiments.event_metrics import Events, percent, percent_of_cycles, stimuli_to_criterion

NAMES = ("stimulus", "response", "criterion")


def told(*decisions):
    """Return decisions of 10 samples that told these events, by first letter."""
    bits = [sum(1 << k for k, name in enumerate(NAMES) if name[0] in letters) for letters in decisions]
    return Events(10 * np.arange(1, 1 + len(bits)), np.array(bits, np.uint32), NAMES)


def test_one_event_as_a_share_of_another():
    assert percent("response", "stimulus", told("s", "", "sr", "s", "sr")) == 50
    assert percent("response", "stimulus", told("", "")) is None
    assert percent("nobody", "stimulus", told("s")) == 0


def test_stimuli_count_until_the_criterion_is_met():
    met, yoked, never = told("s", "", "sr", "src", "s"), told("s", "src", "sr", "s"), told("s", "s")
    assert stimuli_to_criterion([met]) == 3
    assert stimuli_to_criterion([met, yoked, never]) == pytest.approx(7 / 3)
    assert percent_of_cycles("criterion", [met, yoked, never]) == pytest.approx(200 / 3)


def test_an_episode_without_a_stimulus_is_no_cycle():
    assert stimuli_to_criterion([told("", "r")]) is None
    assert percent_of_cycles("criterion", []) is None
    assert stimuli_to_criterion([told("", "r"), told("s", "src")]) == 2


def test_decisions_between_two_samples():
    events = told("s", "r", "c", "s").between(10, 30)
    assert events.stop_sample.tolist() == [20, 30]
    assert events.happened("criterion").tolist() == [False, True]
