"""The help and the choices of `skunk cut`, from the register of faults.

Faults are imported once somebody asks for this command: no other waits for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from typer.core import TyperCommand
from typer.main import get_click_type
from typer.models import ParameterInfo

if TYPE_CHECKING:
    from harness.cluster.fault import Fault

# ruff: noqa: PLC0415 - that is what this module is for


def cuttable() -> dict[str, Fault[Any]]:
    """The faults that `skunk cut` offers, by their names."""
    from harness import faults

    return {fault.name: fault for fault in faults.cuttable()}


class CutCommand(TyperCommand):
    """`skunk cut`: its first argument is the name of a fault."""

    def get_params(self, ctx: Any) -> Any:
        """The arguments and options, those that depend on the faults completed."""
        found = cuttable()
        what, node = (next(p for p in self.params if p.name == name) for name in ("what", "node"))
        names: Any = Literal[tuple(found)]
        what.type = get_click_type(annotation=names, parameter_info=ParameterInfo())
        both = " and ".join(name for name, fault in found.items() if fault.both_ends)
        node.help = f"Where; the {both} without a node: at both ends."  # type: ignore[attr-defined]
        return super().get_params(ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What it is for, and then each fault."""
        super().format_help_text(ctx, formatter)
        with formatter.indentation():
            formatter.write_paragraph()
            each = (f"{name}: {fault.cut}." for name, fault in cuttable().items())
            formatter.write_text(" ".join(each))
