"""The language model: streams, scores, cache, dynamic evaluation, generation, and resuming."""

from __future__ import annotations

import itertools
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.config import build_config
from holdfast.data.text.tokenizers import ByteTokenizer
from holdfast.errors import UserError
from holdfast.models.truncated_bptt import StreamTraining, score_chunks, text_nll
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.language import dataset, neural_cache
from holdfast.tasks.language.config import LanguageConfig
from holdfast.tasks.language.dynamic_evaluation import dynamic_nats
from holdfast.tasks.language.generate import generated, until
from holdfast.tasks.language.task import LanguageModel
from holdfast.tasks.language.trainable import build
from holdfast.tasks.registry import load
from plain_text import SENTENCES, text

SMALL = {"hidden_size": 12, "steps": 8, "batch_size": 4, "epochs": 3, "learning_rate": 0.02, "num_layers": 2}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("language") / "text.txt"
    path.write_text(text())
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> LanguageModel:
    return LanguageModel(**SMALL).fit(file)


def module(**fields: Any) -> Any:
    torch.manual_seed(0)
    return build(build_config(LanguageConfig, {"hidden_size": 12} | fields), 7).eval()


IDS = np.random.default_rng(1).integers(0, 7, 700)


@pytest.mark.parametrize(
    "fields", [{}, {"cell": "gru"}, {"cell": "rnn"}, {"tied": False, "adaptive": (2, 4)}]
)
def test_a_score_is_the_probability_step_by_step(fields: dict[str, Any]) -> None:
    net = module(**fields)
    found = text_nll(net, IDS, 3)
    state, total = None, 0.0
    with torch.no_grad():
        for before, unit in itertools.pairwise([3, *IDS.tolist()]):
            hidden, state = net(torch.tensor([[before]]), state)
            logs = net.output.log_probabilities(hidden.raw[0])[0]
            assert logs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
            total -= logs[unit].item()
    assert found.sum() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("streams", [2, 3, 9])
def test_streams_restart_and_miss_no_token(streams: int) -> None:
    net = module()
    length = -(-len(IDS) // streams)
    found = text_nll(net, IDS, 3, streams)
    starts = range(0, len(IDS), length)
    alone = [text_nll(net, IDS[a : a + length], 3 if a == 0 else int(IDS[a - 1])) for a in starts]
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=1e-4, atol=1e-5)


