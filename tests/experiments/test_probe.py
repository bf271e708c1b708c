"""Probes from the command line to the report: training, stopping, and the summary."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_probe_data import idx
from torch import Tensor

from commands import Expected, refused
from holdfast.cli import main
from holdfast.cli.params import help_texts
from holdfast.config import load_config, settings_of
from holdfast.data.vision.images import bundled_digits
from holdfast.errors import DivergenceError, UserError
from holdfast.experiments.probes import results
from holdfast.experiments.probes import run as probe_run
from holdfast.experiments.probes.config import (
    CELLS,
    PROBES,
    AddingConfig,
    CopyConfig,
    ImagesConfig,
    OrderConfig,
    ProbeConfig,
)
from holdfast.experiments.probes.definitions import PROBE_CLASSES, TEST, VALID, Adding, Copy, Images, Order
from holdfast.experiments.probes.results import ProbeResults
from holdfast.experiments.probes.run import _ProbeTrainable, run_probe, train_run
from holdfast.files import OutputFolder
from holdfast.models.probe import ProbeNetwork

QUICK = [
    "--length",
    "10",
    "--hidden-size",
    "16",
    "--learning-rate",
    "0.01",
    "--every",
    "50",
    "--device",
    "cpu",
]
SMALL = AddingConfig(
    length=10, cells=("gru", "rnn"), hidden_size=4, steps=20, every=10, device="cpu", batch_size=4
)
SHORT: dict[str, ProbeConfig] = {
    "adding": SMALL,
    "copy": CopyConfig(length=3, hidden_size=4, steps=4, every=2, device="cpu"),
    "order": OrderConfig(length=20, hidden_size=4, steps=4, every=2, device="cpu"),
    "images": ImagesConfig(images="digits", hidden_size=4, steps=4, every=2, device="cpu"),
}


# -- from the command line -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("probe") / "adding"
    flags = ["--cells", "gru", "--steps", "3000", "--criterion", "0.01", "--out", str(out)]
    assert main(["probe", "adding", *QUICK, *flags]) == 0
    return out


def test_a_gru_solves_a_short_adding_problem(solved: Path) -> None:
    found = json.loads((solved / "probe.json").read_text())
    (run,) = found["runs"]
    assert run["solved"] and run["stopped"] == "solved" and run["steps"] < 3000
    assert run["test"]["mse"] < 0.02 < found["chance"]["mse"] == pytest.approx(1 / 6)
    values = [row["mse"] for row in run["curve"]]
    assert values[-1] <= 0.01 < min(values[:-1])
    assert [row["step"] for row in run["curve"]] == list(range(50, run["steps"] + 1, 50))
    assert run["parameters"] == sum(3 * 16 * n for n in (2, 16, 1, 1)) + 17


def test_it_writes_the_run_folder(solved: Path) -> None:
    assert {path.name for path in solved.iterdir()} == {"config.toml", "probe.json", "report.html", "plots"}
    assert load_config(solved / "config.toml", AddingConfig).length == 10
    page = (solved / "report.html").read_text()
    assert "The GRU solved it" in page and "http" not in page


def test_more_cells_are_added_to_a_probe_and_compared_with_it(
    solved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((solved / "probe.json").read_text())["runs"]
    flags = ["--steps", "3000", "--criterion", "0.01", "--out", str(solved), "--resume"]
    capsys.readouterr()
    assert main(["probe", "adding", *QUICK, *flags, "--cells", "gru,lstm-chrono", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found == json.loads((solved / "probe.json").read_text())
    assert found["runs"][:1] == before and [run["cell"] for run in found["runs"]] == ["gru", "lstm-chrono"]
    assert "run 2 of 2: lstm-chrono" in err and "run 1 of 2" not in err


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_runs_from_the_command_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = [] if name == "images" else ["--length", "20"]
    flags = [
        "--cells",
        "rnn,gru-chrono",
        "--hidden-size",
        "4",
        "--steps",
        "4",
        "--every",
        "2",
        "--device",
        "cpu",
    ]
    assert main(["probe", name, *length, *flags, "--out", str(tmp_path / "p")]) == 0
    out, err = capsys.readouterr()
    assert "stayed near chance" in out and "without memory" in out and "GRU-CHRONO" in out
    assert "run 2 of 2: gru-chrono, seed 0" in err
    pictures = {path.stem for path in (tmp_path / "p" / "plots").iterdir()}
    assert pictures == ({"learning", "positions"} if name == "copy" else {"learning"})


def test_images_of_idx_files_are_read_and_permuted(tmp_path: Path) -> None:
    images, labels = bundled_digits()
    for name, part in {"train": slice(0, 300), "test": slice(300, 360)}.items():
        (tmp_path / f"{name}-images").write_bytes(idx(images[part].astype(int)))
        (tmp_path / f"{name}-labels").write_bytes(idx(labels[part]))
    files = {
        name: str(tmp_path / name) for name in ("train-images", "train-labels", "test-images", "test-labels")
    }
    flags = [
        *("--images", files["train-images"], "--labels", files["train-labels"]),
        *("--test-images", files["test-images"], "--test-labels", files["test-labels"]),
        *(
            "--cells",
            "gru",
            "--hidden-size",
            "4",
            "--steps",
            "2",
            "--every",
            "1",
            "--permuted",
            "--device",
            "cpu",
        ),
    ]
    assert main(["probe", "images", *flags, "--out", str(tmp_path / "p")]) == 0
    found = json.loads((tmp_path / "p" / "probe.json").read_text())
    assert found["length"] == 64 and len(found["runs"][0]["curve"]) == 2
    config = load_config(tmp_path / "p" / "config.toml", ImagesConfig)
    probe = Images(config)
    inputs, shown = probe.test()
    assert inputs.shape == (64, 60, 1) and torch.equal(shown, torch.from_numpy(labels[300:360]))
    first = inputs[:, 0, 0].numpy()
    assert not np.allclose(first, images[300].ravel() / 16)
    assert np.allclose(np.sort(first), np.sort(images[300].ravel() / 16))
    straight, _ = Images(replace(config, permuted=False)).test()
    assert np.allclose(straight[:, 0, 0].numpy(), images[300].ravel() / 16)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["addin"], ("adding, copy, order, images", "'addin'", "Did you mean 'adding'?")),
        ([], ("must have a", "none", "adding, copy, order, images")),
        (["adding", "--length", "3"], ("--length must be at least 4", "It was 3", "--length 600")),
        (["order", "--length", "19"], ("--length must be at least 20", "It was 19", "--length 100")),
        (
            ["copy", "--cells", "lstm,chrono"],
            ("must be names from rnn, gru, lstm", "lstm, chrono", "--cells"),
        ),
        (["copy", "--cells", "gru,gru"], ("each once", "gru, gru", "--cells")),
        (["order", "--steps", "50"], ("--steps must be at least 100", "It was 50", "--steps 1000")),
        (["order", "--every", "0"], ("--every must be at least 1", "It was 0", "--every 100")),
        (["adding", "--criterion", "1"], ("between 0 and 1", "It was 1", "--criterion 0.9")),
        (
            ["adding", "--input-scale", "0"],
            ("--input-scale must be a finite number above 0", "It was 0", "1"),
        ),
        (["copy", "--curriculum", "1"], ("--curriculum must be in [0, 1)", "It was 1.0", "0.6")),
        (["adding", "--learning-rate", "0"], ("--learning-rate must be greater than 0", "0.0", "0.001")),
        (["adding", "--budget", "soon"], ("A duration must be hours", "'soon'", "10m")),
        (["adding", "--device", "cuda:99"], ("device", "cuda:99", "--device auto")),
        (["adding", "--images", "x"], ("A flag of holdfast probe adding", "'--images'", "--help")),
        (
            ["images", "--images", "a.idx"],
            ("must come together", "--labels was not given", "Give --labels FILE"),
        ),
        (["images", "--labels", "a.idx"], ("must come together", "--labels was a.idx", "Omit it")),
        (["images", "--images", "a", "--labels", "b"], ("a must be readable", "No such file", "name")),
        (
            ["images", "--images", "digits", "--test-images", "a", "--test-labels", "b"],
            ("from a file", "digits", "--images FILE"),
        ),
        (["adding", "--resume"], ("--resume must have a probe", "There is no", "--out")),
        (["adding", "--resume", "--overwrite"], ("--resume", "--overwrite", "Leave one")),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(
    flags: list[str], expected: Expected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "p")] if flags and flags[0] in PROBES else []
    refused(capsys, ["probe", *flags, *out], expected)
    assert not (tmp_path / "p").exists()


def test_a_folder_in_use_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_probe(SMALL, into=OutputFolder(tmp_path / "p"))
    before = {path: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    refused(
        capsys, ["probe", "adding", "--out", tmp_path / "p"], ("new or empty folder", "holds", "--overwrite")
    )
    refused(
        capsys,
        ["probe", "adding", "--length", "11", "--out", tmp_path / "p", "--resume"],
        ("except for cells and seeds", "differ", "--out"),
    )
    refused(capsys, ["evaluate", "forecast", tmp_path / "p"], ("training wrote", "holds a probe", ""))
    assert {path: path.read_bytes() for path in (tmp_path / "p").iterdir()} == before
    (tmp_path / "p" / "probe.json").write_text('{"probe": "adding"}')
    with pytest.raises(UserError, match="It is damaged"):
        run_probe(SMALL, into=OutputFolder(tmp_path / "p", resume=True))


@pytest.mark.parametrize("name", PROBES)
def test_every_setting_has_help(name: str) -> None:
    assert all(help_texts(one.owner).get(one.name) for one in settings_of(PROBES[name]))
    assert PROBES[name].rule


# -- probes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBES)
def test_a_model_without_memory_reaches_the_baseline(name: str) -> None:
    probe: Any = PROBE_CLASSES[type(SHORT[name])](SHORT[name])
    inputs, targets = probe.test()
    outputs = {
        "adding": lambda: torch.ones(TEST, 1),
        "copy": lambda: _guess(inputs.shape),
        "order": lambda: torch.tensor([1.0, 0, 0, 0]).expand(TEST, 4),
        "images": lambda: torch.nn.functional.one_hot(probe.labels.mode().values, 10).expand(360, 10),
    }[name]()
    found = {name: value.mean().item() for name, value in probe.metrics(outputs.float(), targets).items()}
    for metric, value in probe.chance.items():
        assert found[metric] == pytest.approx(value, rel=0.1), metric


def _guess(shape: torch.Size) -> Tensor:
    """Return logits: blank up to the last ten steps, then equal symbols, the first by a little."""
    logits = torch.full((*shape, 9), -40.0)
    logits[:-10, :, 8], logits[-10:, :, :8], logits[-10:, :, 0] = 0.0, 0.0, 1e-4
    return logits


def test_metrics_by_hand() -> None:
    adding = Adding(SMALL).metrics(torch.tensor([[1.0], [0.5]]), torch.tensor([1.03, 1.0]))
    assert adding["mse"].item() == pytest.approx((0.03**2 + 0.25) / 2)
    assert adding["within_0.04"].item() == 0.5
    copy = Copy(CopyConfig(length=3))
    _, targets = copy.sample(5, torch.Generator().manual_seed(0))
    answers = targets.clone()
    answers[-10] = (
        answers[-10] + 1
    ) % 8  # the first symbol wrong everywhere, the last in one sequence of five
    answers[-1, 0] = (answers[-1, 0] + 1) % 8
    answers[0] = 3  # before it counts
    found = copy.metrics(torch.nn.functional.one_hot(answers, 9).float(), targets)
    assert found["accuracy_by_position"].tolist() == pytest.approx([0, *[1] * 8, 0.8])
    assert found["accuracy"].item() == pytest.approx(8.8 / 10)
    steps = -torch.randn(23, 5, 9, generator=torch.Generator().manual_seed(1)).abs()
    chosen = steps.log_softmax(-1).gather(2, targets[..., None])
    assert copy.metrics(steps, targets)["cross_entropy"].item() == pytest.approx(-chosen.mean().item())
    assert copy.loss(steps, targets).item() == pytest.approx(-chosen.sum().item() / 5 / 10)
    order = Order(OrderConfig(length=20)).metrics(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert order["accuracy"].item() == 0.75


@pytest.mark.parametrize("name", PROBES)
def test_splits_are_fixed_and_training_sequences_differ_by_seed(name: str) -> None:
    probe: Any = PROBE_CLASSES[type(SHORT[name])](SHORT[name])
    one, two = (_ProbeTrainable(probe, SHORT[name], "gru", seed) for seed in (1, 2))
    again = _ProbeTrainable(probe, SHORT[name], "gru", 1)
    assert all(torch.equal(a, b) for a, b in zip(probe.valid(), probe.valid(), strict=True))
    sampled = [next(iter(learner.batches(epoch)))[0] for learner in (one, two) for epoch in (1, 2)]
    assert torch.equal(sampled[0], next(iter(again.batches(1)))[0])
    pools = [*sampled, probe.valid()[0], probe.test()[0]]
    rows = [{tuple(row.flatten().tolist()) for row in pool.unbind(1)} for pool in pools]
    if name == "images":  # training takes the same set in another order
        assert not rows[4] & rows[0] and len({tuple(pool[:, 0, 0].tolist()) for pool in sampled}) == 4
    elif name != "order":  # short sequences may repeat by chance
        assert all(not a & b for k, a in enumerate(rows) for b in rows[k + 1 :])
    assert len(probe.valid()[0][0]) == (359 if name == "images" else VALID)


def test_a_curriculum_lengthens_the_delay_of_training_alone() -> None:
    probe = Copy(CopyConfig(length=400, curriculum=0.5))
    delays = [probe.delay_at(k / 8) for k in range(9)]
    assert delays == [20, 42, 89, 189, *[400] * 5]  # 20^-1, 20^-3/4, 20^-1/2, 20^-1/4, 1
    random = torch.Generator().manual_seed(0)
    assert probe.sample(1, random, 0.0)[0].shape == (40, 1) and probe.sample(1, random, 1.0)[0].shape == (
        420,
        1,
    )
    assert probe.valid()[0].shape == (420, VALID) and probe.test()[0].shape == (420, TEST)
    whole = Copy(CopyConfig(length=400, curriculum=0.0))
    assert {whole.delay_at(k / 8) for k in range(9)} == {400}
    config = CopyConfig(
        length=40, hidden_size=4, steps=8, every=2, curriculum=0.5, device="cpu", batch_size=2
    )
    learner = _ProbeTrainable(Copy(config), config, "rnn", 0)
    assert [len(x) - 20 for epoch in range(1, 5) for x, _ in learner.batches(epoch)] == [
        2,
        4,
        9,
        19,
        *[40] * 4,
    ]


@pytest.mark.parametrize("cell", CELLS)
def test_the_network_is_a_layer_and_a_linear_one(cell: str) -> None:
    config = CopyConfig(length=5, hidden_size=6, input_scale=3.0)
    network = _ProbeTrainable(Copy(config), config, cell, 4).module
    x, _ = Copy(config).sample(3, torch.Generator().manual_seed(0))
    found = network(x)
    twin: Any = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell.partition("-")[0]](
        10, 6
    )
    twin.load_state_dict(network.layer.state_dict())
    outputs = twin(3.0 * torch.nn.functional.one_hot(x, 10).float())[0]
    assert torch.allclose(found, outputs @ network.output.weight.T + network.output.bias, atol=1e-5)
    keeps = {"gru-chrono": slice(6, 12), "lstm-chrono": slice(6, 12)}.get(cell)
    if keeps is not None:  # update gate of a GRU, forget gate of an LSTM
        bias = network.layer.bias_ih_l0[keeps]
        assert (bias >= 0).all() and (bias <= math.log(15 - 1)).all() and bias.max() > 1.5


def test_metrics_do_not_depend_on_how_a_split_is_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CopyConfig(length=5, hidden_size=6)
    probe = Copy(config)
    learner = _ProbeTrainable(probe, config, "gru", 0)
    inputs, targets = probe.sample(7, torch.Generator().manual_seed(0))
    whole = {name: v.tolist() for name, v in probe.metrics(learner.module(inputs), targets).items()}
    monkeypatch.setattr(probe_run, "_STEPS_AT_ONCE", 3 * len(inputs))
    found = learner.metrics((inputs, targets))
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        assert found[name] == pytest.approx(value, abs=1e-6)


def test_the_last_step_is_the_output_of_probes_with_one_target() -> None:
    network = ProbeNetwork("lstm", (2, 3, 1), every_step=False)
    x = torch.rand(6, 2, 2)
    every = ProbeNetwork("lstm", (2, 3, 1), every_step=True)
    every.load_state_dict(network.state_dict())
    assert torch.equal(network(x), every(x)[-1])


# -- runs ------------------------------------------------------------------------------------------


def test_the_test_split_is_read_once_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = Adding.test

    def counted(self: Adding) -> Any:
        read.append(1)
        return whole(self)

    monkeypatch.setattr(Adding, "test", counted)
    run_probe(SMALL)
    assert len(read) == 2


def test_a_diverged_run_is_reported() -> None:
    run = train_run(Adding(SMALL), replace(SMALL, learning_rate=1e30, clip=0.0), "rnn", 0)
    assert run["stopped"] in ("diverged", "epochs") and not run["solved"]


def test_divergence_ends_a_run_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(*_: Any, **__: Any) -> None:
        raise DivergenceError("The loss must stay finite.", "It was nan.", "Lower it.")

    monkeypatch.setattr(probe_run, "fit", diverges)
    found = run_probe(SMALL)
    assert [run["stopped"] for run in found.runs] == ["diverged", "diverged"]
    assert "it diverged" in results.sentences(found)[1]
    assert results.results_table(found)[1][5] == "-"


def test_runs_are_reproducible_and_differ_by_seed() -> None:
    one, two = run_probe(SMALL), run_probe(replace(SMALL, seeds=2))
    assert one.runs[0]["curve"] == two.runs[0]["curve"] == run_probe(SMALL).runs[0]["curve"]
    assert two.runs[2]["curve"] != two.runs[0]["curve"]
    assert [(run["seed"], run["cell"]) for run in two.runs] == [
        (0, "gru"),
        (0, "rnn"),
        (1, "gru"),
        (1, "rnn"),
    ]


# -- summary ---------------------------------------------------------------------------------------


def made(
    cell: str, value: float, *, solved: bool = False, stopped: str = "epochs", seed: int = 0
) -> dict[str, Any]:
    return {
        "cell": cell,
        "seed": seed,
        "solved": solved,
        "steps": 1500,
        "seconds": 31.0,
        "stopped": "solved" if solved else stopped,
        "parameters": 4321,
        "test": {"accuracy": value, "cross_entropy": 0.1},
        "curve": [],
    }


def described(*runs: dict[str, Any]) -> list[str]:
    probe = Order(OrderConfig())
    found = ProbeResults("order", 200, "accuracy", True, 0.99, probe.chance, probe.nothing, list(runs))
    return [results.title(found), *results.sentences(found)]


def test_verdicts_as_sentences() -> None:
    title, rule, *found = described(
        made("rnn", 0.27), made("gru", 0.6, stopped="budget"), made("lstm", 0.995, solved=True)
    )
    assert title == "Temporal order: which of two symbols came first, in 200 time steps"
    assert (
        rule.startswith("Solved: 99% of the sequences correct, in a validation.") and "accuracy 0.25" in rule
    )
    assert found == [
        "The plain RNN stayed near chance in 1,500 steps: test accuracy 0.27, against 0.25 for guessing one of the "
        "four orders.",
        "The GRU beat chance but did not solve it in 1,500 steps (the budget ran out): test accuracy 0.6, "
        "chance 0.25.",
        "The LSTM solved it, after 1,500 steps (31 s): test accuracy 0.995.",
    ]


def test_verdicts_over_seeds() -> None:
    *_, sentence = described(made("gru", 1.0, solved=True), made("gru", 0.5, seed=1))
    assert (
        sentence
        == "The GRU solved it with 1 of 2 seeds, after 1,500 steps (31 s): test accuracy 0.75 ± 0.35."
    )


def test_a_probe_stopped_in_its_first_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.experiments.probes.run.train_run", stopped)
    out = tmp_path / "probe"
    assert main(["probe", "adding", "--length", "10", "--out", str(out)]) == 130
    assert not out.exists()
