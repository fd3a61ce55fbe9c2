"""From text to SessionConfig and back; every fault at once, each with its place and what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from wetloop import registry
from wetloop.config.document import (
    OVERRIDE,
    Fault,
    assign,
    compose_mapping,
    dotted,
    entry,
    mapping_node,
    place,
    plain,
    read_text,
    refusal,
    replace,
    text_node,
    whole,
)
from wetloop.config.models import CHOICES, SessionConfig, concrete
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

INPUTS = {
    ("source", "path"): re.compile(r"(?P<path>.*)(?P<rest>)", re.DOTALL),
    ("reflex", "function"): re.compile(r"(?P<path>.*)(?P<rest>:[^:]*)", re.DOTALL),
}
"""Settings that name a file, and where in them the path stands."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SessionConfig:
    """Return the configuration in a YAML file.

    Parameters
    ----------
    path
        The file.
    overrides
        Values that replace the file's, each ``"a.b=value"``.

    Raises
    ------
    ConfigError
        Listing every fault as ``file:line:column: field: message``.
    """
    return parse_config(read_text(Path(path)), str(path), overrides)


def parse_config(text: str, name: str, overrides: Sequence[str] = ()) -> SessionConfig:
    """Return the configuration in a YAML text; ``name`` is the file it came from and is used in messages."""
    root = compose_mapping(text, name)
    _expand(root)
    for override in overrides:
        assign(root, override)
        _expand(root)
    faults: list[Fault] = []
    _find_inputs(root, faults)
    return _validated(plain(root, faults), root, faults)


def from_json(text: str) -> SessionConfig:
    """Return a configuration stored with ``to_json``, as it stands in a recording."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"stored configuration: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError("stored configuration: expected a mapping")
    return _validated(data, compose_mapping("", "stored configuration"), [])


def to_json(config: SessionConfig) -> str:
    """Return the whole configuration, defaults included, as JSON."""
    return json.dumps(config.model_dump(mode="json"), allow_nan=False)


def to_yaml(config: SessionConfig) -> str:
    """Return the whole configuration, defaults included, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _expand(root: yaml.MappingNode) -> None:
    """Write out what is short: ``encoder: none``, and ``rig: FILE`` if the file is there."""
    for key, node in [(k.value, v) for k, v in root.value]:
        if key in CHOICES and _is_text(node):
            replace(root, key, mapping_node({"kind": node}, node.start_mark))
        elif key == "rig" and _is_text(node):
            path = _input_path(node)
            if isinstance(path, Path):
                replace(root, key, compose_mapping(read_text(path), str(path)))


def _find_inputs(root: yaml.MappingNode, faults: list[Fault]) -> None:
    """Make paths of inputs absolute; a file that cannot be found is a fault, here or of ``rig``."""
    for section, key in INPUTS:
        _find_input(root, section, key, faults)
    rig = entry(root, "rig")
    if rig and _is_text(rig[1]):
        faults.append(Fault(rig[1].start_mark, "rig", str(_input_path(rig[1]))))
        replace(root, "rig", mapping_node({}, rig[1].start_mark))


def _find_input(root: yaml.MappingNode, section: str, key: str, faults: list[Fault]) -> None:
    parent = entry(root, section)
    found = entry(parent[1], key) if parent else None
    parts = INPUTS[section, key].fullmatch(found[1].value) if found and _is_text(found[1]) else None
    if parent is None or found is None or parts is None:
        return
    mark = found[1].start_mark
    path = _input_path(text_node(parts["path"], mark))
    if isinstance(parent[1], yaml.MappingNode) and isinstance(path, Path):
        replace(parent[1], key, text_node(f"{path}{parts['rest']}", mark))
    else:
        faults.append(Fault(mark, f"{section}.{key}", str(path)))


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str"


def _input_path(node: yaml.Node) -> Path | str:
    """Return the path of an input, or why there is none.

    It is looked for in the current folder, then beside the file that names it.
    """
    try:
        here = Path(node.value).expanduser()
        beside = Path(node.start_mark.name).parent / here
        path = here if place(node.start_mark).startswith(OVERRIDE) or here.exists() else beside
        if path.exists():
            return path.resolve()
        looked = dict.fromkeys(str(p.resolve()) for p in (here, path))
    except (OSError, ValueError, RuntimeError) as error:
        return f"is no usable path: {error}"
    return f"no such file: {' or '.join(looked)}"


