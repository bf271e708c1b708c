"""Models on the CPU and on a GPU: moved by name, trained on one and applied on the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from commands import refused
from holdfast.cli import main
from holdfast.tasks.registry import load, task_class
from labelled import texts

DATA = {
    "language": ("text.txt", "the cat sat on the mat\na dog saw the cat\n" * 60),
    "classify": ("texts.csv", texts(80)),
    "translate": ("pairs.tsv", "".join(f"{a} {b}\t{b} {a}\n" for a in "abcdefgh" for b in "abcdefgh")),
}
SMALL: dict[str, dict[str, Any]] = {
    "language": {"hidden_size": 16, "steps": 8, "batch_size": 4, "epochs": 2},
    "classify": {"text": "text", "hidden_size": 8, "embedding_size": 8, "epochs": 2},
    "translate": {"token": "character", "hidden_size": 16, "batch_size": 60, "epochs": 2, "checkpoints": 2},
}


def trained(task: str, folder: Path, device: str) -> Path:
    name, text = DATA[task]
    (folder / name).write_text(text)
    model = task_class(task)(**SMALL[task], device=device)
    model.fit(folder / name, out=folder / "run")
    return folder / "run"


def metrics_on(task: str, run: Path, device: str) -> Any:
    return load(run).to(device).evaluate(run.parent / DATA[task][0])["model"]


@pytest.mark.parametrize("task", DATA)
def test_the_device_of_prediction_is_named(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(task, tmp_path, "cpu")
    data = tmp_path / DATA[task][0]
    for verb in ("evaluate", "predict"):
        words = [verb, run, data, *(["--score"] if (verb, task) == ("predict", "language") else [])]
        assert main([*map(str, words), "--device", "cpu"]) == 0
        refused(capsys, [*words, "--device", "tpu"], ("auto, cpu, cuda", "'tpu'", "--device auto"))
        refused(capsys, [*words, "--device", "cuda:77"], ("on this machine", "'cuda:77'", "--device auto"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("task", DATA)
def test_a_model_goes_from_the_gpu_to_the_cpu_and_back(task: str, tmp_path: Path) -> None:
    run = trained(task, tmp_path, "cuda")
    assert metrics_on(task, run, "cuda") == pytest.approx(metrics_on(task, run, "cpu"), rel=1e-3, abs=1e-3)
    name, more = DATA[task][0], SMALL[task] | {"epochs": 4, "device": "cuda"}
    task_class(task)(**more).fit(tmp_path / name, out=run, resume=True)
    assert metrics_on(task, run, "cuda") == pytest.approx(metrics_on(task, run, "cpu"), rel=1e-3, abs=1e-3)
