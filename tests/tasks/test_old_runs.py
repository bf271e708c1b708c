"""Run folders that Holdfast 0.1.0 wrote, one for each task: they evaluate and predict as then.

``old_runs/TASK`` is a run folder without its report. ``old_runs/expected`` is what
``holdfast evaluate --json`` and ``holdfast predict`` printed when it was written. Never write these
folders again: they are the promise.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import holdfast
from commands import call

OLD = Path(__file__).with_name("old_runs")
EXPECTED = OLD / "expected"
SCORED = {
    "forecast": "weather-new.csv",
    "language": "text-new.txt",
    "classify": "reviews-new.csv",
    "translate": "digits-new.tsv",
    "speech": "speech-new/manifest.tsv",
    "music": "music-new",
}
TIMED = ("real_time_factor",)

# Holdfast 0.1.0 printed every digit, except probabilities, which have six decimals. On the same
# processor the results are equal to the last digit. Between instruction sets (SSE to AVX-512) and
# numbers of threads, float32 sums in another order, and results differ by up to 3e-8.
REL, DECIMALS = 1e-6, 2e-6


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Copy the runs: an evaluation may write into a run folder."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    return call(capsys, *words, "--device", "cpu")[0]


def numbers(metrics: dict[str, Any]) -> list[float]:
    """Return the metrics in their order: they may be renamed, not changed."""
    return [value for name, value in metrics.items() if name not in TIMED and value is not None]


@pytest.mark.parametrize("task", SCORED)
def test_it_evaluates_as_before(task: str, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "evaluate", old / task, old / SCORED[task], "--json"))
    expected = json.loads((EXPECTED / f"{task}.json").read_text())
    assert found["task"] == task
    assert found["parameters"] == expected["parameters"]
    assert found["baselines"].keys() == expected["baselines"].keys()
    for name, metrics in {"model": expected["model"], **expected["baselines"]}.items():
        ours = found["model"] if name == "model" else found["baselines"][name]
        assert numbers(ours) == pytest.approx(numbers(metrics), rel=REL), name


@pytest.mark.parametrize("task", SCORED)
def test_its_test_metrics_are_those_of_its_training(task: str) -> None:
    model = holdfast.load(OLD / task)
    saved = json.loads((OLD / task / "metrics.json").read_text())
    assert numbers(model.metrics["model"]) == numbers(saved["model"])


@pytest.mark.parametrize(
    ("task", "flags", "file"),
    [
        ("language", ["--prompt", "the ship", "--length", "60", "--seed", "1"], "language.txt"),
        ("classify", ["reviews-new.csv"], "classify.csv"),
        ("translate", ["digits-new.txt"], "translate.txt"),
        ("speech", ["speech-new/manifest.tsv"], "speech.txt"),
        ("forecast", ["weather-new.csv"], "forecast.csv"),
    ],
)
def test_it_predicts_as_before(
    task: str, flags: list[str], file: str, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(old / word) if (old / word).exists() else word for word in flags]
    found = cells(printed(capsys, "predict", old / task, *words))
    for ours, theirs in zip(found, cells((EXPECTED / file).read_text()), strict=True):
        assert ours == (pytest.approx(theirs, rel=REL, abs=DECIMALS) if isinstance(theirs, float) else theirs)


def cells(text: str) -> list[float | str]:
    """Return the numbers and words of a text or table."""
    return [as_number(word) for line in text.splitlines() for word in line.split(",")]


def as_number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def test_an_old_music_run_composes_as_before(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    midi = old / "composed.mid"
    found = json.loads(
        printed(capsys, "predict", old / "music", "--bars", "2", "--seed", "1", "--midi", midi)
    )
    expected = json.loads((EXPECTED / "music-prediction.json").read_text())
    for name in ("seconds", "tempo", "signature", "likeliest_key", "voices", "notes"):
        assert found[name] == expected[name]
    assert midi.read_bytes()[:4] == b"MThd"
