"""Whether the state that each batch begins with is the one that the batch before ended with."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from holdfast.insight.analysis.layer_capture import module_label
from holdfast.insight.monitor.hooks import LayerRecord
from holdfast.insight.monitor.rules import Finding, lost
from holdfast.nn.cells import State

STEPS = 4
"""Steps that are followed; an epoch is no shorter, so that at most one of them is its first, which begins anew."""
NONE, ZEROS, OTHER = "it is given none", "it is given zeros", "it is given another one"


class StateCarry:
    """Follows the states over a few steps; one that is lost at each of their borders is lost."""

    def __init__(self) -> None:
        self.final: dict[str, State] = {}
        self.borders: dict[str, list[str | None]] = {}

    def look(self, seen: Mapping[str, LayerRecord]) -> None:
        """The next step."""
        for name, one in seen.items():
            if self.final.get(name):
                self.borders.setdefault(name, []).append(difference(self.final[name], one.given))
        self.final = {name: one.final for name, one in seen.items()}

    def findings(self) -> list[Finding]:
        """What was lost at every border; the next step begins anew."""
        found = []
        for name, reasons in self.borders.items():
            words = [reason for reason in reasons if reason is not None]
            if len(words) == len(reasons) >= STEPS - 1:
                found.append(lost(module_label(name), f"{words[-1]} at {len(words)} borders in a row"))
        self.final, self.borders = {}, {}
        return found


def difference(final: State, given: State | None) -> str | None:
    """Why a state that is given is not the final one before; None where it is, or where nobody can tell.

    Single sequences may begin anew, with zeros; those of a batch of another size are not compared.

    Example:
        >>> final = (torch.ones(1, 2, 3),)
        >>> difference(final, (torch.tensor([0.0, 1.0])[None, :, None] * final[0],)) is None
        True
        >>> difference(final, (2 * final[0],))
        'it is given another one'
    """
    if given is None:
        return NONE
    if any(a.shape != b.shape for a, b in zip(final, given, strict=True)):
        return None
    anew = torch.stack([(g == 0).all(-1).all(0) for g in given]).all(0)
    same = torch.stack(
        [torch.isclose(g, f, 1e-3, 1e-5).all(-1).all(0) for g, f in zip(given, final, strict=True)]
    )
    if bool((anew | same.all(0)).all()):
        return ZEROS if bool((anew & ~same.all(0)).all()) else None
    return OTHER
