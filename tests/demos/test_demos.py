"""Demos: each is found by its name, and its data needs no download."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import music21
import pytest

from holdfast.cli import main
from holdfast.demos import DEMOS, base, demo
from holdfast.demos.forecast import co2_csv
from holdfast.demos.language import documentation
from holdfast.demos.music import chorales
from holdfast.tasks.registry import TASKS


@pytest.mark.parametrize("task", DEMOS)
def test_every_demo_belongs_to_a_task(task: str) -> None:
    assert task in TASKS and callable(import_module(f"holdfast.demos.{task}").demo)


@pytest.mark.slow
@pytest.mark.parametrize("task", DEMOS)
def test_a_shortened_demo_and_its_commands_run(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if task == "speech" and shutil.which("espeak-ng") is None:
        pytest.skip("needs the program espeak-ng (apt install espeak-ng)")
    monkeypatch.setattr("holdfast.demos.speech.PHRASES", 78)
    whole = base.compare

    def short(task: str, config: Any, *files: Any, **how: Any) -> Any:
        return whole(task, replace(config, training=replace(config.training, epochs=1)), *files, **how)

    monkeypatch.setattr(base, "compare", short)
    found = demo(task, tmp_path / "demo")
    assert found.report.exists() and {run["cell"] for run in found.comparison.runs} == {"gru", "lstm"}
    if task == "music":
        assert {path.suffix for path in (tmp_path / "demo").glob("chorale.*")} == {".mid", ".png", ".wav"}
    begun = [words for words in map(shlex.split, found.next) if str(tmp_path) in " ".join(words)]
    assert [words[1] for words in begun[:2]] == ["train", "predict"]
    for words in begun[:2]:
        assert main([*words[1:], *(["--epochs", "1"] if words[1] == "train" else [])]) == 0


def test_the_documentation_holds_each_paragraph_once() -> None:
    text = documentation()
    paragraphs = text.rstrip("\n").split("\n\n")
    assert len(text) > 200_000 and len(set(paragraphs)) == len(paragraphs)


def test_chorales_have_four_voices_in_quavers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.demos.music.CHORALES", 2)
    first, second = json.loads(chorales())
    assert max(map(len, [*first, *second])) == 4
    whole = music21.corpus.parse("bach/bwv269").chordify().flatten().getElementsByClass("Chord")
    on_the_grid = {2 * float(c.offset): sorted({p.midi for p in c.pitches}) for c in whole}
    checked = {frame: chord for frame, chord in on_the_grid.items() if frame == int(frame)}
    assert len(checked) > 60 and all(first[int(frame)] == chord for frame, chord in checked.items())


def test_the_series_has_gaps_and_values() -> None:
    header, *rows = co2_csv().splitlines()
    assert header == "date,co2" and len(rows) == 2284
    assert any(row.endswith(",") for row in rows) and rows[0].startswith("1958-03-29,316.1")
