"""``wetloop encode-preview``: what the culture would be shown, as one picture; nothing is opened or stimulated."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wetloop.cli.encode_play import Preview


def encode_preview(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Picture to write; its ending (png, svg, pdf) chooses the format.")
    ] = Path("preview.png"),
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600.0, help="Play at random for this long before looking, s.")
    ] = 2.0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as encoder.max_rate_hz=20."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Show how the encoder tells the task: what it sees, rates on the electrodes, pulses of the next second.

    The task is played at random for a while. Pulses are those of the engine on a rig that does not answer, without
    feedback; range, resolution, latency and cost of each code stand beside its curve.
    """
    from wetloop.assembly import describe
    from wetloop.cli.encode_figure import write_figure
    from wetloop.cli.encode_play import play
    from wetloop.cli.output import echo_json, show
    from wetloop.config import load_config

    setting, _source = describe(load_config(config, overrides or ()))
    preview = play(setting, seconds)
    write_figure(preview, out)
    if json:
        echo_json(summary(preview) | {"file": str(out)})
    else:
        from wetloop.cli.codes_view import codes_view

        show(codes_view(preview.codes, setting.limits), f"wrote {out}")


def summary(preview: "Preview") -> dict[str, Any]:
    """Return what the picture shows as plain values."""
    from wetloop.cli.codes_view import code_row

    return {
        "codes": [code_row(code, preview.setting.limits) for code in preview.codes],
        "observation": preview.observation,
        "frame_shape": None if preview.outcome.frame is None else list(preview.outcome.frame.shape),
        "rates_hz": {str(channel): rate_hz for channel, rate_hz in preview.rates_hz.items()},
        "pulses_in_the_next_second": preview.fates,
    }
