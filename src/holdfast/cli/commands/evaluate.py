"""``holdfast evaluate``."""

from __future__ import annotations

from pathlib import Path

from holdfast.cli import output
from holdfast.cli.params import Device, Given, Json, Run, load_run
from holdfast.errors import UserError


def evaluate(
    run: Run,
    data: Path | None = None,
    /,
    *,
    device: Device = "auto",
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Evaluate a model and the baselines on the same data."""
    from holdfast.reporting.summary import VARIANTS

    model = load_run(task, run, device)
    result = model.evaluate(data, **given)
    output.notes(getattr(model, "notes", ()))
    names = model.result_keys()
    missing = [name for name in names if result.get(name) in (None, {})]
    if missing:
        raise UserError(
            "metrics.json must hold the metrics that training wrote.",
            f"The one in {run} lacks: {', '.join(missing)}.",
            "Copy the folder again, or give a file to evaluate on.",
        )
    if json:
        output.write_json({name: result[name] for name in (*names, *(n for n in VARIANTS if n in result))})
    else:
        output.result(model, result)
    return 0
