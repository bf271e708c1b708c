"""What is to be measured, checked, and the cases that it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.bench.cases import CELLS, Case, Shape
from holdfast.bench.modes import MODES
from holdfast.bench.peers import PEERS
from holdfast.errors import UserError

Names = Mapping[str, Sequence[str]]

KNOWN: dict[str, list[str]] = {"modes": list(MODES), "cells": list(CELLS), "peers": list(PEERS)}


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        modes, cells, peers: names; all when empty.
        shapes: sizes; each mode's own when empty.
        threads: how many threads each peer may use; torch's number when None.
        repetitions: timings of each peer in each case, at most.
        budget: seconds for the timings of a case, beyond the first few.
        quick: each mode's few shapes.
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
"""What ``--quick`` stands for, where nothing else is said."""


def check(request: Request) -> Names:
    """The modes, cells and peers that are meant, all of them known.

    Raises:
        UserError: an unknown name, or a number that makes no sense, or shapes that no mode takes.
    """
    for kind, names in KNOWN.items():
        for name in getattr(request, kind):
            if name not in names:
                rule = f"--{kind} are among {', '.join(names)}."
                raise UserError(
                    rule, f"It was {name!r}.", "Name some of these, or leave the flag out for all."
                )
    for flag, value in (("threads", request.threads), ("repetitions", request.repetitions)):
        if value is not None and value < 1:
            raise UserError(f"--{flag} is at least 1.", f"It was {value}.", "Give 1 or more.")
    wanted = {kind: list(dict.fromkeys(getattr(request, kind) or names)) for kind, names in KNOWN.items()}
    if next(cases(request, wanted, 1), None) is None:
        raise UserError(
            "streaming takes shapes of one step, and every other mode shapes of several.",
            f"The shapes were {', '.join(map(str, request.shapes))}; the modes {', '.join(wanted['modes'])}.",
            "Give another shape or another mode.",
        )
    return wanted


def cases(request: Request, names: Names, threads: int) -> Iterator[Case]:
    """Every case of the request, mode by mode."""
    for name in names["modes"]:
        mode = MODES[name]
        shapes = request.shapes or (mode.quick if request.quick else mode.shapes)
        for cell in names["cells"]:
            for variant in mode.variants(cell):
                yield from (Case(name, cell, s, threads, variant) for s in shapes if mode.takes(s))