def test_training_carries_the_state_through_the_whole_stream() -> None:
    config = build_config(
        LanguageConfig, SMALL | {"batch_size": 2, "hidden_dropout": 0.0, "output_dropout": 0.0, "reset": 0.0}
    )
    net = module()
    training = StreamTraining(net, config.training, IDS, IDS, 0)
    pieces = [(tokens, following) for tokens, following, _ in training.batches(1)]
    assert len(pieces) == training.steps_per_epoch == (350 - 8) // 8
    for (_, following), (tokens, _) in itertools.pairwise(pieces):
        assert torch.equal(following[-1], tokens[0])
    losses = [training.loss(piece).item() for piece in training.batches(1)]
    whole = torch.cat([tokens for tokens, _ in pieces])
    with torch.no_grad():
        hidden, _ = net(whole)
        targets = torch.cat([following for _, following in pieces])
        expected = net.output.nll(hidden.raw.flatten(0, 1), targets.flatten()).mean().item()
    assert np.mean(losses) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_reset_stream_starts_from_the_initial_state(cell: str) -> None:
    config = build_config(LanguageConfig, SMALL | {"cell": cell, "batch_size": 2, "reset": 0.5})
    training = StreamTraining(module(cell=cell), config.training, IDS, IDS, 0)
    pieces = list(training.batches(1))
    kept = torch.stack([kept for *_, kept in pieces])
    assert set(kept.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(kept, torch.stack([kept for *_, kept in training.batches(1)]))
    tokens, following, _ = pieces[1]
    for first, second in ((1.0, 0.0), (0.0, 1.0)):
        training.state = None
        training.loss(pieces[0])
        carried = training.state
        training.loss((tokens, following, torch.tensor([first, second])))
        zeros = training.module(tokens)[1]
        going_on = training.module(tokens, carried)[1]
        for one, new, old in zip(_tensors(training.state), _tensors(zeros), _tensors(going_on), strict=True):
            for stream, share in enumerate((first, second)):
                torch.testing.assert_close(one[:, stream], (old if share else new)[:, stream])


def _tensors(states: Any) -> list[torch.Tensor]:
    return [part for one in states for part in (one if isinstance(one, tuple) else (one,))]


def test_each_epoch_begins_at_its_own_offset() -> None:
    config = build_config(LanguageConfig, SMALL)
    training = StreamTraining(module(), config.training, IDS, IDS, 0)
    begins = [next(iter(training.batches(epoch)))[0][:, 0].tolist() for epoch in range(1, 9)]
    assert begins[0] == next(iter(training.batches(1)))[0][:, 0].tolist()
    assert len({tuple(begin) for begin in begins}) > 2


@pytest.mark.parametrize("kind", ["input_dropout", "hidden_dropout", "output_dropout"])
def test_dropout_drops_the_same_units_at_every_step(kind: str) -> None:
    net = module(hidden_size=40, embedding_size=40, cell="gru", **dict.fromkeys(DROPOUTS, 0.0) | {kind: 0.4})
    layers: dict[str, list[torch.Tensor]] = {"input_dropout": [], "hidden_dropout": [], "output_dropout": []}
    for layer, name in zip(net.layers, ("input_dropout", "hidden_dropout"), strict=True):
        layer.register_forward_pre_hook(lambda _, given, name=name: layers[name].append(given[0]))
    tokens = torch.randint(7, (30, 50))
    plain = net(tokens)[0]
    torch.testing.assert_close(plain.dropped, plain.raw)
    hidden = net.train()(tokens)[0]
    layers["output_dropout"] += [plain.raw, hidden.dropped]
    for name, (before, after) in layers.items():
        dropped = after == 0
        if name != kind:
            assert not dropped.any()
            continue
        assert bool((dropped == dropped[0]).all()) and 0.3 < float(dropped.float().mean()) < 0.5
        torch.testing.assert_close(after[~dropped], before[~dropped] / 0.6)


DROPOUTS = ("input_dropout", "hidden_dropout", "output_dropout")


def test_whole_words_are_dropped_at_all_their_positions() -> None:
    net = build(build_config(LanguageConfig, {"hidden_size": 12, "embedding_dropout": 0.25}), 400).train()
    tokens = torch.arange(400).repeat(3, 1).T
    embedded = net._embed(tokens)
    gone = (embedded == 0).all(-1)
    assert bool((gone == gone[:, :1]).all()) and 0.15 < float(gone.float().mean()) < 0.35
    torch.testing.assert_close(embedded[~gone], net.embedding(tokens)[~gone] / 0.75)


def test_the_penalties_are_those_of_the_paper() -> None:
    net = module()
    plain = build_config(LanguageConfig, SMALL)
    both = build_config(LanguageConfig, SMALL | {"activation": 2.0, "change": 3.0})
    batch = next(iter(StreamTraining(net, plain.training, IDS, IDS, 0).batches(1)))
    hidden = net(batch[0])[0].raw
    added = 2.0 * hidden.square().mean() + 3.0 * (hidden[1:] - hidden[:-1]).square().mean()
    losses = [StreamTraining(net, config.training, IDS, IDS, 0).loss(batch) for config in (plain, both)]
    torch.testing.assert_close(losses[1] - losses[0], added)


@pytest.mark.parametrize("sampled", [1, 3, 6, 7, 50])
def test_a_sampled_softmax_is_unbiased(sampled: int) -> None:
    net = module(sampled=sampled).train()
    hidden, targets = torch.randn(40, 12), torch.randint(7, (40,))
    own = net.output.linear(hidden).gather(1, targets[:, None])[:, 0]
    normalisers = [(net.output.nll(hidden, targets) + own).exp() for _ in range(3000)]
    expected = net.output.linear(hidden).exp().sum(-1)
    rtol = 0.03 if sampled < 7 else 1e-5
    torch.testing.assert_close(torch.stack(normalisers).mean(0), expected, rtol=rtol, atol=0.0)
    torch.testing.assert_close(net.eval().output.nll(hidden, targets), expected.log() - own)


# -- other ways to score ---------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 5, 300, 10_000])
def test_the_cache_follows_its_definition(window: int) -> None:
    net, share, sharpness = module(), 0.2, 0.7
    pieces = list(score_chunks(net, IDS, 3))
    hidden = torch.cat([piece.hidden[:, 0] for piece in pieces]).double().numpy()
    found = neural_cache.look_up(iter(pieces), window, [sharpness])[sharpness]
    for t in (0, 1, 2, 17, 255, 256, 257, 600, 699):
        past = range(max(0, t - window), t)
        weights = np.exp([sharpness * hidden[t] @ hidden[i] for i in past])
        cached = sum(w for w, i in zip(weights, past, strict=True) if IDS[i] == IDS[t]) / max(
            weights.sum(), 1e-9
        )
        assert found.cached[t] == pytest.approx(cached, abs=1e-5)
    mixed = found.mixed(share)
    assert mixed[0] == pytest.approx(found.nats[0])
    expected = -np.log(0.8 * np.exp(-found.nats[1:]) + 0.2 * found.cached[1:])
    np.testing.assert_allclose(mixed[1:], expected)


def test_the_cache_is_tuned_to_the_smallest_loss() -> None:
    net, repeated = module(), np.tile(IDS[:40], 12)
    share, sharpness = neural_cache.tune(score_chunks(net, repeated, 3), 100)
    found = neural_cache.look_up(score_chunks(net, repeated, 3), 100, neural_cache.SHARPNESSES)
    best = found[sharpness].mixed(share).mean()
    assert best == min(
        found[s].mixed(p).mean() for s in neural_cache.SHARPNESSES for p in neural_cache.SHARES
    )
    assert best < text_nll(net, repeated, 3).mean()


def test_dynamic_evaluation_helps_on_repetition_and_keeps_the_model() -> None:
    net, repeated = module(), np.tile(IDS[:40], 30)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    plain = text_nll(net, repeated, 3)
    np.testing.assert_allclose(dynamic_nats(net, repeated, 3, 1e-12), plain, atol=1e-4)
    adapted = dynamic_nats(net, repeated, 3, 0.5)
    np.testing.assert_allclose(adapted[:20], plain[:20], atol=1e-5)  # scored before the update
    assert adapted[600:].mean() < plain[600:].mean() - 0.05
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_evaluate_adds_cache_and_dynamic_evaluation(model: LanguageModel, file: Path, tmp_path: Path) -> None:
    (tmp_path / "tune.txt").write_text(file.read_text()[:500])
    result = model.evaluate(file, int8=True, cache=50, tune=str(tmp_path / "tune.txt"), dynamic=0.1)
    plain = result["model"]
    assert set(plain) == {"nats_per_token", "bits_per_char", "perplexity"}
    assert plain["bits_per_char"] == pytest.approx(plain["nats_per_token"] / np.log(2))
    assert plain["perplexity"] == pytest.approx(np.exp(plain["nats_per_token"]))
    assert result["tokens"] == len(file.read_text()) and result["token"] == "character"
    assert result["cache"]["nats_per_token"] != plain["nats_per_token"] != result["dynamic"]["nats_per_token"]
    assert abs(result["int8"]["nats_per_token"] / plain["nats_per_token"] - 1) < 0.1
    assert plain["nats_per_token"] < result["baselines"]["unigram"]["nats_per_token"]


def test_a_cache_is_not_tuned_on_the_test_split(model: LanguageModel, file: Path) -> None:
    with pytest.raises(UserError, match="tuned on other text"):
        model.evaluate(file, cache=50, tune=file)


# -- generation ------------------------------------------------------------------------------------


def test_the_stream_writes_the_most_probable_tokens_of_the_whole_model(model: LanguageModel) -> None:
    tokenizer, net = model.tokenizer, model.module
    assert tokenizer is not None and net is not None
    written = model.generate("the ", length=40, temperature=0)
    ids = [tokenizer.begin, *tokenizer.encode("the ").tolist()]
    with torch.no_grad():
        for _ in range(40):
            hidden, _ = net(torch.tensor(ids)[:, None])
            scores = net.output.log_probabilities(hidden.raw[-1])[0]
            scores[tokenizer.unknown] = -torch.inf
            ids.append(int(scores.argmax()))
    assert written == tokenizer.decode(ids[5:])


def test_the_seed_decides(model: LanguageModel) -> None:
    one, same, other = (model.generate("the", length=60, seed=seed) for seed in (1, 1, 2))
    assert one == same != other and len(one) == 60
    assert model.generate(length=9, seed=0, stop=["zzz"]) == model.generate(length=9, seed=0)


def test_writing_ends_before_a_stop() -> None:
    assert "".join(until(iter(["ab", "c", "de", "f"]), ["cd"])) == "ab"
    assert "".join(until(iter(["ab", "c", "de", "f"]), ["x", "ef", "cde"])) == "ab"
    assert "".join(until(iter(["ab", "c"]), ["cd"])) == "abc"
    assert list(until(iter(["ab", "c"]), [])) == ["ab", "c", ""]


@pytest.mark.parametrize("unit", ["word", "byte", "subword"])
def test_every_tokenizer_trains_writes_and_loads(unit: str, file: Path, tmp_path: Path) -> None:
    model = LanguageModel(**SMALL | {"epochs": 8}, token=unit).fit(file, out=tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.generate("the dog", length=9, seed=0) == model.generate("the dog", length=9, seed=0)
    names, found = again.surprise("the cat\n")
    assert len(names) == len(found) and again.metrics == model.metrics
    result = again.evaluate(file)
    assert result["model"]["perplexity"] < result["baselines"]["unigram"]["perplexity"]


def test_words_may_have_an_adaptive_softmax(file: Path) -> None:
    model = LanguageModel(**SMALL, token="word", tied=False, adaptive=(3, 8)).fit(file)
    assert model.metrics["model"]["perplexity"] < model.metrics["baselines"]["unigram"]["perplexity"]


class _Given:
    """Writes given tokens, whatever it reads."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = iter(tokens)

    def step(self, token: int) -> Any:
        scores = np.full(256, -np.inf, np.float32)
        scores[next(self.tokens)] = 0.0
        return scores


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("käse".encode(), ["k", "ä", "s", "e"]),
        ("\N{GRINNING FACE}a".encode(), ["\N{GRINNING FACE}", "a"]),
        (b"\xa4" * 6, ["\ufffd" * 4, "\ufffd" * 2]),  # no text, but generation ends
        ("a\N{EURO SIGN}".encode()[:3], ["a", "\ufffd"]),
    ],
)
def test_a_generated_text_ends_after_its_length(tokens: bytes, expected: list[str]) -> None:
    writer: Any = _Given([*tokens, 0, 0])
    assert [*generated(writer, ByteTokenizer(), [], len(tokens), [], 0)] == expected


def test_a_prompt_of_words_may_end_in_a_space(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text())
    model = LanguageModel(**SMALL | {"epochs": 1}, token="word").fit(tmp_path / "text.txt")
    one, other = (model.generate(prompt, length=6, seed=1) for prompt in ("the cat", "the cat "))
    assert one == f" {other}" or one == other


# -- splits ----------------------------------------------------------------------------------------


def prepared(tmp_path: Path, content: str, **fields: Any) -> Dataset[Any, Any]:
    (tmp_path / "train.txt").write_text(content)
    others = {n: tmp_path / f"{n}.txt" for n in ("valid", "test") if (tmp_path / f"{n}.txt").exists()}
    return dataset.read_dataset(build_config(LanguageConfig, fields), tmp_path / "train.txt", **others)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_text_of_one_line_is_cut_between_words(tmp_path: Path, end: str) -> None:
    found = prepared(tmp_path, " ".join(SENTENCES * 30) + end, token="word")
    assert len(found.valid) > 10 and found.test is not None and len(found.test) > 10
    assert not any("unknown" in note for note in found.notes)


def test_a_split_with_its_own_file_leaves_its_share_to_training(tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text(text(5))
    found = prepared(tmp_path, "ab" * 500, split="0.3/0.2/0.1")
    assert (len(found.train), found.test is not None and len(found.test)) == (500, 100)
    assert any("test split is cut from the training file" in note for note in found.notes)


def test_other_text_to_score_is_other_data(tmp_path: Path) -> None:
    digests = []
    for lines in (5, 6):
        (tmp_path / "valid.txt").write_text(text(lines))
        digests.append(prepared(tmp_path, text()).digest)
    assert digests[0] != digests[1]


def test_an_empty_test_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("")
    with pytest.raises(UserError, match="test split must not be empty"):
        prepared(tmp_path, text())


# -- resuming --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "at"), [("lstm", 3), ("gru", 40)])
def test_an_interrupted_run_resumes_exactly(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, at: int
) -> None:
    fields = SMALL | {"cell": cell, "average": 0.9, "weight_drop": 0.2, "embedding_dropout": 0.1}
    whole = LanguageModel(**fields).fit(file, out=tmp_path / "whole")
    taken, plain = itertools.count(), StreamTraining.loss

    def interrupted(self: StreamTraining, batch: Any) -> Any:
        if next(taken) == at:
            signal.raise_signal(signal.SIGINT)
        return plain(self, batch)

    monkeypatch.setattr(StreamTraining, "loss", interrupted)
    stopped = LanguageModel(**fields).fit(file, out=tmp_path / "run")
    assert stopped.history is not None and stopped.history.stopped == "interrupted" and not stopped.metrics
    resumed = LanguageModel(**fields).fit(file, out=tmp_path / "run", resume=True)
    timed = ("seconds", "seconds_per_epoch")
    assert {k: v for k, v in resumed.metrics.items() if k not in timed} == {
        k: v for k, v in whole.metrics.items() if k not in timed
    }
    for name, tensor in whole.module.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, resumed.module.state_dict()[name])  # type: ignore[union-attr]


def test_another_text_does_not_resume(file: Path, tmp_path: Path) -> None:
    LanguageModel(**SMALL).fit(file, out=tmp_path / "run")
    other = tmp_path / "other.txt"
    other.write_text(text(91))
    with pytest.raises(UserError, match="data differ"):
        LanguageModel(**SMALL).fit(other, out=tmp_path / "run", resume=True)


# -- splits ----------------------------------------------------------------------------------------


def test_splits_are_cut_in_order_and_words_at_line_ends(file: Path) -> None:
    whole = file.read_text()
    found = LanguageModel(**SMALL, split="0.5/0.25/0.25").prepare(file)
    splits = [
        found.preprocessing.tokenizer.decode(split.ids) for split in (found.train, found.valid, found.test)
    ]
    assert "".join(splits) == whole and len(splits[0]) == len(whole) // 2
    words = LanguageModel(**SMALL, token="word", split="0.5/0.5/0").prepare(file)
    assert words.test is None
    train, valid = (words.preprocessing.tokenizer.decode(split.ids) for split in (words.train, words.valid))
    assert train + valid == whole and train.endswith("\n")


def test_short_trainings_and_few_streams_are_reported(file: Path) -> None:
    notes = LanguageModel(**SMALL | {"epochs": 2, "schedule": "constant"}).fit(file).metrics["notes"]
    assert any("optimizer steps were taken" in note for note in notes)
    assert any("still falling in the last epoch" in note for note in notes)
    assert not any("streams" in note for note in notes)
    notes = LanguageModel(**SMALL | {"batch_size": 500}).fit(file).metrics["notes"]
    assert any("not 500 (--batch-size)" in note for note in notes)


def test_wrong_settings_are_refused_before_the_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cuda:99"):
        LanguageModel(**SMALL, device="cuda:99").fit(tmp_path / "none.txt")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        LanguageModel(**SMALL).fit(tmp_path / "none.txt", out=tmp_path / "full")


def test_separate_files_take_nothing_from_the_text(file: Path, tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text("the cat\n")
    (tmp_path / "test.txt").write_text("a zebra\n")
    found = LanguageModel(**SMALL).prepare(file, tmp_path / "valid.txt", tmp_path / "test.txt")
    assert found.preprocessing.tokenizer.decode(found.train.ids) == file.read_text()
    assert found.test is not None and found.test.unknown == 2  # z, b
    assert any("test split" in note for note in found.notes)


def test_a_fraction_is_the_latest_data(file: Path) -> None:
    found = LanguageModel(**SMALL).prepare(file)
    less = found.fraction(0.25)
    np.testing.assert_array_equal(less.train.ids, found.train.ids[-len(less.train) :])
    assert len(less.train) == round(len(found.train) / 4) and less.valid is found.valid
    assert replace(less, train=found.train) == found
