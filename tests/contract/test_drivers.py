"""Every registered source and stimulator keeps the drivers' contract; those with a vendor's side, over its wire."""

from pathlib import Path

import pytest

from wetloop.emulation import bench
from wetloop.registry import available, find
from wetloop.testing import contract

RECORDING = str(Path(__file__).parents[2] / "recordings" / "sample-culture-v2.nwb")
SETTINGS = {"recorded": {"path": RECORDING}, "culture": {"settle_s": 0.0}}
"""What a driver cannot do without."""
EMULATED = available("wetloop.emulators")
SOURCES = list(available("wetloop.sources"))
STIMULATORS = [kind for kind in available("wetloop.stimulators") if kind != "source"]
CHECKS = {check.__name__: check for check in (*contract.SOURCE_CHECKS, *contract.STIMULATOR_CHECKS)}


@pytest.fixture
def rig_of():
    """Build the rig of a driver, with its emulator started where there is one."""
    dishes = []

    def build(group, kind):
        settings, dish, emulator = dict(SETTINGS.get(kind, {})), None, None
        if kind in EMULATED:
            fields = find("wetloop.emulators", kind).model_fields
            ports = [name for name in fields if name.endswith("_port") and not name.endswith("_per_port")]
            dish, (emulator,) = bench([kind], ["culture.settle_s=0", *(f"{kind}.{name}=0" for name in ports)])
            dishes.append(dish)
            settings |= dish.start([emulator])
        model = find(group, kind)
        config = model(**{key: value for key, value in settings.items() if key in model.model_fields})
        if group == "wetloop.sources":
            return contract.Rig(config, dish=dish, emulator=emulator)
        return contract.Rig(find("wetloop.sources", "poisson")(), config, dish, emulator)

    yield build
    for dish in dishes:
        dish.close()
        assert dish.failure is None


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_keeps_the_contract(rig_of, kind, check):
    rig = rig_of("wetloop.sources", kind)
    if CHECKS[check] in contract.checks_for(rig):
        CHECKS[check](rig)


@pytest.mark.parametrize("check", [check.__name__ for check in contract.STIMULATOR_CHECKS])
@pytest.mark.parametrize("kind", STIMULATORS)
def test_a_stimulator_keeps_the_contract(rig_of, kind, check):
    CHECKS[check](rig_of("wetloop.stimulators", kind))
