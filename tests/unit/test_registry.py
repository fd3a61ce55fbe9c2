import sys

import pytest

from wetloop import registry
from wetloop.core.errors import ConfigError
from wetloop.core.plugin import DecoderConfig

GROUP = "wetloop.decoders"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages the way pip does: a module and its metadata on the path."""

    def installed(package, entry_points, source=""):
        folder = tmp_path / package
        metadata = folder / f"{package}-1.2.dist-info"
        metadata.mkdir(parents=True)
        (folder / f"{package}_module.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"{kind} = {package}_module:{name}" for kind, name in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(folder)

    yield installed
    for name in [name for name in sys.modules if name.endswith("_module")]:
        del sys.modules[name]


GOOD = "from wetloop.core.plugin import DecoderConfig\n\n\nclass Mine(DecoderConfig):\n    kind: str = 'mine'\n"


def test_an_installed_plug_in_is_found_by_its_kind(install):
    install("labpack", {"mine": "Mine"}, GOOD)
    model = registry.find(GROUP, "mine")
    assert issubclass(model, DecoderConfig)
    assert model().kind == "mine"


def test_listing_imports_nothing_and_names_the_package(install):
    install("labpack", {"mine": "Mine"}, "raise SystemError('imported')")
    plugin = registry.available(GROUP)["mine"]
    assert (plugin.package, plugin.version, plugin.target) == ("labpack", "1.2", "labpack_module:Mine")
    assert "labpack_module" not in sys.modules


def test_unknown_kinds_are_answered_with_what_there_is(install):
    install("labpack", {"mine": "Mine"}, GOOD)
    with pytest.raises(ConfigError, match=r"did you mean 'mine'"):
        registry.find(GROUP, "mime")
    with pytest.raises(ConfigError, match=r"known: .*mine.*region-ratio"):
        registry.find(GROUP, "xyz")
    with pytest.raises(ConfigError, match=r"none is registered"):
        registry.find("wetloop.nothing", "xyz")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_vendor", "ModuleNotFoundError: No module named 'no_such_vendor'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("Other = 1", "AttributeError"),
        ("class Mine: pass", "is no wetloop.core.plugin.PluginConfig"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_with_package_and_cause(install, source, cause):
    install("labpack", {"mine": "Mine"}, source)
    with pytest.raises(ConfigError, match=r"package labpack 1.2") as refusal:
        registry.find(GROUP, "mine")
    assert cause in str(refusal.value)


def test_a_kind_registered_twice_is_refused(install):
    install("labpack", {"mine": "Mine"}, GOOD)
    install("otherpack", {"mine": "Mine"}, GOOD)
    with pytest.raises(ConfigError, match=r"registered by both (labpack|otherpack)"):
        registry.available(GROUP)


def test_built_in_kinds_are_registered_in_every_group():
    expected = {
        "wetloop.sources": {"culture", "poisson", "recorded"},
        "wetloop.stimulators": {"source"},
        "wetloop.tasks": {"chemotaxis", "gymnasium", "pong"},
        "wetloop.encoders": {"place-rate", "none"},
        "wetloop.decoders": {"region-ratio"},
        "wetloop.feedback": {"dishbrain", "silent", "none", "yoked"},
        "wetloop.reflexes": {"burst-brake", "echo"},
        "wetloop.emulators": {"intan-rhx", "open-ephys"},
        "wetloop.plasticity": {"off", "three-factor", "oracle"},
    }
    assert set(expected) == set(registry.GROUPS)
    for group, kinds in expected.items():
        assert kinds <= set(registry.available(group))
