"""``wetloop emulate``: vendors' equipment without the equipment, with a simulated culture in it."""

from typing import Annotated

import typer


def emulate(
    kinds: Annotated[list[str], typer.Argument(help="Emulators to start around one culture (wetloop drivers).")],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Setting of 'culture' or of an emulator; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the culture.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the driver's settings as one JSON object.")] = False,
) -> None:
    """Play the vendor's side of the wire, so that a driver can be tried without the hardware; Ctrl-C ends it."""
    from wetloop.cli.output import echo_json
    from wetloop.core.errors import RigError
    from wetloop.emulation import bench
    from wetloop.engine.signals import stop_on_signal

    dish, emulators = bench(kinds, overrides or (), seed)
    with stop_on_signal() as stop:
        settings = dish.start(emulators)
        try:
            if json:
                echo_json(settings)
            else:
                told = "  ".join(f"{key}={value}" for key, value in settings.items())
                typer.echo(f"{', '.join(kinds)} in front of {dish.info.name}: {told}", err=True)
            while not stop.wait(0.1) and dish.failure is None:
                pass
        finally:
            dish.close()
            typer.echo(f"{len(dish.delivered)} pulses reached the culture", err=True)
    if dish.failure is not None:
        raise RigError(f"the emulated rig has failed: {dish.failure!r}") from dish.failure
