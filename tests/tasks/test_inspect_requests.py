"""Inspection requests of each task: steps, features, score and loss."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from commands import refused
from holdfast.cli import main
from holdfast.data.music.piano_roll import LOWEST
from holdfast.errors import UserError
from holdfast.insight.analysis import summary
from holdfast.insight.analysis.inspection import analyze
from holdfast.insight.analysis.memory import memory_curve
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Score
from holdfast.insight.analysis.results import Attribution, Inspection, Steps
from holdfast.tasks.classify.task import SequenceClassifier
from holdfast.tasks.forecast import inspect as forecast_inspect
from holdfast.tasks.forecast.inspect import WINDOWS
from holdfast.tasks.forecast.task import Forecaster
from holdfast.tasks.language.task import LanguageModel
from holdfast.tasks.music.features import event_features, frame_features
from holdfast.tasks.music.task import Composer
from holdfast.tasks.registry import TASKS
from holdfast.tasks.speech import spectral_features
from holdfast.tasks.speech.inspect import _log_odds
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.tasks.speech.trainable import log_probabilities, mean_nats
from holdfast.tasks.translate.inspect import END
from holdfast.tasks.translate.task import Translator
from labelled import file, series, texts
from musical import folder_of, tiny
from sounds import tone
from sounds import write as write_sound
from tones import SMALL as SPOKEN
from tones import write as write_sounds

QUICK: dict[str, Any] = {"hidden_size": 6, "epochs": 1, "batch_size": 16, "device": "cpu"}
STEPS = 30


class Case(NamedTuple):
    """A trained model, a file to inspect it on, and its run folder."""

    model: Any
    data: Path
    run: Path


def hours(folder: Path, rows: int = 300) -> Path:
    """Return hourly temperature and wind, from a Monday on."""
    rng = np.random.default_rng(0)
    day = np.sin(2 * np.pi * np.arange(rows) / 24)
    start = np.datetime64("2024-01-01T00:00:00")
    times = [str(start + np.timedelta64(k, "h")).replace("T", " ") for k in range(rows)]
    table = {"time": times, "temp": 10 + 5 * day + rng.normal(size=rows), "wind": rng.normal(size=rows)}
    pl.DataFrame(table).write_csv(folder / "hours.csv")
    return folder / "hours.csv"


def forecast(folder: Path) -> tuple[Any, Path]:
    settings = {"horizon": 6, "lookback": 48, "season": 24, "past": ("wind",), "cell": "lstm"}
    return Forecaster(target="temp", **settings, **QUICK), hours(folder)


def segments(folder: Path) -> tuple[Any, Path]:
    settings = {"horizon": 6, "lookback": 50, "segment": 8, "season": 24}
    return Forecaster(target=("temp", "wind"), model="segment", **settings, **QUICK), hours(folder)


def language(folder: Path) -> tuple[Any, Path]:
    words = random.Random(0).choices(["the", "a", "dog", "cat", "saw", "ran", "and", "under", "over"], k=60)
    path = file(folder, "text.txt", " ".join(words) + ".\n")
    return LanguageModel(token="character", steps=16, **{**QUICK, "batch_size": 2}), path


def sentences(folder: Path) -> tuple[Any, Path]:
    return SequenceClassifier(text="text", embedding_size=6, **QUICK), file(folder, "said.csv", texts())


def measured(folder: Path) -> tuple[Any, Path]:
    settings = {"series": "series", "step": "step", "cell": "rnn"}
    return SequenceClassifier(embedding_size=6, **settings, **QUICK), file(folder, "xy.csv", series())


def translate(folder: Path) -> tuple[Any, Path]:
    rng, rows = random.Random(0), []
    for _ in range(80):
        words = rng.choices("abcdefgh", k=rng.randint(2, 6))
        rows.append(f"{' '.join(words)} .\t{' '.join(w.upper() for w in reversed(words))} .\n")
    settings = {"token": "word", "embedding_size": 6, "dropout": 0.0, "device": "cpu", "batch_size": 100}
    return Translator(hidden_size=6, epochs=1, **settings), file(folder, "pairs.tsv", "".join(rows))


def speech(folder: Path) -> tuple[Any, Path]:
    path = write_sounds(folder, "all", 40, 0)
    return SpeechRecognizer(**{**SPOKEN, "epochs": 3, "hidden_size": 12, "num_layers": 2}), path


def rolls(folder: Path) -> tuple[Any, Path]:
    return Composer(**tiny(steps_per_beat=2, hidden_size=6)), folder_of(folder / "midi")


def events(folder: Path) -> tuple[Any, Path]:
    return Composer(**tiny("events", steps_per_beat=2, hidden_size=6)), folder_of(folder / "midi")


CASES: dict[str, Callable[[Path], tuple[Any, Path]]] = {
    "forecast": forecast, "segments": segments, "language": language, "sentences": sentences, "measured": measured,
    "translate": translate, "speech": speech, "rolls": rolls, "events": events,
}  # fmt: skip


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Return a case by its name; it is trained at the first call."""
    made: dict[str, Case] = {}

    def of(name: str) -> Case:
        if name not in made:
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp(name)
            model, data = CASES[name](folder)
            made[name] = Case(model.fit(data, out=folder / "run"), data, folder / "run")
        return made[name]

    return of


