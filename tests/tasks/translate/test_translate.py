"""The translator from files to translations, on a language whose translation is the reverse."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU

from commands import give_stdin
from holdfast.errors import UserError
from holdfast.tasks.registry import load
from holdfast.tasks.translate import inference
from holdfast.tasks.translate.config import Prediction
from holdfast.tasks.translate.dataset import read_dataset
from holdfast.tasks.translate.predict import write_predictions
from holdfast.tasks.translate.preprocessing import PairPreprocessing
from holdfast.tasks.translate.task import Translator
from holdfast.tasks.translate.tokenizer import SentenceTokenizer

GERMAN = ["eins", "zwei", "drei", "vier", "fünf", "sechs"]
ENGLISH = ["one", "two", "three", "four", "five", "six"]
SMALL: dict[str, Any] = {
    "token": "word",
    "hidden_size": 32,
    "batch_size": 300,
    "learning_rate": 0.01,
    "dropout": 0.1,
    "device": "cpu",
}


def sentence(numbers: list[int]) -> tuple[str, str]:
    return " ".join(GERMAN[i] for i in numbers), " ".join(ENGLISH[i] for i in reversed(numbers))


def write(folder: Path, name: str, count: int, seed: int, longest: int = 6) -> Path:
    """Write parallel files whose target is the reversed source."""
    random = np.random.default_rng(seed)
    pairs = [
        sentence(random.integers(6, size=random.integers(1, longest + 1)).tolist()) for _ in range(count)
    ]
    for side, ending in enumerate(("de", "en")):
        (folder / f"{name}.{ending}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("translate")
    for name, count, seed in (("train", 1500, 0), ("val", 60, 1), ("test", 60, 2)):
        write(path, name, count, seed)
    torch.manual_seed(0)
    model = Translator(pair="de-en", epochs=9, **SMALL)
    model.fit(path / "train", valid=path / "val", test=path / "test", out=path / "run")
    model.report(path / "run")
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Translator:
    return Translator.load(folder / "run")


def test_it_learns_to_reverse_sentences(model: Translator) -> None:
    result = model.metrics
    assert result["model"]["bleu"] > 95 and result["model"]["chrf"] > 95
    assert result["model"]["perplexity"] < 1.2
    assert result["baselines"]["copy"]["bleu"] < 5
    assert 5 < result["baselines"]["word_by_word"]["bleu"] < 60
    assert result["task"] == "translate" and result["split"] == "test" and result["sentences"] == 60
    assert result["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert model.predict(["eins zwei drei", "", "sechs"]) == ["three two one", "", "six"]


def test_the_metrics_are_those_of_the_translations(model: Translator, folder: Path) -> None:
    sources, targets = ((folder / f"test.{end}").read_text().splitlines() for end in ("de", "en"))
    scored = model.evaluate(folder / "test", int8=True)
    bleu = BLEU(force=True).corpus_score(model.predict(sources), [targets]).score
    assert scored["model"]["bleu"] == pytest.approx(bleu) == pytest.approx(model.metrics["model"]["bleu"])
    assert scored["baselines"] == model.metrics["baselines"]
    assert scored["int8"]["bleu"] > 90


def test_many_sentences_are_translated_in_groups(model: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [" ".join(GERMAN[i % 6 : i % 6 + 1 + i % 3]) for i in range(25)]
    whole = model.translator().texts(sources)
    monkeypatch.setattr(inference, "TEXTS_AT_ONCE", 7)
    assert model.translator().texts(sources) == whole == model.predict(sources)


def test_the_loaded_model_is_the_saved_one(folder: Path) -> None:
    first, second = load(folder / "run"), Translator.load(folder / "run")
    sources = (folder / "test.de").read_text().splitlines()
    assert first.predict(sources) == second.predict(sources)
    assert {path.name for path in (folder / "run").iterdir()} <= {
        *("config.toml", "data.json", "model.safetensors", "baselines.safetensors", "metrics.json"),
        *("state.safetensors", "history.csv", "logs", "report.html", "plots"),
    }


def test_the_page_has_translations_and_plots(folder: Path) -> None:
    page = (folder / "run" / "report.html").read_text()
    rows = [line.split("\t") for line in (folder / "run/plots/translations.tsv").read_text().splitlines()]
    assert len(rows) == 21 and rows[0] == ["source", "translation", "reference"]
    assert rows[1][0] in page and "nrefs:1|case:mixed" in page
    assert page.count("data:image/png") == 3


# -- prediction ------------------------------------------------------------------------------------


def written(model: Translator, data: Path | None, **options: Any) -> str:
    return "".join(write_predictions(model, data, Prediction(**options)))


def test_lines_stay_in_order_and_empty_ones_stay_empty(
    model: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    numbers = [random.integers(6, size=random.integers(0, 4)).tolist() for _ in range(700)]
    text = "".join(f"{sentence(each)[0]}\n" for each in numbers)
    alone = {source: model.predict([source])[0] for source in sorted(set(text.splitlines()))[:20]}
    give_stdin(monkeypatch, text.encode())
    lines = written(model, None).split("\n")
    assert len(lines) == 701 and lines[-1] == ""
    for source, line in zip(text.splitlines(), lines, strict=False):
        assert bool(source) == bool(line)
        assert line == alone.get(source, line)
    right = sum(line == sentence(each)[1] for line, each in zip(lines, numbers, strict=False))
    assert right > 650
    (tmp_path / "in.txt").write_text(text)
    assert written(model, tmp_path / "in.txt").split("\n") == lines
    give_stdin(monkeypatch, text.encode())
    assert written(model, Path("-")).split("\n") == lines


def test_a_translation_does_not_wait_for_the_next_sentence(folder: Path) -> None:
    command = [sys.executable, "-m", "holdfast", "predict", str(folder / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        for source, target in (("eins zwei", "two one"), ("", ""), ("vier", "four")):
            process.stdin.write(f"{source}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{target}\n"
        process.stdin.close()
        assert process.wait() == 0


def test_sentences_that_are_too_long_are_cut_and_reported(model: Translator, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("eins zwei\n" + "eins " * 150 + "\n")
    assert written(model, tmp_path / "in.txt").startswith("two one\n")
    assert model.notes == ("sources cut after 100 tokens (--max-length): 1",)


def test_n_best(model: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"eins zwei\n\ndrei vier\n")
    rows = [line.split("\t") for line in written(model, None, n_best=3, beam=4).splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3 + ["2"] + ["3"] * 3
    assert rows[0][2] == "two one" and rows[4][2] == "four three" and rows[3][2] == ""
    scores = [float(row[1]) for row in rows]
    assert scores[:3] == sorted(scores[:3], reverse=True)


def test_samples_depend_on_the_seed(model: Translator) -> None:
    def sampled(**options: Any) -> list[str]:
        return model.predict(["eins zwei drei vier fünf"] * 20, sample=True, **options)

    assert (
        sampled(temperature=3.0, seed=1)
        == sampled(temperature=3.0, seed=1)
        != sampled(temperature=3.0, seed=2)
    )
    assert len(set(sampled(temperature=3.0))) > 5
    assert set(sampled(temperature=0.0)) == set(model.predict(["eins zwei drei vier fünf"], beam=1))


def test_the_attention_is_plotted(model: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"eins zwei\n$x$ drei\n")
    assert written(model, None, plot=tmp_path / "a.png").count("\n") == 2
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_words_are_copied_from_the_attended_position(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [f"N{i}" for i in range(400)]
    rows = []
    for _ in range(1200):
        a, b = random.choice(["eins", "zwei"]), random.choice(names)
        rows.append(f"{a} {b}\t{b} {'one' if a == 'eins' else 'two'}\n")
    (tmp_path / "pairs.tsv").write_text("".join(rows))
    model = Translator(vocabulary=16, epochs=6, **SMALL).fit(tmp_path / "pairs.tsv")
    assert any("unknown" in note for note in model.metrics["notes"])
    assert model.predict(["eins Xaver", "zwei Yvonne"]) == ["Xaver one", "Yvonne two"]


# -- data ------------------------------------------------------------------------------------------


def test_dropped_duplicate_and_unknown_words_are_reported(tmp_path: Path) -> None:
    rows = [*[f"a{i} b\tA{i} B\n" for i in range(30)], "lang " * 40 + "\tlong\n"]
    (tmp_path / "train.tsv").write_text("".join(rows))
    (tmp_path / "valid.tsv").write_text("a1 b\tA1 B\nneu\tB\n" + "b " * 21 + "\tB\n")
    config = Translator(token="word", max_length=20, split="0.9/0.1/0").config
    found = read_dataset(config, tmp_path / "train.tsv", tmp_path / "valid.tsv")
    assert found.notes == (
        "training pairs longer than 20 tokens, left out: 1",
        "sources of the validation split cut after 20 tokens: 1",
        "validation pairs that are training pairs as well: 1 of 3",
        "4.17% of the validation split's source words are unknown",
    )
    assert len(found.train) == 30 and found.test is None


def test_a_translation_may_be_as_long_as_in_training(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("".join(f"{i}\t{'x' * i}\n" for i in range(20, 50)))
    found = read_dataset(Translator(token="character", split="rest/1/0").config, tmp_path / "train.tsv")
    most = max(len(target) for target in found.train.targets)
    assert found.preprocessing.longest(np.zeros(2, np.int64), 100) == most
    again = PairPreprocessing.from_dict(json.loads(json.dumps(found.preprocessing.to_dict())), tmp_path)
    assert [again.longest(np.zeros(n, np.int64), 100) for n in (0, 2)] == [10, most]
    assert again.longest(np.zeros(20, np.int64), 15) == 10 + 40  # twice as long


def test_vocabularies_are_fitted_on_the_training_split_only(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("".join(f"a{i}\tA{i}\n" for i in range(50)))
    (tmp_path / "valid.tsv").write_text("nur hier\tonly here\n")
    config = Translator(token="word").config
    found = read_dataset(config, tmp_path / "train.tsv", tmp_path / "valid.tsv", tmp_path / "valid.tsv")
    assert not {"nur", "hier", "only", "here"} & set(found.preprocessing.source.tokens.state())
    few = found.fraction(0.2)
    assert [s for s, _ in few.train.pairs] == [f"a{i}" for i in range(40, 50)]


def test_splits_cut_from_the_data_share_no_sentence(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pairs = {(f"s{random.integers(300)}", f"t{random.integers(300)}") for _ in range(150)}
    (tmp_path / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in sorted(pairs)))
    for split, most in (("0.8/0.1/0.1", None), ("rest/10/20", (10, 20))):
        found = read_dataset(Translator(token="word", split=split).config, tmp_path / "pairs.tsv")
        assert found.test is not None
        splits = [found.train.pairs, found.valid.pairs, found.test.pairs]
        assert sum(map(len, splits)) == len(pairs)
        for side in ("sources", "targets"):
            seen = [set(getattr(one, side)) for one in splits]
            assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
        if most:
            assert (len(set(splits[1].targets)), len(set(splits[2].targets))) == most


def test_a_split_below_one_leaves_pairs_out(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"s{i}\tt{i}\n" for i in range(100)))
    found = read_dataset(Translator(token="word", split="0.3/0.2/0.1").config, tmp_path / "pairs.tsv")
    assert found.test is not None
    assert [len(found.train), len(found.valid), len(found.test)] == [30, 20, 10]


@pytest.mark.parametrize("unit", ["subword", "word", "character"])
@pytest.mark.parametrize("lower", [False, True])
def test_sentences_survive_the_vocabulary(unit: str, lower: bool, tmp_path: Path) -> None:
    text = ["Ein Mann, der lacht.", "Zwei große Hunde!", "(Wo?) Da: 1984."]
    own = SentenceTokenizer.fit(text, unit, 300, lower)
    again = SentenceTokenizer.from_dict(json.loads(json.dumps(own.to_dict())), tmp_path)
    for one in (own, again):
        for sentence in text:
            numbers = one.encode(sentence).tolist()
            assert one.end not in numbers
            assert one.decode(numbers) == (sentence.lower() if lower else sentence)
            assert len(one.names(numbers)) == len(numbers)
        assert [one.encode(nothing).tolist() for nothing in ("", " \t")] == [[], []]


def test_a_shared_vocabulary_is_one(folder: Path) -> None:
    found = read_dataset(
        Translator(pair="de-en", shared=True, vocabulary=300).config, folder / "train", folder / "val"
    )
    assert found.preprocessing.source is found.preprocessing.target
    assert "source" not in found.preprocessing.to_dict()


# -- resuming --------------------------------------------------------------------------------------


def test_an_interrupted_run_resumes_to_the_same_result(folder: Path, tmp_path: Path) -> None:
    fields = SMALL | {"pair": "de-en", "epochs": 2, "sampling": 0.3, "hidden_size": 8}
    files = {"valid": folder / "val", "test": folder / "test"}
    whole = Translator(**fields).fit(folder / "train", **files)
    begun = Translator(**fields)
    steps = 0
    make = begun.trainable

    def interrupting(module: Any, dataset: Any) -> Any:
        training = make(module, dataset)
        loss = training.loss

        def counted(batch: Any) -> torch.Tensor:
            nonlocal steps
            steps += 1
            if steps == training.steps_per_epoch + 3:
                signal.raise_signal(signal.SIGINT)
            return loss(batch)

        training.loss = counted  # type: ignore[method-assign]
        return training

    begun.trainable = interrupting  # type: ignore[method-assign]
    begun.fit(folder / "train", **files, out=tmp_path / "run")
    assert begun.history is not None and begun.history.stopped == "interrupted"
    with pytest.raises(UserError, match="stopped before its end"):
        load(tmp_path / "run")
    other = Translator(**fields | {"hidden_size": 9})
    with pytest.raises(UserError, match="settings differ"):
        other.fit(folder / "train", **files, out=tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="data differ"):
        Translator(**fields).fit(folder / "val", **files, out=tmp_path / "run", resume=True)
    resumed = Translator(**fields).fit(folder / "train", **files, out=tmp_path / "run", resume=True)
    for name, tensor in whole.module.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, resumed.module.state_dict()[name]), name  # type: ignore[union-attr]
    assert {**whole.metrics["model"]} == {**resumed.metrics["model"]}


def test_cells_can_be_compared(folder: Path) -> None:
    from holdfast.experiments.compare import compare
    from holdfast.files import DataFiles

    config = Translator(pair="de-en", epochs=1, **SMALL).config
    found = compare("translate", config, DataFiles(folder / "val"), cells=("rnn", "gru"), seeds=1)
    assert [run["cell"] for run in found.runs] == ["rnn", "gru"]
    assert set(found.baselines) == {"copy", "word_by_word"}


def test_the_real_captions_are_read(shared_data: Any) -> None:
    folder = shared_data("multi30k/train.de").parent
    config = Translator(pair="de-en", lower=True, vocabulary=1000).config
    found = read_dataset(config, folder / "val", folder / "test_2016_flickr", folder / "test_2017_flickr")
    assert (len(found.train), len(found.valid), len(found.test or ())) == (1014, 1000, 1000)
