"""Experiments: from a protocol file to runs that can be trusted, and what they say.

A *protocol* is what a person writes; a *plan* is every run that follows from it, registered with its hash before the
first one; an *arm* is one experimental condition of it, a *culture* the unit of all statistics.
"""

from wetloop.experiments.folder import Experiment, Run, load

__all__ = ["Experiment", "Run", "load"]
