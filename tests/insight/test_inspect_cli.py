"""``holdfast inspect`` on a small language model: its output and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import holdfast as hf
from commands import Expected, refused
from holdfast.cli.app import main
from holdfast.cli.commands.inspect import _names
from holdfast.insight.analysis.request import InspectionRequest
from holdfast.insight.analysis.results import Steps
from holdfast.insight.render.comparison_view import comparison_table, measure_network

TEXT = "KING:\nCome here, my lord, and say it.\n\nFOOL:\nI will not come, nor say.\n\n" * 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two small runs on a text."""
    folder = tmp_path_factory.mktemp("inspected")
    (folder / "play.txt").write_text(TEXT)
    for cell in ("gru", "rnn"):
        model = hf.LanguageModel(
            cell=cell, hidden_size=24, num_layers=1, steps=32, batch_size=8, epochs=4, learning_rate=0.02
        )
        model.fit(folder / "play.txt", out=folder / cell)
    return folder


def test_a_run_is_inspected_as_text_page_and_plots(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "inspect",
        f"{folder / 'gru'}",
        f"{folder / 'play.txt'}",
        "--out",
        f"{tmp_path}",
        "--steps",
        "150",
    ]
    assert main([*words, "--compare-with", str(folder / "rnn")]) == 0
    printed = capsys.readouterr().out
    for expected in (
        "Measured memory",
        "update gates",
        "the gradient",
        "The loss rises most",
        "integrated gradients",
    ):
        assert expected in printed
    assert "halved after" in printed and "rnn" in printed and "after 100 steps" in printed
    for name in (
        "report.html",
        "beside.html",
        "beside.png",
        "gates.png",
        "saturation.png",
        "memory.png",
        "ablation.png",
    ):
        assert (tmp_path / name).stat().st_size > 1000
    page = (tmp_path / "report.html").read_text()
    assert "GRU language model reading play.txt" in page and "http://" not in page and "https://" not in page


@pytest.mark.slow
def test_the_terminal_view_fits_the_terminal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    words = [
        "inspect",
        str(folder / "gru"),
        str(folder / "play.txt"),
        "--out",
        str(tmp_path),
        "--steps",
        "90",
    ]
    assert main([*words, "--terminal"]) == 0
    drawn = capsys.readouterr().out.partition("Open ")[0]
    assert "update gate" in drawn and max(map(len, drawn.splitlines())) <= 72


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{gru}", "{missing}"], ("data file must exist", "missing.txt", "Check the path")),
        (["{gru}", "{empty}"], ("at least 2 tokens", "has 1", "longer one")),
        (["{missing}", "{play}"], ("loaded from a run folder", "There is no folder", "--out")),
        (["{gru}", "{play}", "--steps", "1"], ("at least 2", "It was 1", "1000")),
        (
            ["{gru}", "{play}", "--compare-with", "{missing}"],
            ("loaded from a run folder", "There is no folder", "--out"),
        ),
        (
            ["{gru}", "{play}", "--compare-with", "{rnn}/../gru"],
            ("must name other runs", "given twice", "each run once"),
        ),
        (["{gru}", "{binary}"], ("text must be UTF-8", "Line 1", "convert the file")),
    ],
)
def test_mistakes_are_reported(
    folder: Path, tmp_path: Path, words: list[str], message: Expected, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {name: folder / name for name in ("gru", "rnn")} | {"play": folder / "play.txt"}
    paths |= {
        "missing": tmp_path / "missing.txt",
        "empty": tmp_path / "empty.txt",
        "binary": tmp_path / "b.txt",
    }
    paths["empty"].write_text("K")
    paths["binary"].write_bytes(b"\xff\xfe\x00K\xd8")
    out = tmp_path / "out"
    refused(capsys, ["inspect", *(word.format(**paths) for word in words), "--out", str(out)], message)
    assert not out.exists()


def test_runs_are_named_by_their_difference() -> None:
    assert _names([Path("/x/a/lstm"), Path("/y/b/lstm")]) == ["a/lstm", "b/lstm"]
    assert _names([Path("/x/a/lstm"), Path("/y/a/lstm"), Path("/z/gru")]) == [
        "x/a/lstm",
        "y/a/lstm",
        "gru",
    ]
    assert _names([Path("/x/a/lstm")]) == ["lstm"]


def test_the_distance_of_a_gradient_is_reported_for_shorter_sequences() -> None:
    layer = nn.GRU(2, 3)
    request = InspectionRequest("title", layer, lambda: layer(torch.randn(40, 1, 2)), Steps([""] * 40))
    header, row = comparison_table([measure_network("it", request)])
    assert "100" not in " ".join(header) and row[header.index("gradient left")].endswith(" after 39 steps")


@pytest.mark.slow
def test_records_of_a_file_do_not_repeat_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"{'good' if k % 2 else 'bad'},it was {'fine' if k % 2 else 'poor'} and long {k}\n" for k in range(40)
    )
    data = tmp_path / "said.csv"
    data.write_text("label,text\n" + rows)
    settings = {"hidden_size": 6, "embedding_size": 6, "epochs": 1, "batch_size": 16, "device": "cpu"}
    hf.SequenceClassifier(text="text", label="label", **settings).fit(data, out=tmp_path / "run")
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "run"), str(data)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("Measured memory") == 1
    assert printed.err.count("searched for feature units") == 1