def looked(one: Case, data: Path | None = None, steps: int = STEPS) -> list[InspectionRequest]:
    found: list[InspectionRequest] = one.model.inspections(data or one.data, steps)
    return found


# -- every task ------------------------------------------------------------------------------------


def test_every_task_can_be_inspected(case: Callable[[str], Case]) -> None:
    assert {case(name).model.task for name in CASES} == set(TASKS)


@pytest.mark.parametrize("name", CASES)
def test_everything_is_measured(case: Callable[[str], Case], name: str) -> None:
    for subject in looked(case(name)):
        found = analyze(subject)
        assert found.layers and not [note for note in found.notes if "could not" in note]
        steps = len(subject.steps)
        for one in found.layers:
            assert {values.shape[0] for values in one.activations.values()} == {steps}
        assert all(values.shape == (steps,) for values in subject.steps.features.values())
        assert subject.feature_batch is not None or name == "language"
        if subject.feature_batch is not None:
            assert set(subject.feature_batch.features) == set(subject.steps.features)
        if subject.steps.rows is not None:
            assert subject.steps.rows.shape == (len(subject.steps.row_names), steps)
        assert found.memory is not None and found.memory.agreement < 0.1
        assert len(found.gradients) == len(found.layers)
        assert found.attribution is not None and found.attribution.integrated.shape == (steps,)
        assert found.attribution.incomplete < 0.05 and found.attribution.agreement > 0.5
        assert found.ablation is not None and found.ablation.loss > 0
        kinds = {cut.kind for cut in found.ablation.components}
        assert kinds == {"layer", "unit"} | ({"gate"} if found.layers[0].gates else set())
        assert any(abs(cut.loss - found.ablation.loss) > 1e-9 for cut in found.ablation.components)


def loss(one: Case) -> float:
    given = looked(one)[0].loss
    assert given is not None
    return given.of()


@pytest.mark.parametrize(
    ("name", "metric"),
    [("forecast", "mae"), ("segments", "mae"), ("rolls", "nll_per_frame"), ("events", "nll_per_token"),
     ("language", "nats_per_token")],
)  # fmt: skip
def test_the_loss_is_the_metric_of_an_evaluation(case: Callable[[str], Case], name: str, metric: str) -> None:
    one = case(name)
    wanted = one.model.evaluate(one.data)["model"][metric]
    assert loss(one) == pytest.approx(wanted, rel=0.02 if name in ("forecast", "segments") else 1e-5)


def test_the_loss_of_translations_is_their_perplexity(case: Callable[[str], Case]) -> None:
    one = case("translate")
    assert exp(loss(one)) == pytest.approx(one.model.evaluate(one.data)["model"]["perplexity"], rel=1e-4)


@pytest.mark.parametrize("name", ["sentences", "measured"])
def test_the_loss_of_records_is_their_cross_entropy(case: Callable[[str], Case], name: str) -> None:
    one = case(name)
    frame = one.model.predict(one.data)
    table = pl.read_csv(one.data)
    labels = (
        table["label"]
        if name == "sentences"
        else table.group_by("series", maintain_order=True).first()["label"]
    )
    wanted = -np.mean([log(row[f"p_{label}"]) for row, label in zip(frame.iter_rows(named=True), labels)])
    assert loss(one) == pytest.approx(wanted, rel=1e-5)


