"""What ``holdfast inspect`` does."""

from __future__ import annotations

import sys
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
    from holdfast.insight.inspection import inspect as looked_into
    from holdfast.insight.writing import write

    if asked.steps < 2:
        raise refused("steps", "at least 2", str(asked.steps), "1000")
    subjects = _subjects(chosen, data, asked.steps)
    folder = asked.out or chosen.run / "inspect"
    for subject in subjects:
        notice(f"looking into {subject.title} ...")
        found = looked_into(subject)
        own = folder / subject.name if subject.name else folder
        page = write(found, own, subject.draw)
        if asked.terminal:
            from holdfast.insight.terminal import terminal

            show.write(terminal(found, show.width(), colour=sys.stdout.isatty()))
        else:
            for sentence in found.words:
                show.write(sentence)
        for note in found.notes:
            notice(f"note: {note}")
        show.write(f"Open {page}; the pictures are beside it.")
    return 0


def _subjects(chosen: Chosen, data: Path, steps: int) -> list[Any]:
    model = load(chosen.run)
    return part(model.task, "inspect")(model.to(chosen.device), data, steps)  # type: ignore[no-any-return]
