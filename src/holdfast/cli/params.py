"""Arguments that several verbs have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli.task_flags import split_commas, whole_number


def switch(text: str) -> Parameter:
    """A flag that is given or not."""
    return Parameter(help=text, negative=(), show_default=False)


Data = Annotated[
    Path,
    Parameter(help="The data: a table, texts, a manifest of sounds, or music (MIDI, ABC, .mat, .json)."),
]
Run = Annotated[Path, Parameter(help="Folder of a trained model.")]
Recipe = Annotated[Path | None, Parameter(help="TOML file of settings; flags override it.")]
Overwrite = Annotated[bool, switch("Write over earlier results in --out.")]
Json = Annotated[bool, switch("Print one JSON object.")]
Cells = Annotated[
    tuple[str, ...],
    Parameter(
        help="Cells to compare.",
        converter=split_commas,
        metavar="A,B,...",
        negative=(),
        show_default=",".join,
    ),
]
Device = Annotated[str, Parameter(help="auto (a GPU where there is one), cpu, cuda, cuda:1 or mps.")]
FLAT = Parameter(name="*")
"""The fields of a dataclass are flags by themselves."""


@dataclass(frozen=True)
class OwnFiles:
    """Parts of the data that have files of their own."""

    valid: Annotated[Path | None, Parameter(help="File of the validation part.")] = None
    test: Annotated[Path | None, Parameter(help="File of the test part.")] = None


@dataclass(frozen=True)
class Earlier:
    """What becomes of what the folder of results holds."""

    resume: Annotated[bool, switch("Go on with what is in --out.")] = False
    overwrite: Overwrite = False


@dataclass(frozen=True)
class Trials:
    """Which networks are trained, how often, and on how much."""

    cells: Cells = ("lstm", "gru")
    seeds: Annotated[int, Parameter(help="Pairs of runs.", converter=whole_number)] = 5
    fractions: Annotated[
        tuple[float, ...],
        Parameter(
            help="Shares of the training part; 1 is one of them.",
            converter=split_commas,
            metavar="A,B,...",
            negative=(),
            show_default=lambda shares: ",".join(f"{share:g}" for share in shares),
        ),
    ] = (0.05, 0.1, 0.25, 0.5, 1.0)


NO_FILES, NEW, USUAL = OwnFiles(), Earlier(), Trials()
"""What is meant where nothing is said."""
