"""What ``holdfast bench`` does, once its arguments are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.cli import output as show
from holdfast.cli.errors import BUG, notice
from holdfast.errors import missing_library
from holdfast.files import save_json


@dataclass(frozen=True)
class Names:
    """What is measured; all where nothing is named."""

    modes: tuple[str, ...]
    cells: tuple[str, ...]
    shapes: tuple[str, ...]
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """Where the result goes beside the tables, or instead of them."""

    out: Path | None
    plot: Path | None
    json: bool


def bench(quick: bool, names: Names, threads: int | None, repetitions: int | None, output: Output) -> int:
    """Measure, then print tables or JSON, and write the JSON and the picture that were asked for."""
    from holdfast.bench.cases import parse_shapes
    from holdfast.bench.config import QUICK, Request
    from holdfast.bench.run import bench as run

    chart = _chart() if output.plot is not None else None
    given = {
        **vars(names),
        "shapes": parse_shapes(names.shapes),
        "threads": threads,
        "repetitions": repetitions,
    }
    asked = {name: value for name, value in given.items() if value not in (None, (), [])}
    request = replace(QUICK if quick else Request(), **asked)

    if output.out is not None:
        output.out.parent.mkdir(parents=True, exist_ok=True)

    def keep(result: Mapping[str, Any]) -> None:
        if output.out is not None:
            save_json(output.out, result)

    result = run(request, notice, keep)
    _show(result, output.json)
    if output.out is not None:
        notice(f"The result is in {output.out}.")
    if chart is not None and output.plot is not None and result["rows"]:
        notice(f"The picture is {chart(result, output.plot)}.")
    return BUG if result["wrong"] else 0


def _chart() -> Any:
    """The drawing, looked for before an hour of measurement rather than after it."""
    try:
        from holdfast.bench.chart import chart
    except ModuleNotFoundError as error:
        raise missing_library(error, "bench") from error
    return chart


def _show(result: Mapping[str, Any], json: bool) -> None:
    from holdfast.bench.report import sentences, tables

    if json:
        show.write_json(result)
        return
    for table in tables(result):
        show.table(*table)
    for sentence in sentences(result):
        show.write(sentence)
