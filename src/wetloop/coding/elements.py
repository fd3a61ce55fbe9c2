"""Elements of an observation, chosen by their name or their number."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def _checked(value: object) -> object:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("an element of the observation is given by its name or by its number, from 0")


Element = Annotated[int | str, BeforeValidator(_checked)]


def index_of(element: int | str, names: Sequence[str], key: str) -> int:
    """Return the number of an element of the observation.

    Parameters
    ----------
    element
        Its name or number.
    names
        Names of all elements; where there are none, any number is taken.
    key
        The setting that names it, for the message.

    Raises
    ------
    ConfigError
        If the task shows no such element.
    """
    if isinstance(element, str):
        if element in names:
            return names.index(element)
        near = get_close_matches(element, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'no names, so give a number'}"
        raise ConfigError(f"encoder: {key}: the task shows no {element!r}; {hint}")
    if names and element >= len(names):
        raise ConfigError(f"encoder: {key}: {element} is beyond the {len(names)} elements shown: {', '.join(names)}")
    return element


def name_of(index: int, names: Sequence[str]) -> str:
    """Return what an element is called."""
    return names[index] if index < len(names) else f"observation {index}"
