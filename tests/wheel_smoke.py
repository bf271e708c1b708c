"""Smoke test of an installed wheel: train, evaluate and predict with every task.

``make wheel`` runs it with the Python of a clean environment. It needs no test runner, no data and
no compiler; with ``--no-compiler`` it fails where PATH has one. It prints one line for each task
and exits with 1 at the first failure.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

COMMAND = [str(Path(sys.executable).with_name("holdfast"))]
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "cl")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CXX", "CC")}
SMALL = ["--hidden-size", "8", "--epochs", "1", "--seed", "1", "--device", "cpu"]


class Smoke(NamedTuple):
    """What to run for one task.

    Attributes:
        write: writes the data into a folder and returns the file to train on.
        train: flags of ``holdfast train``.
        predict: arguments of ``holdfast predict`` after the run folder.
        check: raises AssertionError if the text that ``predict`` printed is wrong; gets the folder
            too.
    """

    write: Callable[[Path], Path]
    train: list[str]
    predict: list[str]
    check: Callable[[str, Path], None]


def write(path: Path, text: str) -> Path:
    """Write a text file as UTF-8 and return its path."""
    path.write_text(text, encoding="utf-8")
    return path


def weather(folder: Path) -> Path:
    """Write ten days of hourly temperatures with a daily season."""
    times = (f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00" for hour in range(240))
    rows = (f"{t},{10 + 5 * math.sin(hour * math.pi / 12):.2f}" for hour, t in enumerate(times))
    return write(folder / "weather.csv", "date,temp\n" + "\n".join(rows) + "\n")


def book(folder: Path) -> Path:
    """Write a short text that repeats."""
    return write(folder / "book.txt", "the cat sat on the mat\na dog saw the cat\n" * 60)


def reviews(folder: Path) -> Path:
    """Write labelled sentences, and two without a label to classify."""
    write(folder / "new.csv", "text\na good film\na bad film\n")
    rows = [f"a {word} {thing},{word}" for word in ("good", "bad") for thing in ("film", "book", "song")]
    return write(folder / "reviews.csv", "text,label\n" + "\n".join(rows * 15) + "\n")


def pairs(folder: Path) -> Path:
    """Write sentence pairs that swap two words, and two sentences to translate."""
    write(folder / "new.txt", "a b\nc d\n")
    words = "abcdefgh"
    return write(folder / "pairs.tsv", "".join(f"{a} {b}\t{b} {a}\n" for a in words for b in words))


def tones(folder: Path) -> Path:
    """Write spoken "words": a low or a high tone each, as WAV files with a manifest."""
    rows = ["path\ttext"]
    for number in range(24):
        high = number % 2
        samples = [int(9000 * math.sin(step * (0.9 if high else 0.3))) for step in range(4000 + 40 * number)]
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        rows.append(f"{number}.wav\t{'high' if high else 'low'}")
    return write(folder / "tones.tsv", "\n".join(rows) + "\n")


def chords(folder: Path) -> Path:
    """Write pieces of four chords as piano rolls in JSON."""
    draw = random.Random(1)
    chord = [[60, 64, 67], [60, 65, 69], [59, 62, 67], [57, 60, 64]]
    return write(folder / "chords.json", json.dumps([draw.choices(chord, k=16) for _ in range(12)]))


def quantiles(text: str, folder: Path) -> None:
    """Check that a forecast is a table of three steps with finite numbers."""
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 3, f"{len(rows)} forecast rows, not 3"
    numbers = [value for row in rows for value in row.values() if value and value[0] in "-0123456789"]
    assert numbers and "nan" not in text.lower()


def continuation(text: str, folder: Path) -> None:
    """Check that the language model wrote text after the prompt."""
    assert len(text.strip()) >= 20, f"only {text!r}"


def labels(text: str, folder: Path) -> None:
    """Check that each of two texts has one of the two labels."""
    rows = list(csv.reader(text.splitlines()))[1:]
    assert len(rows) == 2 and all({"good", "bad"} & set(row) for row in rows), text


def lines(text: str, folder: Path) -> None:
    """Check that each of two sentences has one line of translation."""
    assert len(text.splitlines()) == 2, text


def transcript(text: str, folder: Path) -> None:
    """Check that the recording is named or its text is printed, on one line."""
    assert len(text.splitlines()) == 1, text


def midi(text: str, folder: Path) -> None:
    """Check that the composition is a MIDI file."""
    assert (folder / "new.mid").read_bytes()[:4] == b"MThd"


DAILY = ["--target", "temp", "--horizon", "3", "--season", "24", "--lookback", "24"]
SMOKES = {
    "forecast": Smoke(weather, DAILY, ["weather.csv"], quantiles),
    "language": Smoke(book, ["--batch-size", "4"], ["--prompt", "the ", "--length", "40"], continuation),
    "classify": Smoke(reviews, ["--text", "text", "--label", "label"], ["new.csv"], labels),
    "translate": Smoke(pairs, ["--batch-size", "16"], ["new.txt"], lines),
    "speech": Smoke(tones, [], ["0.wav"], transcript),
    "music": Smoke(chords, [], ["--bars", "1", "--midi", "new.mid"], midi),
}


def holdfast(folder: Path, *arguments: str) -> str:
    """Run the command in a folder and return what it prints; it must exit with 0."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=ENVIRONMENT, check=False, capture_output=True, timeout=600
    )
    printed, notes = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    command = "holdfast " + " ".join(arguments)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{printed}{notes}"
    return printed


def smoke(task: str, folder: Path) -> str:
    """Train, evaluate and predict with one task; return a line that says so."""
    begun = time.perf_counter()
    test = SMOKES[task]
    data = test.write(folder).name
    holdfast(folder, "train", task, data, *test.train, *SMALL, "--out", "run")
    found = json.loads(holdfast(folder, "evaluate", "run", data, "--json"))
    assert found["task"] == task and found["model"] and found["baselines"], found
    test.check(holdfast(folder, "predict", "run", *test.predict), folder)
    metric, value = next((name, value) for name, value in found["model"].items() if value is not None)
    seconds = time.perf_counter() - begun
    return f"{task:<10} train, evaluate, predict: ok ({metric} {value:.4g}, {seconds:.0f} s)"


def main() -> None:
    """Check the environment, then run every task."""
    compilers = [name for name in COMPILERS if shutil.which(name)] if "--no-compiler" in sys.argv else []
    assert not compilers, f"the environment must have no compiler on PATH. It has {compilers}."
    core = find_spec("holdfast._native")
    assert core, "the wheel must contain the native core. It has none."
    assert str(core.origin).startswith(sys.prefix), f"holdfast must be installed. It is in {core.origin}."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for task in SMOKES:
            (Path(folder) / task).mkdir()
            print(smoke(task, Path(folder) / task), flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"error: {failure}")