def test_the_loss_of_sounds_is_that_of_their_texts(case: Callable[[str], Case]) -> None:
    one = case("speech")
    given = looked(one)[0].loss
    read, _ = one.model.read_split(one.data)
    chosen = np.unique(np.linspace(0, len(read) - 1, 32).round().astype(int)).tolist()
    some = read.select(chosen)
    cut = [own[: 2 * STEPS] for own in some.frames]
    assert given is not None
    assert given.of() == pytest.approx(
        mean_nats(log_probabilities(one.model.module, cut), some.tokens), rel=1e-5
    )


# -- steps and features ----------------------------------------------------------------------------


def test_a_window_is_described_by_its_hours_and_values(case: Callable[[str], Case]) -> None:
    one = case("forecast")
    (subject,) = looked(one)
    steps, table = subject.steps, pl.read_csv(one.data)
    last = slice(300 - 6 - 48, 300 - 6)
    assert steps.kind == "hour" and list(steps.row_names) == ["temp", "wind"]
    assert steps.rows == pytest.approx(table.select("temp", "wind").to_numpy()[last].T)
    # row 246 is ten days and six hours after a Monday at midnight
    assert steps.labels[0] == f"Thu 06:00 {table['temp'][246]:.4g}"
    assert steps.features["hour of the day (sine)"][0] == pytest.approx(1.0)
    assert steps.features["hour of the day (cosine)"][6] == pytest.approx(-1.0)
    assert steps.features["day of the week (cosine)"][[0, 18]] == pytest.approx(
        np.cos(2 * np.pi * np.array([3, 4]) / 7)  # Thursday, Friday; Monday is 0
    )
    assert {"day of the week", "month", "month (sine)"}.isdisjoint(
        steps.features
    )  # numbers; a window of hours
    assert steps.features["weekend"][[0, 42]].tolist() == [0.0, 1.0]
    change = steps.features["change of temp"]
    assert np.isnan(change[0]) and change[1] == pytest.approx(table["temp"][247] - table["temp"][246])
    assert subject.batch is not None and len(subject.batch()) == WINDOWS


def test_the_score_of_a_window_is_its_forecast(case: Callable[[str], Case], tmp_path: Path) -> None:
    one = case("forecast")
    pl.read_csv(one.data).head(294).write_csv(tmp_path / "until.csv")
    wanted = one.model.predict(tmp_path / "until.csv")["forecast"][-1]
    (subject,) = looked(one)
    assert subject.score is not None and subject.score.name == "forecast of temp, 6 hours ahead"
    assert subject.score.of(subject.run()).item() == pytest.approx(wanted, rel=1e-5)


def test_a_window_alone_has_no_loss(case: Callable[[str], Case], tmp_path: Path) -> None:
    one = case("forecast")
    pl.read_csv(one.data).tail(50).write_csv(tmp_path / "short.csv")
    (subject,) = looked(one, tmp_path / "short.csv")
    assert subject.loss is None and any("too few rows" in note for note in subject.notes)
    assert len(analyze(subject).steps) == 48


def test_december_is_next_to_january() -> None:
    days = np.array(["2015-12-31", "2016-01-01", "2016-07-01"], "datetime64[us]")
    found = forecast_inspect.step_features(days, np.zeros((3, 1)), ["x"], "day")
    near = np.stack([found["month (sine)"], found["month (cosine)"]])
    assert np.hypot(*(near[:, 0] - near[:, 1])) == pytest.approx(2 * np.sin(np.pi / 12))
    assert np.hypot(*(near[:, 2] - near[:, 1])) == pytest.approx(2)


def test_segments_are_described_by_their_begin_and_mean(case: Callable[[str], Case]) -> None:
    one = case("segments")
    (subject,) = looked(one)
    temp = pl.read_csv(one.data)["temp"].to_numpy()[300 - 6 - 48 : 300 - 6].reshape(6, 8)
    assert subject.steps.rows == pytest.approx(temp.T)
    assert subject.steps.labels[0] == f"from Thu 06:00, mean {temp[0].mean():.4g}"
    assert subject.steps.kind == "segment"