def _validated(data: dict[str, Any], root: yaml.Node, faults: list[Fault]) -> SessionConfig:
    data = {key: value for key, value in data.items() if value is not None}
    model = concrete({name: _model_of(name, data, root, faults) for name in CHOICES})
    try:
        config = model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise refusal([*faults, *(_explained(root, model, detail) for detail in details)]) from None
    if faults:
        raise refusal(faults)
    return config


def _model_of(name: str, data: dict[str, Any], root: yaml.Node, faults: list[Fault]) -> Any:
    """Return the model that a section's kind names; for an unknown kind add a fault and take anything."""
    choice, section = CHOICES[name], data.setdefault(name, {})
    kind = section.setdefault("kind", choice.default) if isinstance(section, dict) else choice.default
    try:
        model = registry.find(choice.group, str(kind))
    except ConfigError as error:
        faults.append(_located(root, (name, "kind"), str(error)))
        return Any
    if not issubclass(model, choice.base):
        faults.append(_located(root, (name, "kind"), f"{model.__name__} is no {choice.base.__name__}"))
    return model


def _explained(root: yaml.Node, model: type[BaseModel], detail: ErrorDetails) -> Fault:
    loc, message = detail["loc"], detail["msg"]
    if detail["type"] == "extra_forbidden":
        names = _field_names(model, loc[:-1])
        return _located(root, loc, f"unknown key; {registry.suggest(str(loc[-1]), names)}", at_key=True)
    if detail["type"] == "missing":
        return _located(root, loc, "is required")
    if detail["type"] == "union_tag_not_found":
        return _located(root, loc, f"{detail['ctx']['discriminator']} is required")
    if detail["type"] == "value_error":
        return _located(root, loc, str(detail["ctx"]["error"]))
    got = detail["input"]
    value = "" if isinstance(got, dict | BaseModel) else f" (got {_shown(got)})"
    return _located(root, loc, f"{message[:1].lower()}{message[1:]}{value}")


def _located(root: yaml.Node, loc: Sequence[int | str], message: str, *, at_key: bool = False) -> Fault:
    """Return the fault at the deepest node on the way to the field."""
    node, mark, shown = root, whole(root.start_mark.name), []
    for part in loc:
        if isinstance(node, yaml.ScalarNode):
            break
        found = entry(node, str(part))
        if found is None and _is_tag(node, part):
            continue
        shown.append(part)
        if found is None:
            break
        key, node = found
        mark = key.start_mark if at_key else _value_mark(key, node)
    return Fault(mark, dotted(shown), message)


def _is_tag(node: yaml.Node, part: int | str) -> bool:
    """Tell whether a part of a path is no key but the value that chose the member of a union, as pydantic writes it.

    A ``kind`` chooses no member: it was looked up before.
    """
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return any(key.value != "kind" and _is_text(value) and value.value == part for key, value in pairs)


def _value_mark(key: yaml.Node, value: yaml.Node) -> yaml.Mark:
    """Return where a value stands; a section is best found by its key."""
    return value.start_mark if isinstance(value, yaml.ScalarNode) else key.start_mark


def _field_names(model: object, loc: Sequence[int | str]) -> list[str]:
    """Return the fields of the model that is reached by this path."""
    for part in loc:
        if get_origin(model) is dict:
            model = get_args(model)[1]
            continue
        if member := _member(model, part):
            model = member
            continue
        inner = _model_in(model)
        if inner is None or part not in inner.model_fields:
            return []
        model = inner.model_fields[str(part)].annotation
    found = _model_in(model)
    return [] if found is None else list(found.model_fields)


def _member(union: object, tag: int | str) -> type[BaseModel] | None:
    """Return the member of ``Annotated[A | B, ...]`` that is chosen by this tag."""
    members = (
        m for m in get_args(next(iter(get_args(union)), None)) if isinstance(m, type) and issubclass(m, BaseModel)
    )
    return next((m for m in members if any(field.default == tag for field in m.model_fields.values())), None)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model in ``Model`` or ``Model | None``."""
    options = [annotation, *get_args(annotation)]
    return next((x for x in options if isinstance(x, type) and issubclass(x, BaseModel)), None)


def _shown(value: object, width: int = 60) -> str:
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
