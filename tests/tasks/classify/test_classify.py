"""The classifier: training, metrics, report, and a complete run folder."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from commands import give_stdin
from holdfast.cli import main
from holdfast.tasks.classify import trainable
from holdfast.tasks.classify.baselines import baseline_set
from holdfast.tasks.classify.examples import stratified
from holdfast.tasks.classify.preprocessing import TextEncoder
from holdfast.tasks.classify.task import SequenceClassifier
from holdfast.tasks.registry import load
from labelled import file, series, several, texts

SMALL: dict[str, Any] = {
    "hidden_size": 8,
    "embedding_size": 12,
    "learning_rate": 0.02,
    "epochs": 12,
    "batch_size": 8,
}


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on texts, with attention."""
    folder = tmp_path_factory.mktemp("texts")
    model = SequenceClassifier(text="text", pooling="attention", **SMALL)
    model.fit(file(folder, "said.csv", texts()), out=folder / "run")
    return folder


@pytest.fixture(scope="module")
def of_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on series."""
    folder = tmp_path_factory.mktemp("series")
    model = SequenceClassifier(series="series", step="step", **SMALL)
    model.fit(file(folder, "rows.csv", series()), out=folder / "run")
    return folder


@pytest.fixture(scope="module")
def of_several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on texts with several labels."""
    folder = tmp_path_factory.mktemp("several")
    model = SequenceClassifier(text="text", separator=";", **SMALL)
    model.fit(file(folder, "said.jsonl", several()), out=folder / "run")
    return folder


RUNS = ("of_texts", "of_series", "of_several")