def test_the_first_records_of_texts(case: Callable[[str], Case], tmp_path: Path) -> None:
    one = case("sentences")
    path = file(tmp_path, "new.csv", "text\nThe film was FINE.\nzebra play\n")
    first, second = looked(one, path)
    assert (first.name, second.name) == ("record-1", "record-2")
    assert list(first.steps.labels) == ["the", "film", "was", "fine", "."] and first.steps.kind == "word"
    assert second.steps.features["unknown word"].tolist() == [1.0, 0.0]
    assert first.steps.features["position in the sentence"].tolist() == [1, 2, 3, 4, 5]
    assert first.loss is None and any("no column 'label'" in note for note in first.notes)
    assert any("short: 5 steps" in note for note in first.notes)
    row = one.model.predict(path).row(0, named=True)
    assert first.score is not None and row["label"] in first.score.name
    assert first.score.of(first.run()).item() == pytest.approx(log(row[f"p_{row['label']}"]), rel=1e-4)


def test_the_first_records_of_series(case: Callable[[str], Case]) -> None:
    one = case("measured")
    first, second = looked(one, steps=3)
    rows = pl.read_csv(one.data).filter(pl.col("series") == "s0")
    assert list(first.steps.row_names) == ["x", "y"] and first.steps.kind == "step"
    assert first.steps.rows == pytest.approx(rows.select("x", "y").to_numpy()[:3].T)
    assert first.steps.features["change of x"][1] == pytest.approx(rows["x"][1] - rows["x"][0], abs=1e-5)
    assert len(second.steps) == 3
    assert rows.height == 3 or any("the first 3 are read" in note for note in first.notes)


def test_both_sides_of_a_translation(case: Callable[[str], Case]) -> None:
    one = case("translate")
    source, target = (side.split() for side in one.data.read_text().splitlines()[0].split("\t"))
    encoder, decoder = looked(one)
    assert [*source, END] == encoder.steps.labels and [END, *target] == decoder.steps.labels
    assert encoder.steps.features["words to the end"][-1] == 0
    assert encoder.layers == ("encoder",) and decoder.layers == ("decoder",)
    names = [[found.name for found in analyze(side).layers] for side in (encoder, decoder)]
    assert all("encoder" in name for name in names[0]) and names[1][0] == "decoder, layer 1"
    assert encoder.score is not None and encoder.score.step is None, "it is of a word of the other side"
    assert encoder.score is not None and encoder.score.name.startswith("log-probability of")
    assert encoder.score.of(encoder.run()).item() < 0


def test_sentences_alone_are_inspected_with_the_models_translation(
    case: Callable[[str], Case], tmp_path: Path
) -> None:
    one = case("translate")
    (written,) = one.model.predict(["a b c ."])
    path = file(tmp_path, "alone.txt", "a b c .\n")
    if not written:
        with pytest.raises(UserError, match="none that the model translates"):
            looked(one, path)
        return
    _, decoder = looked(one, path)
    assert [END, *written.replace(".", " .").split()] == decoder.steps.labels
    assert decoder.loss is None and any("model's own" in note for note in decoder.notes)


def test_an_autoregressive_decoder_is_left_out(tmp_path: Path) -> None:
    _, data = translate(tmp_path)
    settings = {"token": "word", "embedding_size": 6, "device": "cpu", "input_feeding": True}
    model = Translator(hidden_size=6, epochs=1, **settings).fit(data)
    (encoder,) = looked(Case(model, data, tmp_path))
    assert encoder.name == "encoder" and any("input-feeding" in note for note in encoder.notes)
    assert analyze(encoder).attribution is not None


def test_frames_of_a_sound(case: Callable[[str], Case], tmp_path: Path) -> None:
    one = case("speech")
    (subject,) = looked(one, steps=20)
    assert len(subject.steps) == 20 and subject.steps.labels[1].startswith("0.02 s")
    assert subject.steps.row_names == spectral_features.row_names(8000, 24)
    assert set(subject.steps.features) >= {"energy", "spectral centroid", "silence", "time"}
    (whole,) = looked(one, one.data.parent / "all" / "0.wav", 1000)
    assert whole.loss is None and any("no transcripts" in note for note in whole.notes)
    assert whole.extra_plots is not None
    (plot,) = whole.extra_plots(tmp_path)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_score_of_a_sound_is_the_log_odds_of_a_token(case: Callable[[str], Case]) -> None:
    (subject,) = looked(case("speech"))
    assert subject.score is not None and subject.score.name.startswith("log odds of")
    answer = subject.run()
    odds = answer[0].double()[:, 0].exp() / (1 - answer[0].double()[:, 0].exp())
    assert (odds.log() - subject.score.of(answer).double()).abs().min() < 1e-4
    sure = torch.tensor([-1e-9, -30.0, -20.0])  # log p rounds to nothing here
    assert float(_log_odds(sure, 0)) == pytest.approx(20 - log(1 + exp(-10)), rel=1e-6)


