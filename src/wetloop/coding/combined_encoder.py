"""Several codes side by side, each on its own electrodes and voices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wetloop.coding.codes import CodeFacts, facts_of, refuse_excess

if TYPE_CHECKING:
    from wetloop.coding.combined_encoder_config import CombinedConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick


class CombinedEncoder:
    """Shows what all its parts show; no part knows of the others.

    Attributes
    ----------
    parts
        The encoders, in the order of their electrodes.
    """

    def __init__(self, config: CombinedConfig, context: BuildContext) -> None:
        self.parts = [
            part.build(replace(context, layout=layout, table=context.table.under(prefix)))
            for part, prefix, layout in config.split(context.layout)
        ]
        refuse_excess(self.describe(), context)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        return tuple(setting for part in self.parts for setting in part.encode(outcome, tick))

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of every part that tells them."""
        return tuple(facts for part in self.parts for facts in facts_of(part))