@pytest.mark.parametrize("name", RUNS)
def test_a_rule_is_learned_and_the_run_folder_is_complete(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    data = next(path for path in folder.iterdir() if path.is_file())
    model = load(folder / "run")
    scored = model.evaluate(data)
    assert scored["model"]["accuracy"] > 0.95 > scored["baselines"]["majority"]["accuracy"]
    assert set(scored["model"]) == {"accuracy", "macro_f1", "auroc", "ece"}
    assert all(set(values) == set(scored["model"]) for values in scored["baselines"].values())
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics == load(folder / "run").evaluate()
    before = model.predict(data, weights=True)
    model.save(folder / "again")
    assert load(folder / "again").predict(data, weights=True).equals(before)
    suffixes = {path.suffix for path in (folder / "again").rglob("*") if path.is_file()}
    assert suffixes <= {".toml", ".json", ".safetensors"}


def test_a_loaded_model_has_the_metrics_of_training(of_series: Path) -> None:
    model = SequenceClassifier(series="series", step="step", **SMALL).fit(of_series / "rows.csv")
    assert model.dataset is not None and model.dataset.test is not None
    stored, again = load(of_series / "run"), model._scores(model.dataset.test, "test")
    for key in ("model", "baselines"):
        assert stored.metrics[key] == again[key]


@pytest.mark.parametrize("name", RUNS)
def test_probabilities_do_not_depend_on_the_batch(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    model = load(folder / "run")
    data = next(path for path in folder.iterdir() if path.is_file())
    split, _ = model.read_split(data)
    together, weights = (
        model.predictions(split),
        trainable.weights_of_steps(model.module, split, model.config),
    )
    for row in range(0, len(split), 17):
        own = split.some(np.array([row]))
        np.testing.assert_allclose(model.predictions(own)[0], together[row], atol=1e-5)
        alone = trainable.weights_of_steps(model.module, own, model.config)[0]
        np.testing.assert_allclose(alone, weights[row], atol=1e-4)
        assert len(weights[row]) == len(split.inputs[row])


@pytest.mark.parametrize("name", RUNS)
def test_baselines_are_restored_from_their_arrays(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    model = load(folder / "run")
    split, _ = model.read_split(next(path for path in folder.iterdir() if path.is_file()))
    state = model.baselines.state()
    assert all(array.dtype.kind in "fiub" for array in state.values())
    again = baseline_set(model.preprocessing).load_state(state)
    for (one, found), (two, other) in zip(model.baselines.each(split), again.each(split), strict=True):
        assert one == two
        np.testing.assert_array_equal(found, other)
        assert found.shape == split.targets.shape


def test_attention_weights_the_deciding_words(of_texts: Path) -> None:
    found = load(of_texts / "run").predict(text="The play was a LOVELY film", weights=True)
    steps, weights = found["steps"][0].to_list(), found["weights"][0].to_list()
    assert steps == ["the", "play", "was", "a", "lovely", "film"]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert found["label"][0] == "good" and found["p_good"][0] + found["p_bad"][0] == pytest.approx(1)


def test_gradient_times_input_is_the_slope_along_the_input(of_several: Path) -> None:
    """The sum of the weights is the logit's derivative along the input, here by a small step."""
    model = load(of_several / "run")
    split = model.read_split(of_several / "said.jsonl")[0].some(np.arange(5))
    sums = [own.sum() for own in trainable.weights_of_steps(model.module, split, model.config)]
    x, lengths, _ = trainable.padded(split, np.arange(5))
    with torch.no_grad():
        embedded = model.module.inputs(x).double()
        net = model.module.double()
        best = net.read(embedded, lengths).logits.argmax(1)
        more, less = (net.read(embedded * f, lengths).logits for f in (1 + 1e-5, 1 - 1e-5))
    slope = (more - less)[torch.arange(5), best] / 2e-5
    np.testing.assert_allclose(sums, slope.numpy(), rtol=1e-2, atol=1e-3)


def test_predict_writes_csv(of_texts: Path, of_several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(of_texts / "run"), "--text", "a great play", "--weights"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["label"] for row in rows] == ["good"]
    assert [pair.partition(":")[0] for pair in rows[0]["weights"].split()] == ["a", "great", "play"]
    assert main(["predict", str(of_several / "run"), "--text", "great and awful"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[0]["label"] == "bad;good" and float(rows[0]["p_bad"]) > 0.5


@pytest.mark.parametrize("flags", [[], ["--weights"]])
def test_texts_are_classified_as_they_come_through_a_pipe(
    flags: list[str],
    of_texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [f"{line.rpartition(',')[0]} zebra" for line in texts(700).splitlines()[1:]]
    data = file(tmp_path, "many.csv", "text\n" + "\n".join(lines))
    capsys.readouterr()
    assert main(["predict", str(of_texts / "run"), str(data), *flags]) == 0
    whole = capsys.readouterr().out
    give_stdin(monkeypatch, "\n".join(lines).encode())
    assert main(["predict", str(of_texts / "run"), "-", *flags]) == 0
    out, err = capsys.readouterr()
    assert out == whole and whole.count("\n") == 1 + len(lines) > 512
    assert err.count("not in the vocabulary") == 1  # one note for all groups


def test_a_file_to_predict_needs_no_labels(of_series: Path, tmp_path: Path) -> None:
    lines = [line.rpartition(",")[0] for line in series(6, seed=3).splitlines()]
    found = load(of_series / "run").predict(file(tmp_path, "new.csv", "\n".join(lines)))
    assert found["series"].to_list() == [f"s{k}" for k in range(6)]
    assert found["label"].to_list() == ["down", "up"] * 3


def test_the_page_holds_confusion_and_calibration(tmp_path: Path) -> None:
    data = file(tmp_path, "a.csv", texts(60))
    flags = ["--text", "text", "--epochs", "1", "--hidden-size", "4", "--out", str(tmp_path / "run")]
    assert main(["train", "classify", str(data), *flags]) == 0
    names = {path.name for path in (tmp_path / "run" / "plots").iterdir()}
    assert names == {"baselines.png", "learning.png", "confusion.png", "calibration.png"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Worst mistakes" in page
    title = "Classifier of 2 classes in the column label"
    assert f"<title>{title} - Holdfast</title>" in page and f"<h1>{title}</h1>" in page
    assert re.search(
        r"Its confidence differs from its accuracy by \d+\.\d percentage points on average\.", page
    )


def test_int8_and_comparison(of_texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = load(of_texts / "run").evaluate(of_texts / "said.csv", int8=True)
    assert scored["int8"]["accuracy"] > 0.9
    flags = ["--text", "text", "--epochs", "1", "--hidden-size", "4", "--cells", "gru,lstm", "--seeds", "1"]
    data = str(of_texts / "said.csv")
    assert main(["compare", "classify", data, *flags, "--out", str(tmp_path / "found"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["cell"], run["share"]) for run in found["runs"]] == [
        ("gru", 1.0),
        ("lstm", 1.0),
    ]


def test_a_comparison_takes_the_files_that_training_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, valid, test = (
        str(file(tmp_path, f"{name}.csv", texts(n))) for name, n in (("a", 40), ("b", 12), ("c", 16))
    )
    small = ["--text", "text", "--epochs", "1", "--hidden-size", "4"]
    files = [data, "--valid", valid, "--test", test]
    assert main(["train", "classify", *files, *small, "--out", str(tmp_path / "run")]) == 0
    assert f"holdfast compare classify {' '.join(files)} --text text\n" in capsys.readouterr().out
    flags = [*small, "--cells", "gru", "--seeds", "1", "--json", "--out", str(tmp_path / "found")]
    assert main(["compare", "classify", *files, *flags]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["split"], run["training_size"], run["examples"]) for run in runs] == [
        ("test", 40, 16),
    ]


# -- splits and notes ------------------------------------------------------------------------------


LABELS = st.one_of(
    st.lists(st.sampled_from([("a",), ("b",), ("a", "b"), ()]), min_size=1, max_size=60),
    st.lists(
        st.sets(st.sampled_from("abcdefgh")).map(lambda own: tuple(sorted(own))), min_size=1, max_size=60
    ),
)


@given(
    LABELS, st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.25, 0.75), (1.0, 0.0, 0.0), (0.5, 0.2)])
)
def test_splits_keep_the_class_frequencies(labels: list[tuple[str, ...]], shares: tuple[float, ...]) -> None:
    splits = stratified(labels, shares)
    numbers = np.concatenate(splits).tolist()
    assert len(set(numbers)) == len(numbers) and (sum(shares) < 1 or len(numbers) == len(labels))
    classes = {label for own in labels for label in own}
    assert {label for i in splits[0] for label in labels[i]} == classes
    for split, share in zip(splits, shares, strict=True):
        assert abs(len(split) - share * len(labels)) <= 1 + len(classes) * (1 - shares[0])
        for own in set(labels):
            kept = sum(labels[i] == own for i in split)
            assert abs(kept - share * labels.count(own)) <= 2 + len(classes) * (1 - shares[0])
    again = stratified(labels, shares)
    assert all(np.array_equal(one, two) for one, two in zip(splits, again, strict=True))


def test_distinct_examples_are_split_too() -> None:
    labels = [tuple(f"{k}" for k in range(10) if i >> k & 1) for i in range(1000)]
    assert [len(split) for split in stratified(labels, (0.8, 0.1, 0.1))] == [800, 100, 100]
    few = [(f"class {k // 5}",) for k in range(500)]
    assert [len(split) for split in stratified(few, (0.8, 0.1, 0.1))] == [400, 50, 50]


def test_the_vocabulary_and_the_scale_are_fitted_on_the_training_split(tmp_path: Path) -> None:
    train, other = file(tmp_path, "a.csv", texts(40)), file(tmp_path, "b.csv", "text,label\nzebra,good\n")
    prepared = SequenceClassifier(text="text").prepare(train, other, other)
    tokenizer = prepared.preprocessing.encoder.tokens
    assert "zebra" not in tokenizer.words and prepared.test.inputs[0].tolist() == [tokenizer.unknown]
    assert len(prepared.train) == 40
    one = file(tmp_path, "one.csv", series(20, seed=1))
    two = file(tmp_path, "two.csv", series(20, seed=2))
    model = SequenceClassifier(series="series", step="step", hidden_size=4)
    prepared = model.prepare(one, two, two)
    rows = np.concatenate(prepared.train.inputs)
    net = trainable.build(model.config, prepared.preprocessing)
    trainable.initialize(net, prepared)
    inputs = net.inputs
    np.testing.assert_allclose(inputs.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(inputs.std, rows.std(0), rtol=1e-5)


def test_steps_are_sorted(tmp_path: Path) -> None:
    rows = "series,step,x,label\nb,2,3,u\na,10,2,v\nb,1,1,u\na,9,7,v\n"
    prepared = SequenceClassifier(series="series", step="step", split="0.5/0.5/0").prepare(
        file(tmp_path, "a.csv", rows), file(tmp_path, "b.csv", rows)
    )
    examples = prepared.train.examples
    assert list(examples.names) == ["b", "a"]
    assert [x[:, 0].tolist() for x in prepared.train.inputs] == [[1, 3], [7, 2]]


def test_notes_describe_the_data(tmp_path: Path) -> None:
    rows = ["text,label", *(f"word{k} thing,a" for k in range(40)), *(f"other{k} thing,b" for k in range(4))]
    data = file(tmp_path, "a.csv", "\n".join(rows))
    other = file(tmp_path, "b.csv", "text,label\nWord3  thing,a\nnew thing that is long,b\n")
    notes = SequenceClassifier(text="text", max_length=3).prepare(data, other, other).notes
    assert any("imbalance" in note and "40" in note and "balanced" in note for note in notes)
    assert any("duplicates: 1 of 2 examples of the test split" in note for note in notes)
    assert any("2 of 2 examples of the test split are in the validation split" in note for note in notes)
    assert any("of the words of the test split are not in the vocabulary" in note for note in notes)
    assert any("50.0% of the test split are longer than 3 steps (up to 5)" in note for note in notes)


def test_word_vectors_begin_the_embedding(tmp_path: Path) -> None:
    vectors = file(tmp_path, "v.txt", "2 3\ngreat 1 2 3\nfilm 4 5 6\n")
    data = file(tmp_path, "a.csv", texts(40))
    model = SequenceClassifier(text="text", vectors=str(vectors), hidden_size=4, epochs=1)
    prepared = model.prepare(data)
    net = trainable.build(model.config, prepared.preprocessing)
    trainable.initialize(net, prepared)
    number = prepared.preprocessing.encoder.tokens.ids["great"]
    assert net.inputs.embedding.weight[number].tolist() == [1, 2, 3]
    model.fit(data, out=tmp_path / "run")
    vectors.unlink()
    assert load(tmp_path / "run").predict(text="great film").height == 1


@pytest.mark.parametrize("unit", ["word", "character", "byte", "subword"])
def test_tokens_number_a_text(unit: str) -> None:
    encoder = TextEncoder.fit(["Isn't it re-imagined, he said?"], unit, None)
    ids, steps = encoder.encode("Isn't it?"), encoder.steps("Isn't it?")
    assert len(ids) == len(steps) > 0
    if unit == "word":
        assert steps == ["isn't", "it", "?"]
        assert encoder.tokens.unknown not in ids


def test_short_and_constant_series_work(tmp_path: Path) -> None:
    rows = [f"s{k},{k % 3 + n},7,{n * (k % 2)},{'ab'[k % 2]}" for k in range(40) for n in range(1 + k % 2)]
    data = file(tmp_path, "a.csv", "\n".join(["series,step,x,y,label", *rows]))
    model = SequenceClassifier(series="series", pooling="concat", class_weights="balanced", **SMALL).fit(data)
    assert model.preprocessing.encoder.channels == ("step", "x", "y")  # no --step was named
    assert all(np.isfinite(list(model.metrics["model"].values())))


def test_balanced_weights_help_a_rare_class(tmp_path: Path) -> None:
    rows = [("the play was dull", "no")] * 20 + [("the play was dull", "yes")] * 4
    data = file(tmp_path, "a.csv", "\n".join(["text,label", *map(",".join, rows * 5)]))
    found = {}
    for weights in ("none", "balanced"):
        model = SequenceClassifier(text="text", class_weights=weights, **SMALL).fit(data)
        logits = trainable.logits(model.module, model.dataset.valid, model.config)[0]
        found[weights] = logits[1] - logits[0]
    assert found["none"] == pytest.approx(np.log(4 / 20), abs=0.3)  # the ratio for the same text
    assert found["balanced"] == pytest.approx(0, abs=0.3)


def test_the_demo_holds_every_digit() -> None:
    from holdfast.demos.classify import digits_csv

    lines = digits_csv().splitlines()
    assert lines[0] == "image,row,x0,x1,x2,x3,x4,x5,x6,x7,digit"
    assert lines[1] == "0,0,0,0,5,13,9,1,0,0,0" and len(lines) == 1 + 8 * 1797


# -- resuming --------------------------------------------------------------------------------------


def test_an_interrupted_run_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file(tmp_path, "a.csv", texts(80))
    settings: dict[str, Any] = {"text": "text", **SMALL, "epochs": 3, "average": 0.9}
    whole = SequenceClassifier(**settings).fit(data, out=tmp_path / "whole")
    steps, usual = [0], trainable.BatchTraining.loss

    def stopping(self: trainable.BatchTraining, batch: trainable.Batch) -> torch.Tensor:
        steps[0] += 1
        if steps[0] == self.steps_per_epoch + 3:
            import signal

            signal.raise_signal(signal.SIGINT)
        return usual(self, batch)

    monkeypatch.setattr(trainable.BatchTraining, "loss", stopping)
    begun = SequenceClassifier(**settings).fit(data, out=tmp_path / "run")
    assert begun.history is not None and begun.history.stopped == "interrupted" and not begun.metrics
    resumed = SequenceClassifier(**settings).fit(data, out=tmp_path / "run", resume=True)
    for one, two in zip(whole.module.state_dict().items(), resumed.module.state_dict().items(), strict=True):
        assert one[0] == two[0] and torch.equal(one[1], two[1])
    timed = {"seconds", "seconds_per_epoch"}
    assert {k: v for k, v in whole.metrics.items() if k not in timed} == {
        k: v for k, v in resumed.metrics.items() if k not in timed
    }


def test_published_datasets_are_learned(shared_data: Any, tmp_path: Path) -> None:
    train, test = (shared_data(f"japanese-vowels/{name}.tsv") for name in ("train", "test"))
    model = SequenceClassifier(
        series="series", step="step", epochs=12, batch_size=16, learning_rate=0.01, hidden_size=32
    )
    assert model.fit(train, test=test).metrics["model"]["accuracy"] > 0.93
