"""Finds plug-ins by entry point, loads one only when it is named, and says what there is when it refuses."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import PluginConfig

GROUPS = ("wetloop.sources", "wetloop.tasks", "wetloop.encoders", "wetloop.decoders", "wetloop.feedback")


class Plugin(NamedTuple):
    """A registered plug-in, not yet imported."""

    group: str
    kind: str
    target: str
    package: str
    version: str
    entry_point: EntryPoint

    def load(self) -> type[PluginConfig]:
        """Import the plug-in and return its configuration model.

        Raises
        ------
        ConfigError
            Naming the package and the cause, if it cannot be imported or is not a configuration model.
        """
        who = f"{self.kind!r} of package {self.package} {self.version} ({self.target})"
        try:
            model = self.entry_point.load()
        except Exception as cause:
            raise ConfigError(f"plug-in {who} cannot be loaded: {type(cause).__name__}: {cause}") from cause
        if not (isinstance(model, type) and issubclass(model, PluginConfig)):
            raise ConfigError(f"plug-in {who} is no wetloop.core.plugin.PluginConfig")
        return model


def available(group: str) -> dict[str, Plugin]:
    """Return the plug-ins of a group by kind, in alphabetical order; nothing is imported.

    Raises
    ------
    ConfigError
        If two packages register the same kind.
    """
    found: dict[str, Plugin] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        plugin = _plugin(point)
        other = found.setdefault(point.name, plugin)
        if other.target != plugin.target:
            raise ConfigError(
                f"{group}: {point.name!r} is registered by both {other.package} and {plugin.package}: "
                "uninstall one of them"
            )
    return found


def find(group: str, kind: str) -> type[PluginConfig]:
    """Return the configuration model registered as ``kind`` in ``group``.

    Raises
    ------
    ConfigError
        If there is none, naming what there is, or if its package cannot be imported.
    """
    plugins = available(group)
    if kind not in plugins:
        raise ConfigError(f"no {kind!r} among the {group}; {suggest(kind, plugins) or 'none is registered'}")
    return plugins[kind].load()


def suggest(word: str, known: dict[str, Plugin] | list[str]) -> str:
    """Return a hint for a misspelt word: the nearest known one, or all of them; empty if none is known."""
    near = get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if known else ""


def _plugin(point: EntryPoint) -> Plugin:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
    return Plugin(point.group, point.name, point.value, package, version, point)
