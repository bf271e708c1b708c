"""What ``holdfast inspect`` does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.checks import refused
from holdfast.cli import show
from holdfast.cli.failures import notice
from holdfast.cli.verbs import Chosen
from holdfast.tasks import load, part


@dataclass(frozen=True)
class Asked:
    """What is wanted of an inspection: the folder, so many steps, the view in the terminal, runs to set beside it."""

    out: Path | None
    steps: int
    terminal: bool
    beside: tuple[Path, ...] = ()


def inspect(chosen: Chosen, data: Path, asked: Asked) -> int:
    """Gates, memory, gradients, attribution and ablation of a run on some data: words, a page, pictures."""
    if asked.steps < 2:
        raise refused("steps", "at least 2", str(asked.steps), "1000")
    subjects = _subjects(chosen, data, asked.steps)
    others = {run: _subjects(Chosen(run, chosen.device), data, asked.steps) for run in asked.beside}
    folder = asked.out or chosen.run / "inspect"
    for subject in subjects:
        _look(subject, folder / subject.name if subject.name else folder, asked.terminal)
    if others:
        _beside({chosen.run: subjects, **others}, data, folder)
    return 0


def _subjects(chosen: Chosen, data: Path, steps: int) -> list[Any]:
    model = load(chosen.run)
    return part(model.task, "inspect")(model.to(chosen.device), data, steps)  # type: ignore[no-any-return]


def _look(subject: Any, folder: Path, drawn: bool) -> None:
    from holdfast.insight.inside.inspection import inspect as looked_into
    from holdfast.insight.views.terminal import Screen, terminal
    from holdfast.insight.views.writing import write

    notice(f"looking into: {subject.title} ...")
    found = looked_into(subject)
    page = write(found, folder, subject.draw)
    if drawn:
        show.write(terminal(found, Screen.of(sys.stdout)))
    else:
        for sentence in found.words:
            show.write(sentence)
    for note in found.notes:
        notice(f"note: {note}")
    show.write(f"Open {page}; the pictures are beside it.")


def _beside(runs: Mapping[Path, list[Any]], data: Path, folder: Path) -> None:
    """The first subject of each run."""
    from holdfast.insight.views.beside import measured, table, write_beside

    networks = []
    for run, (subject, *_) in runs.items():
        notice(f"measuring {run} ...")
        networks.append(measured(run.name, subject))
    title = f"Memory and gradients on {data.name}"
    header, *rows = table(networks)
    show.table(title, header, rows)
    show.write(f"Open {write_beside(networks, title, folder)} for the picture.")