def test_loud_and_high_frames_are_features() -> None:
    quiet, low, high = np.full(4, 0.0), np.array([10.0, 0, 0, 0]), np.array([0, 0, 0, 10.0])
    found = spectral_features.features(np.array([quiet, low, high]), True, 0.01)
    assert found["silence"].tolist() == [1.0, 0.0, 0.0]
    assert found["spectral centroid"] == pytest.approx([2.5, 1.0, 4.0], abs=1e-3)
    assert found["energy"][1] == pytest.approx(0.0, abs=1e-3) and found["change of the energy"][
        2
    ] == pytest.approx(0)
    assert list(spectral_features.features(np.zeros((2, 3)), False, 0.01)) == [
        "time",
        "feature 1",
        "feature 2",
        "feature 3",
    ]


def test_frames_of_a_roll(case: Callable[[str], Case], tmp_path: Path) -> None:
    (subject,) = looked(case("rolls"), steps=10)
    assert list(subject.steps.labels[:3]) == ["bar 1, beat 1", "bar 1, beat 1 + 1/2", "bar 1, beat 2"]
    assert subject.steps.labels[8] == "bar 2, beat 1" and subject.steps.kind == "frame"
    pieces = case("rolls").model.read_split(case("rolls").data)[0].pieces
    roll = pieces[0].roll[:10]
    assert subject.steps.features["highest pitch"].tolist() == [
        np.flatnonzero(row)[-1] + LOWEST for row in roll
    ]
    assert subject.extra_plots is not None
    (plot,) = subject.extra_plots(tmp_path)
    assert plot.read_bytes().startswith(b"\x89PNG")
    silent = frame_features(np.zeros((2, 88), bool), 2, 8)
    assert np.isnan(silent["mean pitch"]).all() and silent["number of notes"].tolist() == [0, 0]


def test_tokens_of_a_piece(case: Callable[[str], Case]) -> None:
    one = case("events")
    vocabulary = one.model.preprocessing.vocabulary
    names = ["EOS_None", "Bar_None", "TimeSig_4/4", "Position_3", "Program_1", "Pitch_60", "Velocity_79",
             "Duration_1.1.2", "Position_4"]  # fmt: skip
    ids = np.array([vocabulary.names.index(name) for name in names])
    labels, found = event_features(ids, vocabulary)
    voice = vocabulary.voices[1].name
    assert labels == [
        "begin",
        "bar 1",
        "4/4",
        "beat 2 + 1/2",
        voice,
        "C4",
        "velocity 79",
        "1.5 beats",
        "beat 3",
    ]
    assert found["position in the bar"].tolist() == [0, 0, 0, 1.5, 1.5, 1.5, 1.5, 1.5, 2.0]
    assert np.isnan(found["pitch"][4]) and found["pitch"][5:].tolist() == [60.0] * 4
    assert found["length"][7] == 1.5 and found["notes at this position"].tolist()[5:] == [1, 1, 1, 0]
    assert found["pitch token"].tolist() == [float(name == "Pitch_60") for name in names]
    (subject,) = looked(one, steps=10)
    assert list(subject.steps.labels[:2]) == ["begin", "bar 1"] and subject.steps.kind == "token"
    assert subject.score is not None and subject.score.name.endswith(
        ("as the next frame", "as the next token")
    )


# -- layers by name, several sequences -------------------------------------------------------------


