"""The request of a benchmark, its check, and its cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.bench.cases import CELLS, Case, Shape
from holdfast.bench.modes import MODES
from holdfast.bench.peers import PEERS
from holdfast.errors import UserError
from holdfast.validation import unknown_choice

_Names = Mapping[str, Sequence[str]]

KNOWN: dict[str, list[str]] = {"modes": list(MODES), "cells": list(CELLS), "peers": list(PEERS)}


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        modes, cells, peers: names; all if empty.
        shapes: sizes; those of each mode if empty.
        threads: threads of each peer; torch's number if None.
        repetitions: maximum number of timings of each peer in each case.
        budget: seconds for the timings of a case, after the first few.
        quick: use the few quick shapes of each mode.
    """

    modes: Sequence[str] = ()
    cells: Sequence[str] = ()
    peers: Sequence[str] = ()
    shapes: Sequence[Shape] = ()
    threads: int | None = None
    repetitions: int = 15
    budget: float = 20.0
    quick: bool = False


QUICK = Request(cells=("gru", "lstm"), repetitions=3, budget=1.0, quick=True)
"""The request of ``--quick``."""


def check(request: Request) -> _Names:
    """Return the modes, cells and peers of a request.

    Raises:
        UserError: a name is unknown, a number is below 1, or no mode takes the shapes.
    """
    for kind, names in KNOWN.items():
        for name in getattr(request, kind):
            if name not in names:
                raise unknown_choice(f"--{kind}", name, names)
    for flag, value in (("threads", request.threads), ("repetitions", request.repetitions)):
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1.", f"It was {value}.", "Give 1 or more.")
    wanted = {kind: list(dict.fromkeys(getattr(request, kind) or names)) for kind, names in KNOWN.items()}
    if next(cases(request, wanted, 1), None) is None:
        raise UserError(
            "The shapes must have one step for streaming, and several steps for the other modes.",
            f"The shapes were {', '.join(map(str, request.shapes))}; the modes {', '.join(wanted['modes'])}.",
            "Give another shape or another mode.",
        )
    return wanted


def cases(request: Request, names: _Names, threads: int) -> Iterator[Case]:
    """Yield every case of a request, mode by mode."""
    for name in names["modes"]:
        mode = MODES[name]
        shapes = request.shapes or (mode.quick if request.quick else mode.shapes)
        for cell in names["cells"]:
            for variant in mode.variants(cell):
                yield from (Case(name, cell, s, threads, variant) for s in shapes if mode.takes(s))
