"""``wetloop drivers``: what is installed, and whether it can be imported."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wetloop.registry import Plugin


def drivers(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """List sources, tasks, encoders, decoders, feedback rules and reflexes, and the package each comes from."""
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.render import table
    from wetloop.registry import GROUPS, available

    rows = [_row(plugin) for group in GROUPS for plugin in available(group).values()]
    if json:
        echo_json({"drivers": rows})
        return
    view = table("group", "kind", "package", "version", "state")
    for row in rows:
        view.add_row(row["group"], row["kind"], row["package"], row["version"], row["error"] or "ready")
    show(view)


def _row(plugin: "Plugin") -> dict[str, str | None]:
    from wetloop.core.errors import ConfigError

    named = {
        "group": plugin.group.removeprefix("wetloop."),
        "kind": plugin.kind,
        "package": plugin.package,
        "version": plugin.version,
        "target": plugin.target,
    }
    try:
        plugin.check()
    except ConfigError as refusal:
        return {**named, "error": str(refusal)}
    return {**named, "error": None}
