"""The speech recognizer from files to text, on a language of tones."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from commands import give_stdin
from holdfast.cli import main
from holdfast.data.audio.sound_files import read_blocks
from holdfast.errors import UserError
from holdfast.files import load_json
from holdfast.tasks.language.task import LanguageModel
from holdfast.tasks.registry import load
from holdfast.tasks.speech.config import DecodingConfig
from holdfast.tasks.speech.metrics import score
from holdfast.tasks.speech.segments import LONGEST
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.tasks.speech.trainable import UtteranceTraining
from tones import GAP, RATE, SMALL, WORD, spoken, write

LIVE = {**SMALL, "bidirectional": False, "normalize": "running", "subsampling": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech")
    for name, count, seed in (("train", 120, 0), ("valid", 20, 1), ("test", 20, 2)):
        write(path, name, count, seed)
    for name, settings in (("both", SMALL), ("live", LIVE)):
        torch.manual_seed(0)
        SpeechRecognizer(**settings).fit(
            path / "train.tsv", valid=path / "valid.tsv", test=path / "test.tsv", out=path / name
        )
    return path


def texts(manifest: Path) -> list[str]:
    return [line.split("\t")[1] for line in manifest.read_text().splitlines()[1:]]


@pytest.mark.parametrize("name", ["both", "live"])
def test_it_learns_to_transcribe(folder: Path, name: str) -> None:
    metrics = load_json(folder / name / "metrics.json")
    assert metrics["model"]["wer"] < 0.05 and metrics["split"] == "test"
    assert metrics["baselines"]["most_frequent"]["wer"] > 0.5
    assert metrics["model"]["real_time_factor"] > 0 and metrics["sound_seconds"] > 1
    found = load(folder / name).predict(folder / "test.tsv")
    assert score(found, texts(folder / "test.tsv"))["wer"] == metrics["model"]["wer"]


def test_a_loaded_model_transcribes_the_same(folder: Path) -> None:
    model = load(folder / "both")
    scored = model.evaluate(folder / "test.tsv")
    before = load_json(folder / "both" / "metrics.json")
    assert scored["model"]["wer"] == before["model"]["wer"]
    assert scored["baselines"] == before["baselines"]
    assert scored["utterances"] == 20 and scored["words"] == sum(
        len(t.split()) for t in texts(folder / "test.tsv")
    )


def test_streaming_equals_whole_recordings(folder: Path) -> None:
    model = load(folder / "live")
    for settings in (DecodingConfig(), DecodingConfig(lm="ngram"), DecodingConfig(beam=4)):
        whole = dict(enumerate(model.predict(folder / "test.tsv", **vars(settings))))
        for number, text in whole.items():
            stream = model.streaming_recognizer(settings)
            found = [
                segment
                for block in read_blocks(folder / "test" / f"{number}.wav", stream.rate, 0.037)
                for segment in stream.accept(block)
            ]
            found += stream.finish()
            assert " ".join(segment.text for segment in found) == text


def test_streaming_metrics_are_those_of_files(folder: Path) -> None:
    result = load(folder / "live").evaluate(folder / "test.tsv", live=True)
    assert result["live"]["wer"] == result["model"]["wer"]


def test_words_have_their_times(folder: Path) -> None:
    model, checked = load(folder / "both"), 0
    for number, text in enumerate(texts(folder / "test.tsv")):
        ((_, segments),) = model.stream(folder / "test" / f"{number}.wav", DecodingConfig())
        words = [word for segment in segments for word in segment.words]
        if [word.text for word in words] != text.split():
            continue
        checked += 1
        for place, word in enumerate(words):
            begin = GAP + place * (GAP + WORD)
            assert begin - 0.1 < word.start < word.end < begin + WORD + 0.15
            assert 0 < word.confidence <= 1
    assert checked >= 15


def test_an_endless_stream_takes_constant_memory(folder: Path) -> None:
    model, random = load(folder / "live"), np.random.default_rng(5)
    for settings in (DecodingConfig(), DecodingConfig(lm="ngram")):
        stream = model.streaming_recognizer(settings)
        held, words = [], 0
        for _ in range(60):
            sentence = np.concatenate(
                [spoken(["low", "top"], random), random.normal(0, 0.003, int(1.5 * RATE))]
            ).astype(np.float32)
            words += len(stream.accept(sentence))
            held.append(len(stream.segmenter.frames))
        assert words >= 50 and max(held) < LONGEST / stream.segmenter.step
        assert max(held[30:]) <= max(held[:30]) + 5


def test_a_sound_without_pauses_is_cut(folder: Path) -> None:
    model, random = load(folder / "live"), np.random.default_rng(5)
    stream = model.streaming_recognizer(DecodingConfig())
    sound = spoken(["low", "top", "mid", "high"] * 50, random)
    segments = [*stream.accept(sound), *stream.finish()]
    assert len(segments) > 1
    path = folder / "long.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    assert " ".join(segment.text for segment in segments) == model.predict(path)[0]


def test_a_language_model_of_a_run_is_fused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("low low top\nmid high\n" * 200)
    LanguageModel(token="word", hidden_size=8, num_layers=1, epochs=1, steps=8, batch_size=4).fit(
        tmp_path / "text.txt", out=tmp_path / "words"
    )
    model = load(folder / "both")
    plain = model.predict(folder / "test.tsv")
    assert model.predict(folder / "test.tsv", lm=str(tmp_path / "words"), lm_weight=0.0) == plain
    forced = model.predict(folder / "test.tsv", lm=str(tmp_path / "words"), lm_weight=0.0, word_bonus=-200.0)
    assert sum(len(t.split()) for t in forced) < sum(len(t.split()) for t in plain)
    with pytest.raises(UserError, match="task speech"):
        model.predict(folder / "test.tsv", lm=str(folder / "both"))


def test_hot_words_are_preferred(folder: Path) -> None:
    model = load(folder / "both")
    found = model.predict(folder / "test.tsv", hot_words=("top",), hot_boost=60.0)
    assert " ".join(found).split().count("top") > " ".join(texts(folder / "test.tsv")).split().count("top")


def test_a_speaker_is_held_out(folder: Path) -> None:
    dataset = SpeechRecognizer(**SMALL, hold_out="ann").prepare(folder / "train.tsv")
    assert dataset.test is not None and {one.speaker for one in dataset.test.utterances} == {"ann"}
    assert {one.speaker for part in (dataset.train, dataset.valid) for one in part.utterances} == {"bob"}
    assert len(dataset.train) + len(dataset.valid) + len(dataset.test) == 120
    with pytest.raises(UserError, match="ann, bob"):
        SpeechRecognizer(**SMALL, hold_out="eve").prepare(folder / "train.tsv")


def test_splits_are_random_and_disjoint(folder: Path) -> None:
    dataset = SpeechRecognizer(**SMALL, split="0.7/0.2/0.1").prepare(folder / "train.tsv")
    names = [{one.name for one in part.utterances} for part in (dataset.train, dataset.valid, dataset.test)]  # type: ignore[union-attr]
    assert [len(own) for own in names] == [84, 24, 12] and not names[0] & names[1] and not names[1] & names[2]


def test_an_interrupted_run_equals_an_uninterrupted_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SMALL, "epochs": 2, "speeds": (0.9, 1.0), "time_masks": 1, "noise": 20.0}
    whole = SpeechRecognizer(**settings).fit(folder / "valid.tsv")
    steps = iter(range(100))
    loss = UtteranceTraining.loss

    def interrupted(self: UtteranceTraining, batch: Any) -> torch.Tensor:
        if next(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return loss(self, batch)

    monkeypatch.setattr(UtteranceTraining, "loss", interrupted)
    SpeechRecognizer(**settings).fit(folder / "valid.tsv", out=tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    monkeypatch.setattr(UtteranceTraining, "loss", loss)
    resumed = SpeechRecognizer(**settings).fit(folder / "valid.tsv", out=tmp_path / "run", resume=True)
    for a, b in zip(whole.fitted_module().parameters(), resumed.fitted_module().parameters(), strict=True):
        assert torch.equal(a, b)


def test_utterances_too_short_for_their_text_do_no_harm(folder: Path) -> None:
    """An utterance of 0.35 s at double speed has fewer frames than letters."""
    settings = {**SMALL, "token": "character", "subsampling": 8, "speeds": (1.0, 2.0), "epochs": 1}
    model = SpeechRecognizer(**settings).fit(folder / "train.tsv", valid=folder / "valid.tsv")
    assert all(bool(p.isfinite().all()) for p in model.fitted_module().parameters())
    assert any("too long for their frames" in note for note in model.dataset.notes)


def test_a_changed_file_is_transcribed_again(folder: Path, tmp_path: Path) -> None:
    model, path = load(folder / "both"), tmp_path / "x.wav"
    for number, text in list(enumerate(model.predict(folder / "test.tsv")))[:4]:
        path.write_bytes((folder / "test" / f"{number}.wav").read_bytes())
        assert model.predict(path) == [text]


@pytest.mark.slow
def test_letters_stream_like_files(folder: Path, tmp_path: Path) -> None:
    settings = {**LIVE, "token": "character", "subsampling": 1, "epochs": 6}
    model = SpeechRecognizer(**settings).fit(folder / "train.tsv", valid=folder / "valid.tsv")
    random = np.random.default_rng(0)
    pieces = [
        spoken(["low", "top"], random),
        random.normal(0, 0.003, int(1.5 * RATE)),
        spoken(["mid"], random),
    ]
    soundfile.write(tmp_path / "two.wav", np.concatenate(pieces), RATE, subtype="FLOAT")
    for settings in (DecodingConfig(), DecodingConfig(lm="ngram")):
        stream = model.streaming_recognizer(settings)
        found = [s for block in read_blocks(tmp_path / "two.wav", RATE, 0.05) for s in stream.accept(block)]
        found += stream.finish()
        assert [" ".join(s.text for s in found)] == model.predict(tmp_path / "two.wav", **vars(settings))


def test_hot_words_with_unknown_characters_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="Give 'top' instead"):
        load(folder / "both").predict(folder / "test.tsv", hot_words=("Top",))
    with pytest.raises(UserError, match="'piano' is not"):
        load(folder / "both").predict(folder / "test.tsv", hot_words=("piano",))


# -- the command line ------------------------------------------------------------------------------


def test_the_command_line_from_training_to_transcripts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["--token", "word", "--hidden-size", "8", "--channels", "8", "--epochs", "1", "--out", str(run)]
    assert main(["train", "speech", str(folder / "train.tsv"), *words]) == 0
    assert "word error rate" in capsys.readouterr().out
    assert (run / "report.html").exists() and (run / "plots" / "words.png").exists()
    assert main(["evaluate", str(run), str(folder / "test.tsv"), "--json", "--lm", "ngram"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["task"] == "speech" and {"wer", "cer", "real_time_factor"} <= result["model"].keys()
    assert "searched" in result


def test_the_command_line_transcribes_live(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, live = str(folder / "both"), str(folder / "live")
    sound = folder / "test" / "0.wav"
    [text, *_] = load(folder / "both").predict(sound)
    assert main(["predict", both, str(sound)]) == 0
    assert capsys.readouterr().out == text + "\n"
    assert main(["predict", both, str(folder / "test")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20 and f"0.wav\t{text}" in lines
    assert main(["predict", both, str(sound), "--times", "--plot", str(tmp_path / "a.png")]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert " ".join(row[2] for row in rows) == text and (tmp_path / "a.png").stat().st_size > 10_000
    [alive] = load(folder / "live").predict(sound)
    assert main(["predict", live, str(sound), "--live"]) == 0
    assert capsys.readouterr().out.split() == alive.split()
    samples, _ = soundfile.read(sound, dtype="int16")
    give_stdin(monkeypatch, samples.astype("<i2").tobytes())
    assert main(["predict", live, "--live"]) == 0
    assert capsys.readouterr().out.split() == alive.split()


def test_a_bidirectional_network_does_not_stream(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(folder / "both"), str(folder / "test" / "0.wav"), "--live"]) == 2
    assert "--no-bidirectional" in capsys.readouterr().err
