"""``wetloop fit-decoder``: weights of the linear decoder, from recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wetloop.coding.linear_config import LinearWeights

NOTE = "A fitted decoder has learned, whether or not the culture has: compare it with its controls (wetloop compare)."


def fit_decoder(  # noqa: PLR0913  (typer: one parameter per option)
    files: Annotated[list[Path], typer.Argument(help="Recordings (NWB) with the same task and layout.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File of weights to write, for decoder.weights.")],
    target: Annotated[str, typer.Option(metavar="NAME", help="What to predict: action, or an observation.")] = "action",
    minus: Annotated[
        str | None, typer.Option(metavar="NAME", help="Observation to subtract, as in ball_y minus paddle_y.")
    ] = None,
    alpha: Annotated[float, typer.Option(min=1e-12, help="Ridge penalty on standardised rates.")] = 1.0,
    smoothing_ms: Annotated[float, typer.Option(min=1.0, help="Time constant of the rates, ms.")] = 100.0,
    lags: Annotated[int, typer.Option(min=1, max=1000, help="Points in time at which rates go in.")] = 1,
    lag_ms: Annotated[float, typer.Option(min=0.0, help="How far apart they lie, ms.")] = 100.0,
    folds: Annotated[int, typer.Option(min=2, help="Blocks of time of the cross-validation.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Fit the linear decoder to recordings by ridge regression, on decisions in play only.

    Held-out R2 comes from blocks of time that were not fitted.
    """
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.render import facts
    from wetloop.fitting import FitOptions, fit

    weights = fit(files, FitOptions(target, minus, alpha, smoothing_ms, lags, lag_ms, folds))
    _write(out, weights)
    told = {"file": str(out), **weights.model_dump(mode="json", exclude={"weights", "intercept", "channels"})}
    told["channels"] = len(weights.channels)
    if json:
        echo_json(told)
    else:
        show(facts("Decoder fitted", {name.replace("_", " "): value for name, value in told.items()}), NOTE)


def _write(path: Path, weights: "LinearWeights") -> None:
    from wetloop.core.errors import ConfigError

    try:
        path.write_text(weights.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
