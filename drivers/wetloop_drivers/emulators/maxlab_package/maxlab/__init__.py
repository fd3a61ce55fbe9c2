"""Stands in for MaxWell's ``maxlab`` package: the same calls, sent to an emulated server, which checks their order.

Put the folder above on the path of a script, and the script stimulates the simulated culture of ``wetloop emulate
maxlab``. It has what stimulation needs, under the names of both the older and the newer package.
"""

from . import chip, system, util
from .chip import DAC, Amplifier, Array, Core, StimulationUnit
from .sequence import Sequence
from .system import DelaySamples, Event
from .util import activate, initialize, offset, query_DAC_lsb_mV, send, send_raw

__all__ = [
    "DAC", "Amplifier", "Array", "Core", "DelaySamples", "Event", "Sequence", "StimulationUnit", "activate", "chip",
    "initialize", "offset", "query_DAC_lsb_mV", "send", "send_raw", "system", "util",
]  # fmt: skip
