"""``holdfast bench``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast._json import JsonMapping, JsonObject
from holdfast.cli import output
from holdfast.cli.errors import BUG, notice
from holdfast.cli.params import Json, Names, switch, whole
from holdfast.errors import missing_library
from holdfast.files import save_json


def bench(
    *,
    quick: Annotated[bool, switch("Take about a minute: few shapes, few repetitions, GRU and LSTM.")] = False,
    modes: Annotated[
        Names, Parameter(help="inference, training, ragged, trace, streaming, options, bf16, int8.")
    ] = (),
    cells: Annotated[Names, Parameter(help="gru, lstm, rnn.")] = (),
    shapes: Annotated[Names, Parameter(help="Sizes, as BATCHxINPUTxHIDDENxSTEPS.")] = (),
    peers: Annotated[
        Names, Parameter(help="Libraries, such as torch or onnxruntime; all installed ones when not given.")
    ] = (),
    threads: Annotated[int | None, whole("Threads of each library.")] = None,
    repetitions: Annotated[int | None, whole("Timings of each library.")] = None,
    out: Annotated[Path | None, Parameter(help="JSON file of the result, saved after each case.")] = None,
    plot: Annotated[Path | None, Parameter(help="PNG file to plot the result into.")] = None,
    json: Json = False,
) -> int:
    """Time Holdfast's layers next to other libraries: milliseconds, ratios, and share of the peak."""
    from holdfast.bench.cases import parse_shapes
    from holdfast.bench.config import QUICK, Request
    from holdfast.bench.run import bench as run

    chart = None if plot is None else _chart()
    given: JsonObject = {
        "modes": modes,
        "cells": cells,
        "shapes": parse_shapes(shapes),
        "peers": peers,
        "threads": threads,
        "repetitions": repetitions,
    }
    request = replace(
        QUICK if quick else Request(),
        **{name: value for name, value in given.items() if value not in (None, (), [])},
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    found = run(request, notice, lambda result: None if out is None else save_json(out, result))
    _show(found, json)
    if out is not None:
        notice(f"The result is in {out}.")
    if chart is not None and plot is not None and found["rows"]:
        notice(f"The plot is {chart(found, plot)}.")
    return BUG if found["wrong"] else 0


def _chart() -> Callable[[JsonMapping, Path], Path]:
    """Import the plotting function before an hour of measurement rather than after it."""
    try:
        from holdfast.bench.chart import chart
    except ModuleNotFoundError as error:
        raise missing_library(error, "bench") from error
    return chart


def _show(result: JsonMapping, json: bool) -> None:
    from holdfast.bench.report import sentences, tables

    if json:
        output.write_json(result)
        return
    for table in tables(result):
        output.table(*table)
    for sentence in sentences(result):
        output.write(sentence)
