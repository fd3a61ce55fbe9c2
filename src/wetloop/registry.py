"""Finds plug-ins by entry point, loads one only when it is named, and says what there is when it refuses."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import PluginConfig

if TYPE_CHECKING:
    from collections.abc import Callable

REFLEXES = "wetloop.reflexes"
GROUPS = (
    "wetloop.sources", "wetloop.stimulators", "wetloop.tasks", "wetloop.encoders", "wetloop.decoders",
    "wetloop.feedback", "wetloop.plasticity", REFLEXES, "wetloop.emulators",
)  # fmt: skip


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
        model = self._imported()
        if not (isinstance(model, type) and issubclass(model, PluginConfig)):
            raise ConfigError(f"plug-in {self._who} is no wetloop.core.plugin.PluginConfig")
        return model

    def load_function(self) -> Callable[..., Any]:
        """Import a plug-in that is a function, as a reflex is, and return it."""
        function = self._imported()
        if isinstance(function, type) or not callable(function):
            raise ConfigError(f"plug-in {self._who} is no function")
        return function

    def check(self) -> None:
        """Import the plug-in, whatever its group asks for; raise ``ConfigError`` where it cannot be used."""
        if self.group == REFLEXES:
            self.load_function()
        else:
            self.load()

    @property
    def _who(self) -> str:
        return f"{self.kind!r} of package {self.package} {self.version} ({self.target})"

    def _imported(self) -> object:
        try:
            return self.entry_point.load()
        except Exception as cause:
            raise ConfigError(f"plug-in {self._who} cannot be loaded: {type(cause).__name__}: {cause}") from cause


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
    return _registered(group, kind).load()


def find_reflex(name: str) -> Callable[..., Any]:
    """Return the function registered as a reflex; raises as ``find`` does."""
    return _registered(REFLEXES, name).load_function()


def _registered(group: str, kind: str) -> Plugin:
    plugins = available(group)
    if kind not in plugins:
        raise ConfigError(f"no {kind!r} among the {group}; {suggest(kind, plugins) or 'none is registered'}")
    return plugins[kind]


def suggest(word: str, known: dict[str, Plugin] | list[str]) -> str:
    """Return a hint for a misspelt word: the nearest known one, or all of them; empty if none is known."""
    near = get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if known else ""


def _plugin(point: EntryPoint) -> Plugin:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
    return Plugin(point.group, point.name, point.value, package, version, point)
