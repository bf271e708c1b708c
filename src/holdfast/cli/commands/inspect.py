"""``holdfast inspect``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import Device, Names, Run, switch, whole
from holdfast.errors import UserError
from holdfast.tasks.registry import load, task_of
from holdfast.validation import invalid_setting


def inspect(
    run: Run,
    data: Annotated[Path, Parameter(help="Input of the model: a text, a table, an audio manifest, ...")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of report.html and the plots; RUN/inspect when not given.")
    ] = None,
    steps: Annotated[int, whole("Time steps to analyze, at most.")] = 1000,
    terminal: Annotated[bool, switch("Show the plots in the terminal too.")] = False,
    compare_with: Annotated[
        Names, Parameter(help="Folders of other runs, to compare memory and gradients.")
    ] = (),
    device: Device = "auto",
) -> int:
    """Show the gates, the reach of memory, vanishing gradients, and what influenced a prediction."""
    if steps < 2:
        raise invalid_setting("steps", "at least 2", str(steps), "1000")
    runs = [run, *map(Path, compare_with)]
    names = _names(runs)
    _check_tasks(runs)
    requests, *others = [load(one).to(device).inspections(data, steps) for one in runs]
    folder, printed = out or run / "inspect", set[str]()
    for request in requests:
        _inspect(request, folder / request.name if request.name else folder, terminal, printed)
    if others:
        _compare(dict(zip(names, [requests, *others], strict=True)), data, folder)
    return 0


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the shortest endings of the runs' paths that differ from each other.

    Raises:
        UserError: a run occurs twice.
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
    """Check that runs to compare are of one task.

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
    """Return the shortest ending of a path that no other path has."""
    ends = (run.parts[-count:] for count in range(1, len(run.parts) + 1))
    return str(Path(*next(end for end in ends if all(other.parts[-len(end) :] != end for other in others))))


def _inspect(request: Any, folder: Path, terminal: bool, printed: set[str]) -> None:
    """Write the report of a request and print its summary, without what was printed before."""
    from holdfast.insight.analysis.inspection import analyze
    from holdfast.insight.render import terminal as screen
    from holdfast.insight.render.page import write

    notice(f"inspecting {request.title} ...")
    found = analyze(request)
    page = write(found, folder, request.extra_plots)
    if terminal:
        output.write(screen.terminal(found, screen.Screen.of(sys.stdout)))
    else:
        for sentence in _new(found.summary, printed):
            output.write(sentence)
    output.notes(_new(found.notes, printed))
    output.write(f"Open {page}; the plots are in the same folder.")


def _new(sentences: Sequence[str], printed: set[str]) -> list[str]:
    """Return the sentences that were not printed before, and add them to the printed ones."""
    found = [sentence for sentence in sentences if sentence not in printed]
    printed.update(found)
    return found


def _compare(runs: Mapping[str, list[Any]], data: Path, folder: Path) -> None:
    """Compare the first request of each run."""
    from holdfast.insight.render.comparison_view import comparison_table, measure_network, write_comparison

    networks = []
    for name, (request, *_) in runs.items():
        notice(f"measuring {name} ...")
        networks.append(measure_network(name, request))
    title = f"Memory and gradients on {data.name}"
    header, *rows = comparison_table(networks)
    output.table(title, header, rows)
    output.write(f"Open {write_comparison(networks, title, folder)} for the plot.")
