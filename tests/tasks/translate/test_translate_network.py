"""Encoder and decoder: whole sequences against single steps, padding, loss, and batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.nn import functional as F

from holdfast.data.text.parallel import SentencePairs
from holdfast.models.options import TranslationOptions
from holdfast.models.translate import StepwiseTranslator, TranslationNetwork
from holdfast.tasks.translate.config import TranslateConfig, TranslateTraining
from holdfast.tasks.translate.preprocessing import PairSplit
from holdfast.tasks.translate.trainable import NONE, PairTraining, batch, mean_nats, nats, padded

V, ENDS = (11, 13), (0, 1)
STOP, END = ENDS
VARIANTS = [
    {},
    {"cell": "lstm", "encoder_layers": 2, "decoder_layers": 3},
    {"cell": "rnn", "decoder_layers": 1, "tied": False},
    {"input_feeding": True},
    {"cell": "lstm", "input_feeding": True, "attention": "additive", "decoder_layers": 1},
    {"attention": "additive"},
]


def network(**options: Any) -> TranslationNetwork:
    defaults = {"embedding_size": 6, "hidden_size": 5, "dropout": 0.0}
    return TranslationNetwork(V, TranslationOptions(**defaults | options)).eval()


def sentences() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randint(V[0], (7, 3)), torch.tensor([7, 2, 5]), torch.randint(V[1], (4, 3))


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_step_by_step_equals_the_whole_sequence(options: dict[str, Any]) -> None:
    module, (source, lengths, target) = network(**options), sentences()
    memory, state = module.encode(source, lengths)
    decoded = module.decode(target, memory, state)
    scores = module.scores(decoded.readouts).log_softmax(-1)
    writer = StepwiseTranslator(module, memory, state)
    for step in range(len(target)):
        found, weights = writer.step(target[step])
        torch.testing.assert_close(found, scores[step], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weights, decoded.weights[step], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_a_sentence_in_a_batch_is_the_sentence_alone(options: dict[str, Any]) -> None:
    module, (source, lengths, target) = network(**options), sentences()
    together = module.decode(target, *module.encode(source, lengths))
    for b, length in enumerate(lengths.tolist()):
        alone = module.decode(
            target[:, b : b + 1], *module.encode(source[:length, b : b + 1], lengths[b : b + 1])
        )
        torch.testing.assert_close(together.readouts[:, b], alone.readouts[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.weights[:, b, :length], alone.weights[:, 0], atol=1e-5, rtol=1e-5)
        assert not together.weights[:, b, length:].any()


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_hypotheses_of_a_sentence_share_its_memory(options: dict[str, Any]) -> None:
    module, (source, lengths, _) = network(**options), sentences()
    memory, state = module.encode(source, lengths)
    twice = torch.arange(3).repeat_interleave(2)
    tokens = torch.randint(V[1], (6,))
    beams = StepwiseTranslator(module, memory, state.select(twice)).step(tokens)
    copies = StepwiseTranslator(module, memory.select(twice), state.select(twice)).step(tokens)
    for one, other in zip(beams, copies, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_with_smoothed_labels(tied: bool, smoothing: float) -> None:
    module = network(tied=tied)
    readouts, targets = torch.randn(9, 6, requires_grad=True), torch.randint(V[1], (9,))
    module.output.bias.data.normal_()
    own = module.nll(readouts, targets, smoothing)
    (gradient,) = torch.autograd.grad(own.sum(), readouts)
    other = F.cross_entropy(module.scores(readouts), targets, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(own, other)
    torch.testing.assert_close(gradient, torch.autograd.grad(other.sum(), readouts)[0])


def test_tied_and_shared_weights_are_one_tensor() -> None:
    module = TranslationNetwork((13, 13), TranslationOptions(tied=True), shared=True)
    assert module.source.table.weight is module.output.weight
    assert network(tied=True).output.weight is not network(tied=True).source.table.weight


def test_dropout_is_the_same_at_every_step_and_only_in_training() -> None:
    module = network(dropout=0.5, embedding_dropout=0.5)
    tokens = torch.zeros(50, 2, dtype=torch.long)
    assert torch.equal(module.source(tokens), module.source.table(tokens))
    module.train()
    embedded = module.source(tokens)
    whole = embedded.any(-1)
    assert 0.2 < float(whole.float().mean()) < 0.8  # whole tokens
    for sentence in range(2):
        there = embedded[whole[:, sentence], sentence]
        assert bool((there == there[0]).all()) and not bool(there[0].all())  # all equal


@pytest.mark.parametrize("feeding", [False, True])
def test_decoder_dropout_is_the_same_at_every_step(feeding: bool) -> None:
    module = network(dropout=0.5, input_feeding=feeding).train()
    memory, state = module.encode(torch.zeros(3, 4, dtype=torch.long), torch.full((4,), 3))
    readouts = module.decode(torch.zeros(30, 4, dtype=torch.long), memory, state).readouts
    kept = readouts != 0
    assert bool((kept == kept[0]).all()) and 0.2 < float(kept.float().mean()) < 0.8
    seen: list[torch.Tensor] = []
    module.decoder.read.register_forward_pre_hook(lambda _, given: seen.append(given[0] != 0))
    module.decode(torch.zeros(30, 4, dtype=torch.long), memory, state)
    read = torch.cat(seen)[..., : module.options.hidden_size]
    assert bool((read == read[0]).all()) and 0.2 < float(read.float().mean()) < 0.8


def test_dropping_whole_tokens_keeps_the_mean() -> None:
    module = network(embedding_dropout=0.5).train()
    tokens = torch.zeros(4000, 2, dtype=torch.long)
    torch.testing.assert_close(
        module.source(tokens).mean((0, 1)), module.source.table.weight[0], rtol=0.1, atol=0.01
    )


# -- training --------------------------------------------------------------------------------------


def split_of(lengths: list[tuple[int, int]]) -> PairSplit:
    random = np.random.default_rng(0)
    sources, targets = ([random.integers(2, v, n[k]) for n in lengths] for k, v in ((0, V[0]), (1, V[1])))
    return PairSplit(SentencePairs(("",) * len(lengths), ("",) * len(lengths)), sources, targets)


def training(own: PairSplit, **fields: Any) -> PairTraining:
    config = TranslateConfig(training=TranslateTraining(batch_size=20, **fields))
    return PairTraining(network(), config, (own, own), ENDS)


def test_a_batch_starts_and_ends_with_the_end_token() -> None:
    own = split_of([(2, 3), (4, 1)])
    found = batch(own, [0, 1], ENDS)
    assert found.source.T.tolist() == [[*own.sources[0], STOP, STOP, STOP], [*own.sources[1], STOP]]
    assert found.lengths.tolist() == [3, 5]
    assert found.inputs.T.tolist() == [[END, *own.targets[0]], [END, *own.targets[1], END, END]]
    assert found.targets.T.tolist() == [[*own.targets[0], END], [*own.targets[1], END, NONE, NONE]]


def test_a_batch_is_moved_to_a_device() -> None:
    moved = move_data_to_device(batch(split_of([(2, 3)]), [0], ENDS), torch.device("meta"))
    assert {tensor.device.type for tensor in vars(moved).values()} == {"meta"}


def test_the_validation_loss_is_the_mean_over_tokens() -> None:
    own = split_of([(2, 3), (4, 1), (7, 7), (1, 1)])
    module = network(dropout=0.5).train()
    found = mean_nats(module, own, ENDS)
    assert module.training
    module.eval()
    single = torch.cat([nats(module, batch(own, [i], ENDS)) for i in range(4)])
    assert len(single) == 3 + 1 + 7 + 1 + 4
    assert math.isclose(found, single.mean().item(), rel_tol=1e-5)


def test_epochs_have_every_pair_once_and_depend_only_on_seed_and_epoch() -> None:
    own = split_of([(n % 7 + 1, n % 5 + 1) for n in range(60)])
    one, other = training(own), training(own)
    first = list(one.batches(1))
    torch.rand(5)
    assert [b.source.tolist() for b in first] == [b.source.tolist() for b in other.batches(1)]
    assert [b.source.tolist() for b in first] != [b.source.tolist() for b in other.batches(2)]
    assert len(first) == one.steps_per_epoch
    assert sum(b.source.size(1) for b in first) == 60


def test_scheduled_sampling_replaces_more_from_epoch_to_epoch() -> None:
    own = split_of([(5, 9)] * 40)
    train = training(own, sampling=0.8, epochs=5)
    changed = []
    for epoch in (1, 3, 5):
        (first, *_) = train.batches(epoch)
        replaced = train._sampled(first)
        assert torch.equal(replaced.inputs[0], first.inputs[0])  # the first token stays
        memory, state = train.module.encode(first.source, first.lengths)
        guesses = train.module.scores(train.module.decode(first.inputs, memory, state).readouts).argmax(-1)
        moved = replaced.inputs[1:] != first.inputs[1:]
        assert torch.equal(replaced.inputs[1:][moved], guesses[:-1][moved])
        changed.append(float(moved.float().mean()))
    assert changed[0] == 0.0 < changed[1] < changed[2]


def test_padding() -> None:
    assert padded([np.array([1, 2]), np.array([3])], 9).T.tolist() == [[1, 2], [3, 9]]
