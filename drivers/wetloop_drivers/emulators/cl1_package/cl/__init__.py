"""Stands in for Cortical Labs' ``cl`` package: the same calls, sent to an emulated device in front of a culture.

Put the folder above on the path of a script, and the script records from and stimulates the simulated culture of
``wetloop emulate cl1``. It has what reading and stimulation need.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .designs import ChannelSet, StimDesign
from .link import the_link
from .neurons import (
    ControlRequestError,
    DetectionResult,
    Neurons,
    RunTimestampOrderError,
    Spike,
    Stim,
    StimPlan,
    TransactionRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ChannelSet", "ControlRequestError", "DetectionResult", "Neurons", "RunTimestampOrderError",
    "Spike", "Stim", "StimDesign", "StimPlan", "TransactionRejected", "get_system_attributes", "is_simulator", "open",
]  # fmt: skip


@contextmanager
def open(take_control: bool = True, wait_until_recordable: bool = True) -> Iterator[Neurons]:
    """Connect to the device; stimulation is off when the context ends."""
    _ = take_control, wait_until_recordable
    link = the_link()
    try:
        yield Neurons(link)
    finally:
        link.close()


def is_simulator() -> bool:
    """Return whether this is the vendor's simulator."""
    return False


def get_system_attributes() -> dict[str, Any]:
    """Return what a recording would tell of the device."""
    return {"system_id": "cl1-emulated", "chip_id": "emulated", "cell_batch_id": "simulated", "plugin": {}}
