"""What ``holdfast inspect`` does."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.cli import output
from holdfast.cli.commands.verbs import Chosen
from holdfast.cli.errors import notice
from holdfast.errors import UserError
from holdfast.tasks.registry import load, part, task_of
from holdfast.validation import invalid_setting


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
        raise invalid_setting("steps", "at least 2", str(asked.steps), "1000")
    names = _names([chosen.run, *asked.beside])
    _check_tasks([chosen.run, *asked.beside])
    subjects = _subjects(chosen, data, asked.steps)
    others = [_subjects(Chosen(run, chosen.device), data, asked.steps) for run in asked.beside]
    folder, told = asked.out or chosen.run / "inspect", set[str]()
    for subject in subjects:
        _look(subject, folder / subject.name if subject.name else folder, asked.terminal, told)
    if others:
        _beside(dict(zip(names, [subjects, *others], strict=True)), data, folder)
    return 0


def _names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the runs' paths that tell them apart.

    Raises:
        UserError: a run is there twice.
    """
    whole = [run.resolve() for run in runs]
    twice = next((run for place, run in enumerate(whole) if run in whole[:place]), None)
    if twice is not None:
        raise UserError(
            "--compare-with must name other runs.",
            f"{twice} is given twice.",
            "Give each run once, by its folder.",
        )
    return [_ending(run, [other for other in whole if other != run]) for run in whole]


def _check_tasks(runs: Sequence[Path]) -> None:
    """Runs side by side read the same data.

    Raises:
        UserError: they are of different tasks.
    """
    first, *others = [(run, task_of(run)) for run in runs]
    for run, task in others:
        if None not in (task, first[1]) and task != first[1]:
            raise UserError(
                "--compare-with must name runs of the same task.",
                f"{first[0]} is of the task {first[1]}, {run} of {task}.",
                "Give runs that were trained for the same task.",
            )


def _ending(run: Path, others: Sequence[Path]) -> str:
    """The shortest end of a path that no other one has."""
    ends = (run.parts[-count:] for count in range(1, len(run.parts) + 1))
    return str(Path(*next(end for end in ends if all(other.parts[-len(end) :] != end for other in others))))


def _subjects(chosen: Chosen, data: Path, steps: int) -> list[Any]:
    model = load(chosen.run)
    return part(model.task, "inspect")(model.to(chosen.device), data, steps)  # type: ignore[no-any-return]


def _look(subject: Any, folder: Path, drawn: bool, told: set[str]) -> None:
    """Inspect a subject; what has been told of another one is not told again."""
    from holdfast.insight.analysis.inspection import analyze
    from holdfast.insight.render.export import write
    from holdfast.insight.render.terminal import Screen, terminal

    notice(f"looking into: {subject.title} ...")
    found = analyze(subject)
    page = write(found, folder, subject.extra_plots)
    if drawn:
        output.write(terminal(found, Screen.of(sys.stdout)))
    else:
        for sentence in _new(found.summary, told):
            output.write(sentence)
    for note in _new(found.notes, told):
        notice(f"note: {note}")
    output.write(f"Open {page}; the pictures are beside it.")


def _new(sentences: Sequence[str], told: set[str]) -> list[str]:
    """Those that are not told yet; now they are."""
    found = [sentence for sentence in sentences if sentence not in told]
    told.update(found)
    return found


def _beside(runs: Mapping[str, list[Any]], data: Path, folder: Path) -> None:
    """The first subject of each run."""
    from holdfast.insight.render.comparison_view import measured, table, write_beside

    networks = []
    for name, (subject, *_) in runs.items():
        notice(f"measuring {name} ...")
        networks.append(measured(name, subject))
    title = f"Memory and gradients on {data.name}"
    header, *rows = table(networks)
    output.table(title, header, rows)
    output.write(f"Open {write_beside(networks, title, folder)} for the picture.")