class Pair(nn.Module):
    """A layer that reads numbers, and one that starts from its state and reads others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.GRU(3, 5), nn.GRU(2, 5)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.second(y, self.first(x)[1])[0]
        return found


def test_only_the_layers_that_are_named_are_measured() -> None:
    model, x, y = Pair(), torch.randn(30, 1, 3), torch.randn(20, 1, 2)
    labels = [str(k) for k in range(20)]
    subject = InspectionRequest(
        "pair", model, lambda: model(x, y), Steps(labels), Score("s", lambda a: a[-1, 0, 0])
    )
    found = analyze(replace(subject, layers=("second",)))
    assert [one.name for one in found.layers] == ["second"] == [flow.name for flow in found.gradients]
    state = model.first(x)[1].detach()
    alone = memory_curve(model.second, lambda: model.second(y, state))
    assert found.memory is not None and found.memory.jacobian == pytest.approx(alone.jacobian)
    attribution = found.attribution
    assert attribution is not None and attribution.integrated.shape == (20,)
    change = model(x, y)[-1, 0, 0] - model(x, y.mean(0, keepdim=True).expand_as(y))[-1, 0, 0]
    assert attribution.integrated.sum() == pytest.approx(change.item(), rel=1e-3)
    with pytest.raises(UserError, match="among: first, second"):
        analyze(replace(subject, layers=("third",)))


def test_a_unit_is_found_in_several_short_sequences() -> None:
    layer = nn.RNN(2, 3)
    x = torch.randn(5, 20, 2)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0.zero_()
        layer.weight_ih_l0[1, 0] = 0.5
    values = x[:, :, 0].double().numpy().copy()
    values[4, :7] = np.nan  # as if some sequences were shorter
    steps = Steps([str(k) for k in range(5)], features={"it": values[:, 0]})
    subject = InspectionRequest("short", layer, lambda: layer(x[:, :1]), steps)
    assert not analyze(subject).feature_units
    (one,) = analyze(
        replace(subject, feature_batch=FeatureBatch(lambda: layer(x), {"it": values}))
    ).feature_units
    assert (one.unit, one.state, one.feature) == (1, "hidden", "it") and one.confirmed > 0.95


def test_a_text_uses_occlusion_if_gradients_miss_the_change() -> None:
    steps = Steps(["a", "b", "c"])
    missed = Attribution("answer", np.array([9.0, 0, 0]), np.array([0, 0, 1.0]), 0.1, 2.0)
    (words,) = summary.sentences(Inspection("title", steps, [], attribution=missed))
    assert "(occlusion): step c (0 back)" in words and "too much to rely on them" in words
    (words,) = summary.sentences(Inspection("title", steps, [], attribution=replace(missed, incomplete=0.01)))
    assert "(integrated gradients): step a (2 back)" in words


# -- bad input -------------------------------------------------------------------------------------

BAD: dict[str, tuple[str, str, tuple[str, str, str]]] = {
    "forecast": ("a.csv", "time,wind\n2024-01-01,1\n2024-01-02,2\n", ("target", "'temp' is not", "rename")),
    "segments": (
        "a.csv",
        "time,temp,wind\n2024-01-01T00:00,1,1\n2024-01-01T01:00,2,2\n",
        ("a look-back of 50 rows", "has 2", "more rows of the past"),
    ),
    "language": ("a.txt", "x", ("2 tokens", "has 1", "longer")),
    "sentences": ("a.csv", "said\nhello\n", ("--text must name a column", "'text' is not", "--text")),
    "measured": ("a.csv", "series,step,x,label\ns0,0,1,up\ns0,1,2,up\n", ("x, y", "has x", "rename")),
    "translate": ("a.tsv", "", ("have a sentence", "has none", "another file")),
    "speech": ("a.tsv", "path\ttext\nno.wav\tone\n", ("must exist", "no.wav", "correct or remove")),
    "rolls": ("a.mid", "no music", ("a MIDI file", "MThd", "export")),
    "events": ("a.mid", "no music", ("a MIDI file", "MThd", "export")),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_inspections_are_refused(
    case: Callable[[str], Case], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called, content, expected = BAD[name]
    path = file(tmp_path, called, content)
    refused(capsys, ["inspect", case(name).run, path, "--out", tmp_path / "out"], expected)
    assert not (tmp_path / "out").exists()


def test_a_sound_without_frames_is_refused(
    case: Callable[[str], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sound(tmp_path / "short.wav", tone(0.01, 8000), 8000)
    refused(capsys, ["inspect", case("speech").run, path], ("25 ms", "short.wav is shorter", "longer"))


@pytest.mark.slow
def test_the_command_writes_a_page_and_plots_of_each_side(
    case: Callable[[str], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, out = case("translate"), tmp_path / "out"
    assert main(["inspect", str(one.run), str(one.data), "--out", str(out)]) == 0
    for side in ("encoder", "decoder"):
        assert (out / side / "report.html").exists() and list((out / side).glob("*.png"))
    assert (out / "decoder" / "attention.png").exists()
    assert capsys.readouterr().out.count("Measured memory") == 2
