"""Serial stimulators on the bench: emulated devices on pseudo-terminals, around a simulated culture."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from wetloop.core.guard import StimGuard
from wetloop.core.limits import StimLimits
from wetloop.culture.config import PoissonConfig
from wetloop.emulation import bench
from wetloop.registry import find
from wetloop_drivers.emulators.serial_port import DevicePort


@pytest.fixture
def beside():
    """Return a rig that records, beside which a stimulator stands."""
    return replace(PoissonConfig().build(1).info, limits=StimLimits())


@pytest.fixture
def table_of(beside):
    """Return the table of these patterns for a stimulator."""

    def prepared(config, *patterns):
        return StimGuard(config.describe(beside)).prepare({f"pattern {k}": p for k, p in enumerate(patterns)})

    return prepared


@pytest.fixture
def ready(beside, table_of):
    """Give a stimulator that is prepared with these patterns."""

    @contextmanager
    def prepared(config, *patterns):
        stimulator = config.build(config.describe(beside))
        try:
            stimulator.prepare(table_of(config, *patterns))
            yield stimulator
        finally:
            stimulator.close()

    return prepared


@pytest.fixture
def plugged():
    """Start an emulated device with these settings; return its dish, itself and the configuration of its driver."""
    dishes = []

    def start(kind, *settings):
        dish, (emulator,) = bench([kind], ["culture.kind=poisson", *settings])
        dishes.append(dish)
        return dish, emulator, find("wetloop.stimulators", kind)(**dish.start([emulator]))

    yield start
    for dish in dishes:
        dish.close()
        assert dish.failure is None


@pytest.fixture
def port_of():
    """Open a port behind which a device answers so."""
    ports = []

    def opened(hear):
        ports.append(DevicePort(hear))
        return ports[-1]

    yield opened
    for port in ports:
        port.close()
