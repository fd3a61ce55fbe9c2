"""A YAML document as a tree of nodes that know where they stand, so that a fault can name line and column.

Only plain data is read: no aliases (a small file could grow without bound), no tags, no repeated keys.
Overrides from the command line become nodes of the same tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
OVERRIDE = "--set "
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}


class Fault(NamedTuple):
    """Something wrong with a document: where it stands, which field it is, and what is wrong."""

    mark: yaml.Mark
    field: str
    message: str

    def __str__(self) -> str:
        where = place(self.mark)
        field = "" if where == f"{OVERRIDE}{self.field}" else self.field
        return ": ".join(part for part in (where, field, self.message) if part)


def refusal(faults: Iterable[Fault]) -> ConfigError:
    """Return the error that lists these faults in the order of the text, one a line."""
    ordered = sorted(faults, key=lambda fault: (fault.mark.name, fault.mark.line, fault.mark.column))
    return ConfigError("\n".join(dict.fromkeys(str(fault) for fault in ordered)))


def whole(name: str) -> yaml.Mark:
    """Return the mark that stands for all of a document."""
    return yaml.Mark(name, 0, -1, 0, None, 0)


def place(mark: yaml.Mark) -> str:
    """Return ``file:line:column``, or the name of the document or override."""
    if mark.line < 0 or mark.name.startswith(OVERRIDE):
        return mark.name
    return f"{mark.name}:{mark.line + 1}:{mark.column + 1}"


class _Loader(yaml.SafeLoader):
    """Composes plain trees; dates stay text."""

    depth = 0
    yaml_implicit_resolvers = {  # noqa: RUF012  (a class attribute of the base class, read by it)
        first: [rule for rule in rules if rule[0] in _PLAIN_TAGS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        problem = self._problem(is_key=isinstance(parent, yaml.MappingNode) and index is None)
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.current_event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _problem(self, *, is_key: bool) -> str:
        """Return why the next node is refused; empty if it is not."""
        if self.check_event(yaml.AliasEvent):
            return "aliases (*name) are not allowed"
        if is_key and not self.check_event(yaml.ScalarEvent):
            return "a key must be plain text"
        return "nested too deeply" if self.depth > MAX_DEPTH else ""


def read_text(path: Path) -> str:
    """Return the text of a file of at most 1 MiB."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path}: larger than 1 MiB: not a configuration file")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error


def compose(text: str, name: str) -> yaml.Node:
    """Return the root node of a YAML text; an empty text is an empty mapping."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than 1 MiB: not a configuration file")
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_node() or mapping_node({}, whole(name))
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or whole(name)
        raise refusal([Fault(where, "", ", ".join(filter(None, (error.context, error.problem))))]) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise refusal([Fault(whole(name), "", f"is not YAML: {error}".replace("\n", " "))]) from error


def compose_mapping(text: str, name: str) -> yaml.MappingNode:
    """Return the root node of a text that must be a mapping."""
    root = compose(text, name)
    if not isinstance(root, yaml.MappingNode):
        raise refusal([Fault(root.start_mark, "", "expected a mapping (key: value)")])
    return root


def plain(node: yaml.Node, faults: list[Fault], path: tuple[str, ...] = ()) -> Any:
    """Return the node as plain data; what is not plain is added to ``faults``."""
    if node.tag not in _PLAIN_TAGS:
        faults.append(Fault(node.start_mark, dotted(path), f"the tag {node.tag} is not allowed"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, faults, path)
    if isinstance(node, yaml.SequenceNode):
        return [plain(item, faults, (*path, str(i))) for i, item in enumerate(node.value)]
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError, OverflowError):
        what = f"{node.value!r} is no {node.tag.rpartition(':')[2]}"
        faults.append(Fault(node.start_mark, dotted(path), what))
        return None


def _plain_mapping(node: yaml.MappingNode, faults: list[Fault], path: tuple[str, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in node.value:
        here = (*path, key.value)
        if key.value in data:
            faults.append(Fault(key.start_mark, dotted(here), "the key is given twice"))
        data[key.value] = plain(value, faults, here)
    return data


def entry(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the key's and the value's node of an entry of a mapping or sequence, if it has it."""
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdecimal() and int(key) < len(node.value):
        return node.value[int(key)], node.value[int(key)]
    return None


def assign(root: yaml.MappingNode, override: str) -> None:
    """Apply one ``a.b=value`` to the tree; the value is YAML."""
    name, equals, text = (part.strip() for part in override.partition("="))
    keys, mark = name.split("."), whole(f"{OVERRIDE}{name}")
    if not equals or not all(keys):
        raise refusal([Fault(whole(f"{OVERRIDE}{override}"), "", "expected KEY=VALUE, such as decision_ms=20")])
    value = compose(text or "null", mark.name)
    node = root
    for depth, key in enumerate(keys[:-1]):
        found = entry(node, key)
        child = found[1] if found else mapping_node({}, mark)
        if not isinstance(child, yaml.MappingNode):
            raise refusal([Fault(mark, "", f"{dotted(keys[: depth + 1])} is a value and has no keys")])
        _put(node, key, child, mark)
        node = child
    _put(node, keys[-1], value, mark)


def replace(root: yaml.MappingNode, key: str, value: yaml.Node) -> None:
    """Put a node in the place of an entry, keeping where its key stands."""
    root.value = [(k, value if k.value == key else v) for k, v in root.value]


def text_node(text: str, mark: yaml.Mark) -> yaml.ScalarNode:
    """Return a text that stands at this place."""
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def mapping_node(entries: dict[str, yaml.Node], mark: yaml.Mark) -> yaml.MappingNode:
    """Return a mapping that stands at this place."""
    pairs = [(text_node(key, mark), value) for key, value in entries.items()]
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, mark, mark)


def _put(node: yaml.MappingNode, key: str, value: yaml.Node, mark: yaml.Mark) -> None:
    """Set an entry, leaving the key of an existing one where it stands."""
    if entry(node, key):
        replace(node, key, value)
    else:
        node.value.append((text_node(key, mark), value))


def dotted(path: Sequence[object]) -> str:
    """Return a field's path as a person writes it."""
    return ".".join(str(part) if str(part).isprintable() else ascii(part) for part in path)
