"""The Open Ephys source keeps the contract with samples too, over both of its transports."""

import pytest

from wetloop.emulation import bench
from wetloop.registry import find
from wetloop.testing import contract

PORTS = [f"open-ephys.{name}=0" for name in ("http_port", "data_port", "events_port")]


@pytest.mark.parametrize("check", contract.SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("transport", ["zmq-interface", "falcon"])
def test_samples_keep_the_contract(transport, check):
    settings = ["culture.settle_s=0", "culture.cells=100", "culture.signal=samples", *PORTS]
    dish, (emulator,) = bench(["open-ephys"], [*settings, f"open-ephys.transport={transport}"])
    try:
        given, model = dish.start([emulator]), find("wetloop.sources", "open-ephys")
        config = model(**{key: value for key, value in given.items() if key in model.model_fields})
        check(contract.Rig(config, dish=dish, emulator=emulator))
    finally:
        dish.close()
    assert dish.failure is None
