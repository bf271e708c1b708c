"""Demo of classify: handwritten digits, read row by row."""

from __future__ import annotations

from pathlib import Path

from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.models.options import ClassifierOptions
from holdfast.tasks.classify.config import ClassifyConfig, ClassifyTraining, DataConfig


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM with baselines on handwritten digits, read from the top row down.

    The 1,797 images of 8 x 8 pixels come with scikit-learn (UCI "Optical Recognition of Handwritten
    Digits", Alpaydin & Kaynak 1998). Each is a series of 8 steps with 8 channels.
    """
    config = ClassifyConfig(
        data=DataConfig(series="image", step="row", label="digit", split="0.6/0.2/0.2"),
        network=ClassifierOptions(hidden_size=48, embedding_size=32, input_dropout=0.1, pooling="concat"),
        training=ClassifyTraining(epochs=20, batch_size=32, learning_rate=4e-3, average=0.99),
    )
    data = write_data(out, "classify", config, "digits.csv", digits_csv())
    announce(f"1,797 handwritten digits, row by row: {data}")
    title = "Handwritten digits, read row by row"
    return compare_cells("classify", config, data, title, announce, next=_next)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    return [
        ["holdfast", "predict", run, str(data), "--out", str(data.parent / "labels.csv")],
        ["holdfast", "train", "classify", "YOUR.csv", "--text", "COLUMN", "--label", "COLUMN"],
        ["holdfast", "train", "classify", "YOUR.csv", "--series", "COLUMN", "--step", "COLUMN"],
    ]


def digits_csv() -> str:
    """Return the images in long form: one line for each row of pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    lines = [
        ",".join(map(str, [number, row, *map(int, pixels), digit]))
        for number, (image, digit) in enumerate(zip(found.images, found.target, strict=True))
        for row, pixels in enumerate(image)
    ]
    return "\n".join([",".join(["image", "row", *(f"x{k}" for k in range(8)), "digit"]), *lines]) + "\n"
