"""What was asked of a rig against what it tells: pulses are found again, lost ones and strangers counted."""

import math

import numpy as np

from wetloop.core.rig_pulses import SEEN, StimReport, account, seen_rows

FS = 1000.0


def test_each_pulse_is_found_on_its_own_channel_with_its_delay():
    taken = seen_rows([100, 100, 300], [0, 1, 0])
    report = account(taken, seen_rows([302, 101, 105], [0, 1, 0]), FS)
    assert report == StimReport(taken=3, seen=3, unasked=0, delay_ms_median=2.0, delay_ms_max=5.0)


def test_one_that_is_not_told_of_and_one_that_nobody_asked_for_do_not_shift_the_others():
    taken = seen_rows([100, 500, 900], [0, 0, 0])
    report = account(taken, seen_rows([100, 901, 950], [0, 0, 0]), FS)
    assert (report.taken, report.seen, report.unasked) == (3, 2, 1)
    assert report.delay_ms_max == 1.0


def test_another_channel_and_a_pulse_long_before_are_not_meant():
    report = account(seen_rows([1000], [0]), seen_rows([1000, 900], [1, 0]), FS)
    assert (report.seen, report.unasked) == (0, 2)
    assert math.isnan(report.delay_ms_median)


def test_without_anything_nothing_is_told():
    nothing = np.zeros(0, SEEN)
    assert account(nothing, nothing, FS)[:3] == (0, 0, 0)
