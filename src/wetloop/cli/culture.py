"""``wetloop culture``: what the simulated culture is like, beside real ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wetloop.culture.config import CultureConfig

culture = typer.Typer(name="culture", help="The simulated culture, beside real ones.", no_args_is_help=True)


@culture.callback()
def about() -> None:
    """Compare the simulated culture with real ones."""


@culture.command()
def describe(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML) whose source is the simulated culture.")],
    *,
    seconds: Annotated[
        float, typer.Option(min=10.0, max=36000.0, help="Time at rest, s; half of it stimulated.")
    ] = 120,
    cultures: Annotated[int, typer.Option(min=1, max=1000, help="Cultures, of seeds that follow each other.")] = 1,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture to write; its ending (png, svg, pdf) is its format.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as source.cells=2000."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Watch the culture at rest and under pulses, through its electrodes, and compare it with real cultures.

    Passes where the median over the cultures lies inside the inter-quartile range of mouse cortex at 21 days in vitro.
    """
    from wetloop.analysis.culture_trial import Plan, watch
    from wetloop.cli.culture_view import culture_view, summary
    from wetloop.cli.output import echo_json, show
    from wetloop.config import load_config

    session = load_config(config, overrides or ())
    source = _culture(session.source)
    first = session.seed if source.culture_seed is None else source.culture_seed
    plan = Plan(rest_s=seconds, stimulated_s=seconds / 2)
    seeds = range(first, first + cultures)
    trials = [watch(source.model_copy(update={"culture_seed": seed}), seed, plan) for seed in seeds]
    result = summary(trials)
    if figure is not None:
        from wetloop.analysis.culture_figure import write_figure

        write_figure(trials[0], figure)
        result |= {"figure": str(figure)}
    if json:
        echo_json(result | {"first_seed": first})
    else:
        show(*culture_view(result), *([f"wrote {figure}"] if figure else []))


def _culture(source: Any) -> "CultureConfig":
    from wetloop.core.errors import ConfigError
    from wetloop.culture.config import CultureConfig

    if not isinstance(source, CultureConfig):
        raise ConfigError(f"source.kind is {source.kind}: only the simulated culture can be described, kind culture")
    return source
