"""``wetloop new-config``: an example that names every setting, its meaning, its unit and its default."""

import textwrap
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

TASKS = "wetloop.tasks"
WIDTH = 100


def new_config(
    file: Annotated[
        Path | None, typer.Argument(help="File to write; by default TASK.yaml in the current folder, - for stdout.")
    ] = None,
    *,
    task: Annotated[str, typer.Option(help="Task to be played, as --list names it.")] = "pong",
    list_tasks: Annotated[bool, typer.Option("--list", help="List the tasks and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Write a commented example configuration; an existing file is never replaced."""
    from wetloop.registry import available

    if list_tasks:
        tasks = list(available(TASKS))
        typer.echo(dumps({"tasks": tasks}) if json else "\n".join(tasks))
        return
    text = example(task)
    path = file or Path(f"{task}.yaml")
    if path != Path("-"):
        _write_new(path, text)
        typer.echo(f"wrote {path}; next: wetloop run {path} --dry-run", err=True)
    if json:
        typer.echo(dumps({"file": str(path), "text": text}))
    elif path == Path("-"):
        typer.echo(text, nl=False)


def example(task: str) -> str:
    """Return a configuration that sets everything to its default, with a comment on each setting."""
    from wetloop.config.models import CHOICES, SessionConfig
    from wetloop.registry import available, find

    kinds = {name: choice.default for name, choice in CHOICES.items()} | {"task": task}
    lines = [f"# Wetloop session. Check it with: wetloop run {task}.yaml --dry-run"]
    for name, field in SessionConfig.model_fields.items():
        lines += ["", *_comment(field.description, "")] if name in kinds or _model_in(field) else []
        if name in kinds:
            known = ", ".join(available(CHOICES[name].group))
            body = _section(find(CHOICES[name].group, kinds[name]), "  ", skip="kind")
            lines += [f"{name}:", f"  kind: {kinds[name]}  # {known}", *body]
        else:
            lines += _entry(name, field, "", commented=_model_in(field) is None)
    return "\n".join(lines) + "\n"


def _section(model: "type[BaseModel]", pad: str, skip: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name != skip:
            yield from _entry(name, field, pad, commented=True)


def _entry(name: str, field: "FieldInfo", pad: str, *, commented: bool) -> Iterator[str]:
    """Yield one setting; one that is off by default is given as a comment."""
    if commented:
        yield from _comment(field.description, pad)
    model = _model_in(field)
    if model:
        body = list(_section(model, pad + "  "))
        live = any(not line.lstrip().startswith("#") for line in body)
        yield f"{pad}{name}:" if live else f"{pad}#{name}:"
        yield from body
        return
    value = field.get_default(call_default_factory=True)
    yield f"{pad}{'#' if _is_off(value) else ''}{name}: {_yaml(value)}"


def _model_in(field: "FieldInfo") -> "type[BaseModel] | None":
    from pydantic import BaseModel

    kind: Any = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _is_off(value: object) -> bool:
    from pydantic_core import PydanticUndefined

    return value is None or value is PydanticUndefined or value == float("inf")


def _yaml(value: Any) -> str:
    import yaml
    from pydantic import TypeAdapter

    if _is_off(value):
        return ""
    plain = TypeAdapter(Any).dump_python(value, mode="json")
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _comment(text: str | None, pad: str) -> list[str]:
    return textwrap.wrap(text or "", WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")


def _write_new(path: Path, text: str) -> None:
    from wetloop.core.errors import ConfigError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and is not replaced: choose another name") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
