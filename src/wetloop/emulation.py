"""Puts the bench together: a simulated culture, and the emulators of vendors' equipment around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import EmulatorConfig, SourceConfig
from wetloop.registry import find, suggest
from wetloop.testing.dish import BenchDish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wetloop.core.plugin import PluginConfig
    from wetloop.core.protocols import Emulator

CULTURE = "culture"


def bench(kinds: Sequence[str], overrides: Sequence[str] = (), seed: int = 1) -> tuple[BenchDish, list[Emulator]]:
    """Return a dish and its emulators; nothing is opened yet.

    Parameters
    ----------
    kinds
        Registered emulators.
    overrides
        Settings, each ``"culture.key=value"`` or ``"KIND.key=value"``.
    seed
        Of the culture.

    Raises
    ------
    ConfigError
        For an unknown kind, section or setting.
    """
    given = _by_section(overrides, (CULTURE, *kinds))
    culture = _made(find("wetloop.sources", str(given[CULTURE].pop("kind", CULTURE))), given[CULTURE], CULTURE)
    if not isinstance(culture, SourceConfig):
        raise ConfigError(f"{culture.kind} is no source")
    dish = BenchDish(culture.build(seed))
    emulators = []
    for kind in kinds:
        emulator = _made(find("wetloop.emulators", kind), given[kind], kind)
        if not isinstance(emulator, EmulatorConfig):
            raise ConfigError(f"{kind} is no emulator")
        emulators.append(emulator.build(dish))
    return dish, emulators


def _by_section(overrides: Sequence[str], sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for override in overrides:
        name, equals, value = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"--set {override}: write SECTION.KEY=VALUE, such as culture.signal=samples")
        if section not in given:
            raise ConfigError(f"--set {override}: no section {section!r}; {suggest(section, list(given))}")
        *path, last = key.split(".")
        inner = given[section]
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = yaml.safe_load(value)
    return given


def _made(model: type[PluginConfig], settings: Mapping[str, Any], section: str) -> PluginConfig:
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        faults = [f"{section}.{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ConfigError("\n".join(faults)) from None
