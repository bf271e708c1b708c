"""What ``holdfast predict`` does for a composer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from holdfast.errors import UserError
from holdfast.files import to_json
from holdfast.tasks.music.composition import sentences
from holdfast.tasks.music.config import Prediction
from holdfast.tasks.music.model import Composer

FILES = ("midi", "plot", "wav")


def predicted(model: Composer, data: Path | None, asked: Prediction) -> Iterator[str]:
    """Compose, behind the primer ``data`` where it is given; write the files, and tell of the piece as JSON."""
    if data is not None and asked.harmonise is not None:
        raise UserError(
            "A piece goes on with a primer, or harmonises a melody.",
            f"{data} and --harmonise were given.",
            "Leave one of them out.",
        )
    if data is None and asked.primer_bars is not None:
        raise UserError(
            "--primer-bars are those of a primer.", "None was given.", "Give a MIDI file behind the run."
        )
    check_files(asked)
    found = model.compose(data, **asdict(asked))
    found.save(asked.midi, asked.plot, asked.wav, asked.soundfont)
    told = found.told()
    model.notes = sentences(told)
    files = {name: str(path) for name in FILES if (path := getattr(asked, name)) is not None}
    yield to_json({**files, **told}) + "\n"


def check_files(asked: Prediction) -> None:
    """Refuse a file in a folder that is not there, or in the place of the melody, before anything is composed.

    Raises:
        UserError: it is one of these.
    """
    for name in FILES:
        path = getattr(asked, name)
        if path is not None and not Path(path).resolve().parent.is_dir():
            raise UserError(
                f"The file of --{name} is written into a folder that is there.",
                f"There is no {Path(path).parent}.",
                "Make it, or give another name.",
            )
        if path is not None and asked.harmonise is not None and _same(Path(path), Path(asked.harmonise)):
            rule, got = "A result does not take the place of its data.", f"{path} is the melody."
            raise UserError(rule, got, "Give another name.")


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
