"""``holdfast predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import Device, Given, Run, load_run
from holdfast.errors import UserError
from holdfast.files import RUN_FILES, check_targets, write_atomic
from holdfast.tasks.registry import settings_class


def predict(
    run: Run,
    data: Path | None = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write; stdout when not given.")] = None,
    device: Device = "auto",
    task: str,
    given: Given,
) -> int:
    """Predict with a model: forecast a series, write or score a text, transcribe speech, ..."""
    options = settings_class(task, "prediction")(**given)
    files = {name: getattr(options, name, None) for name in ("plot", "midi", "wav")}
    targets = {**files, "out": out}
    for path in targets.values():
        if path is not None and path.resolve().parent == run.resolve() and path.name in RUN_FILES:
            raise UserError(
                "A result must not replace a file of the run.", f"{path} is one.", "Give another name."
            )
    check_targets(targets, [data, getattr(options, "harmonize", None), getattr(options, "soundfont", None)])
    model = load_run(task, run, device)
    pieces = model.write_predictions(data, options)
    if out is None:
        output.stream(pieces)
    else:
        write_atomic(out, "".join(pieces))
    output.notes(getattr(model, "notes", ()))
    written = {"plot": files["plot"], "MIDI file": files["midi"], "audio": files["wav"], "result": out}
    for what, path in written.items():
        if path is not None:
            notice(f"The {what} is in {path}.")
    return 0
