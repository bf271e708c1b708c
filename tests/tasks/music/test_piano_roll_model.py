"""Models of piano rolls against brute force: likelihoods, samples, segments, baselines."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.music.piano_roll import KEYS, RollPiece
from holdfast.data.music.pieces import digest, read_pieces
from holdfast.models.music import (
    _OCTAVE,
    FREE,
    OUTPUTS,
    SILENT,
    SOUNDS,
    Context,
    PianoRollNetwork,
    chords,
    lowest,
)
from holdfast.models.options import MusicOptions
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.music.baselines import Marginal, Markov
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.metrics import score_rolls
from holdfast.tasks.music.preprocessing import RollPreprocessing, RollSplit
from holdfast.tasks.music.trainable import (
    RollTraining,
    batch,
    frame_nats,
    mean_nats,
    predict_rolls,
    randomly_transposed,
    segments,
)

FEW = 5
EVERY = torch.tensor(list(product([0.0, 1.0], repeat=FEW)), dtype=torch.float64)
CELLS = ("rnn", "gru", "lstm")


def small(output: str, cell: str = "gru", keys: int = FEW) -> PianoRollNetwork:
    options = MusicOptions(cell=cell, output=output, hidden_size=6, chord_size=4, num_layers=2, dropout=0.3)
    model = PianoRollNetwork(keys, options).double().eval()
    with torch.no_grad():
        for parameter in model.output.parameters():  # biases are zeros at first
            parameter.copy_(torch.randn_like(parameter))
    return model


def some_context(scale: float = 1.0, reference: int = 1) -> Context:
    frame = torch.zeros(1, FEW, dtype=torch.float64)
    frame[0, [reference, FEW - 1]] = 1
    return Context(scale * torch.randn(1, 6, dtype=torch.float64), torch.tensor([reference]), frame)


def times(context: Context, count: int) -> Context:
    """Return the same context for many frames."""
    return context[torch.zeros(count, dtype=torch.long)]


def probabilities(model: PianoRollNetwork, context: Context) -> torch.Tensor:
    return (-model.output.nll(times(context, len(EVERY)), EVERY)).exp()


def piece(*frames: list[int]) -> RollPiece:
    roll = np.zeros((len(frames), KEYS), bool)
    for t, keys in enumerate(frames):
        roll[t, keys] = True
    return RollPiece("a piece", roll)


def random_piece(length: int, seed: int, density: float = 0.04) -> RollPiece:
    return RollPiece(f"piece {seed}", np.random.default_rng(seed).random((length, KEYS)) < density)


# -- likelihoods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_the_probabilities_of_all_frames_sum_to_one(output: str) -> None:
    model = small(output)
    for scale, reference in product((0.1, 1.0, 10.0), range(FEW)):
        found = probabilities(model, some_context(scale, reference))
        assert found.sum().item() == pytest.approx(1, abs=1e-12)


def by_hand(keys: Any, x: torch.Tensor, reference: int, k: int) -> torch.Tensor:
    """Return the logit of a key or of the end: W x + b, and R by distance from the lowest key."""
    found = keys.absolute.weight[k] @ x
    if keys.absolute.bias is not None:
        found = found + keys.absolute.bias[k]
    return found + keys.relative.weight[k - reference + FEW - 1] @ x if k < FEW else found


def moved_by_hand(moves: Any, context: Context, k: int) -> torch.Tensor:
    """Return the effect of the sounding keys on key k, by their distance; none on the end."""
    found = moves.linear(context.hidden)[0]
    return sum(
        (found[k - j + _OCTAVE] for j in range(FEW) if context.frame[0, j] and k < FEW), torch.tensor(0.0)
    )


@pytest.mark.parametrize("reference", range(FEW))
@torch.no_grad()
def test_a_chord_is_the_product_of_its_notes_and_the_end(reference: int) -> None:
    output, context = small("autoregressive").output, some_context(1.0, reference)
    hidden = context.hidden[0]
    for frame in EVERY:
        notes = [k for k in reversed(range(FEW)) if frame[k]]
        total, before, last = 0.0, output.context(hidden), FEW
        for note in [*notes, FEW]:
            seen = before.clamp(min=0)
            weights = {
                k: math.exp(
                    by_hand(output.logits, seen, reference, k)
                    + by_hand(output.straight, hidden, reference, k)
                    + moved_by_hand(output.moves, context, k)
                )
                for k in [*range(last), FEW]
            }
            total -= math.log(weights[note] / sum(weights.values()))
            if note < FEW:
                before = before + output.note.weight[note - reference + FEW - 1]
            last = note
        assert output.nll(context, frame[None]).item() == pytest.approx(total, rel=1e-10)


@torch.no_grad()
def test_independent_keys_by_hand() -> None:
    output, context = small("independent").output, some_context(1.0, 3)
    logits = [
        by_hand(output.keys, context.hidden[0], 3, k) + moved_by_hand(output.moves, context, k)
        for k in range(FEW)
    ]
    chances = [1 / (1 + math.exp(-logit)) for logit in logits]
    for frame in EVERY:
        total = -sum(math.log(p if on else 1 - p) for p, on in zip(chances, frame, strict=True))
        assert output.nll(context, frame[None]).item() == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_relative_keys_make_transposed_pieces_equal(cell: str) -> None:
    model = small("independent", cell, keys=KEYS)
    low = random_piece(12, 0).roll & (np.arange(KEYS) >= 20) & (np.arange(KEYS) < 60)
    rolls = [torch.from_numpy(np.roll(low, up, 1))[:, None].double() for up in (0, 9)]
    assert not torch.allclose(*(model(roll)[0].hidden for roll in rolls))
    model.layers[0].weight_ih_l0[:, :KEYS] = 0  # the weights that read them
    model.output.keys.absolute.weight.zero_()
    model.output.keys.absolute.bias.zero_()
    first, second = (model(roll)[0] for roll in rolls)
    assert torch.allclose(first.hidden, second.hidden) and torch.equal(first.reference + 9, second.reference)
    chances = [model.output.logits(c[:, 0]) for c in (first, second)]
    assert torch.allclose(chances[0][:, :-9], chances[1][:, 9:])


def test_in_silence_the_lowest_key_is_the_last_one() -> None:
    frames = torch.zeros(5, 2, 9)
    frames[1, 0, [4, 7]] = frames[3, 0, [2]] = frames[0, 1, [8]] = 1
    assert lowest(frames, torch.tensor([[5, 5]])).T.tolist() == [[5, 4, 4, 2, 2], [8, 8, 8, 8, 8]]


@given(st.lists(st.lists(st.integers(0, 6), max_size=7), min_size=1, max_size=4))
def test_notes_are_read_from_the_top_down(frames: list[list[int]]) -> None:
    table = torch.zeros(len(frames), 7)
    for row, keys in enumerate(frames):
        table[row, keys] = 1
    read, targets = chords(table)
    for row, keys in enumerate(frames):
        notes = sorted(set(keys), reverse=True)
        assert targets[:, row].tolist() == [*notes, 7, *[-1] * (len(targets) - len(notes) - 1)]
        assert read[: len(notes) + 1, row].tolist() == [7, *notes]


# -- samples ---------------------------------------------------------------------------------------

SAMPLES = 40_000


def shares(frames: torch.Tensor) -> torch.Tensor:
    """Return how often each frame of EVERY was sampled."""
    places = (frames.long() * 2 ** torch.arange(FEW - 1, -1, -1)).sum(-1)
    return torch.bincount(places, minlength=len(EVERY)) / len(frames)


def within(found: torch.Tensor, expected: torch.Tensor, samples: int = SAMPLES) -> bool:
    """Check that no frequency is off by more than 5 binomial standard deviations and 2 samples."""
    deviation = (expected * (1 - expected) / samples).sqrt()
    return bool(((found - expected).abs() <= 5 * deviation + 2 / samples).all())


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_frames_are_sampled_with_their_probability(output: str) -> None:
    model, context = small(output), some_context()
    expected = probabilities(model, context)
    sampled = model.output.sample(times(context, SAMPLES), random=torch.Generator().manual_seed(1))
    assert within(shares(sampled.frames), expected) and not sampled.weight.any()
    assert not within(shares(sampled.frames), expected.roll(1))
    again = model.output.sample(times(context, SAMPLES), random=torch.Generator().manual_seed(1))
    assert torch.equal(again.frames, sampled.frames)


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_below_a_known_melody_the_rest_is_sampled_exactly(output: str) -> None:
    model, context = small(output), some_context()
    expected = probabilities(model, context)
    melody = 3
    known = torch.tensor([FREE] * melody + [SOUNDS] + [SILENT] * (FEW - melody - 1))
    fits = (EVERY[:, melody] == 1) & (EVERY[:, melody + 1 :].sum(-1) == 0)
    sampled = model.output.sample(
        times(context, SAMPLES), 1.0, known.expand(SAMPLES, -1), torch.Generator().manual_seed(2)
    )
    of_melody = expected[fits].sum()
    assert torch.allclose(sampled.weight, of_melody.log().expand(SAMPLES), rtol=1e-10)
    assert within(shares(sampled.frames), torch.where(fits, expected / of_melody, 0.0))


@torch.no_grad()
def test_known_keys_are_kept_and_the_mean_weight_is_their_probability() -> None:
    model, context = small("autoregressive"), some_context()
    expected = probabilities(model, context)
    known = torch.tensor([SOUNDS, FREE, SILENT, FREE, FREE])
    fits = (EVERY[:, 0] == 1) & (EVERY[:, 2] == 0)
    sampled = model.output.sample(
        times(context, SAMPLES), 1.0, known.expand(SAMPLES, -1), torch.Generator().manual_seed(3)
    )
    assert sampled.frames[:, 0].all() and not sampled.frames[:, 2].any()
    weights = sampled.weight.exp()
    error = weights.std() / math.sqrt(SAMPLES)
    assert weights.std() > 0
    assert weights.mean().item() == pytest.approx(expected[fits].sum().item(), abs=5 * error.item())


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_temperature_zero_takes_the_most_probable_and_a_low_one_nearly_always(output: str) -> None:
    model, context = small(output), some_context()
    coldest = model.output.sample(context, 0.0).frames
    if output == "independent":
        assert torch.equal(coldest[0], EVERY[probabilities(model, context).argmax()].bool())
    cold = model.output.sample(times(context, 500), 1e-5).frames
    assert (cold == coldest).all(-1).double().mean() > 0.95


# -- segments and padding --------------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_padding_does_not_count(output: str) -> None:
    model = small(output, keys=KEYS)
    pieces = [random_piece(length, length) for length in (2, 9, 23)]
    alone = [frame_nats(model, _double(batch([p.roll]))) for p in pieces]
    together = frame_nats(model, _double(batch([p.roll for p in pieces])))
    assert [len(found) for found in alone] == [1, 8, 22]
    assert together.sum().item() == pytest.approx(sum(found.sum().item() for found in alone), rel=1e-10)
    mean = sum(found.sum().item() for found in alone) / 31
    split = RollSplit(tuple(pieces[::-1]))  # not the order of the batches
    assert mean_nats(model.float(), split) == pytest.approx(mean, rel=1e-5)
    found = predict_rolls(model, split)
    assert score_rolls(split, found)["nll_per_frame"] == pytest.approx(mean, rel=1e-5)
    expected = np.concatenate([nats.numpy() for nats in alone[::-1]])
    np.testing.assert_allclose(found.nats, expected, rtol=1e-4)
    for p, first in zip(split.pieces, (0, 22, 30), strict=True):
        context = model(torch.from_numpy(p.roll[:-1, None]).float())[0][:, 0]
        likeliest = model.output.sample(context, temperature=0.0).frames.numpy()
        assert np.array_equal(found.keys[first : first + len(p) - 1], likeliest)


def _double(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return pair[0].double(), pair[1]


@torch.no_grad()
def test_frame_by_frame_equals_the_whole_sequence() -> None:
    model = small("autoregressive", "lstm", keys=KEYS)
    frames = torch.from_numpy(random_piece(9, 1).roll)[:, None].double()
    whole, _ = model(frames)
    state, found = None, []
    for frame in frames:
        context, state = model(frame[None], state)
        found.append(context)
    assert torch.allclose(torch.cat([each.hidden for each in found]), whole.hidden)
    assert torch.equal(torch.cat([each.reference for each in found]), whole.reference)


@given(st.integers(2, 60), st.integers(1, 20))
def test_every_frame_but_the_first_is_scored_once(length: int, steps: int) -> None:
    roll = random_piece(length, 0).roll
    found = segments(roll, steps)
    assert np.array_equal(np.concatenate([roll[:1], *(one[1:] for one in found)]), roll)
    scored = [len(one) - 1 for one in found]
    assert max(scored) <= steps and max(scored) - min(scored) <= 1
    assert all(np.array_equal(a[-1], b[0]) for a, b in pairwise(found))


def training(pieces: tuple[RollPiece, ...], **data: Any) -> RollTraining:
    config = MusicConfig()
    config.training.batch_size, config.training.steps, config.data.transpose = 2, 8, data["transpose"]
    split = RollSplit(pieces)
    dataset = Dataset(split, split, None, RollPreprocessing((4, 4)), (), "")
    return RollTraining(small("independent", keys=KEYS).float(), config, dataset)


def test_training_pieces_are_transposed_again_in_each_epoch() -> None:
    pieces = tuple(piece([30 + i], [40 + i], [41 + i, 60], [42 + i]) for i in range(9))
    own = training(pieces, transpose=5)
    shifts = set()
    for epoch in (1, 2, 3):
        seen = torch.cat([frames for frames, _ in own.batches(epoch)], 1).bool().numpy()
        assert seen.shape[1] == len(pieces)
        for column in range(len(pieces)):
            made = [
                s
                for p in pieces
                for s in range(-5, 6)
                if np.array_equal(np.roll(p.roll, s, 1), seen[:, column])
            ]
            assert made
            shifts.update(made[:1])
    assert len(shifts) > 5
    first = [torch.cat([frames for frames, _ in own.batches(epoch)], 1) for epoch in (1, 1, 2)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    before = digest([own.valid.pieces])
    assert own.validate() == {"valid_loss": mean_nats(own.module, RollSplit(pieces))}
    assert digest([own.valid.pieces]) == before == digest([pieces])
    plain = training(pieces, transpose=0)
    kept = {
        frames[:, b].bool().numpy().tobytes() for frames, _ in plain.batches(1) for b in range(frames.size(1))
    }
    assert kept == {p.roll.tobytes() for p in pieces}


def test_a_piece_at_the_end_of_the_keyboard_stays_on_it() -> None:
    whole = piece([0, 87], [3])
    assert all(
        np.array_equal(randomly_transposed(whole.roll, 5, np.random.default_rng(seed)), whole.roll)
        for seed in range(20)
    )
    silent = piece([], [])
    assert not randomly_transposed(silent.roll, 5, np.random.default_rng(0)).any()


@given(st.integers(1, 30), st.integers(0, 3))
def test_an_epoch_has_its_declared_number_of_batches(count: int, epoch: int) -> None:
    pieces = tuple(random_piece(2 + i, i) for i in range(count))
    own = training(pieces, transpose=2)
    batches = list(own.batches(epoch))
    assert len(batches) == own.steps_per_epoch
    assert sum(int(lengths.sum()) for _, lengths in batches) == sum(len(p) - 1 for p in pieces)


# -- baselines -------------------------------------------------------------------------------------


def fitted(pieces: tuple[RollPiece, ...]) -> Any:
    return BaselineSet([Marginal(), Markov()]).fit(RollSplit(pieces), RollSplit(pieces))


def scored(baselines: Any, pieces: tuple[RollPiece, ...]) -> dict[str, dict[str, float]]:
    split = RollSplit(pieces)
    return {name: score_rolls(split, found) for name, found in baselines.each(split)}


def test_baselines_by_hand() -> None:
    train = (piece([5], [5], [5, 7]), piece([7], [5]))
    found = fitted(train)
    marginal, markov = (one.probability for one in found.members)
    # scored frames: {5}, {5, 7} after {5}, {5}; and {5} after {7}
    assert marginal[5] == pytest.approx((3 + 1) / (3 + 2)) and marginal[7] == pytest.approx(2 / 5)
    assert marginal[0] == pytest.approx(1 / 5)
    assert markov[1, 5] == pytest.approx((2 + 1) / (2 + 2))
    assert markov[0, 5] == pytest.approx((1 + 1) / (1 + 2))
    assert markov[0, 7] == pytest.approx((1 + 1) / (2 + 2))
    assert markov[1, 7] == pytest.approx((0 + 1) / (1 + 2))
    test = (piece([5], [7]),)
    scores = scored(found, test)
    others = -86 * math.log(4 / 5)
    assert scores["marginal"]["nll_per_frame"] == pytest.approx(others - math.log(1 / 5) - math.log(2 / 5))
    assert scores["markov"]["nll_per_frame"] == pytest.approx(others - math.log(1 / 4) - math.log(2 / 4))
    assert scores["marginal"]["note_accuracy"] == scores["markov"]["note_accuracy"] == 0.0
    again = scored(BaselineSet([Marginal(), Markov()]).load_state(found.state()), test)
    assert again == scores


@pytest.mark.parametrize(("name", "bar"), [("JSB_Chorales", 10.49), ("Nottingham", 5.15)])
def test_the_markov_baseline_has_its_recorded_metrics(
    shared_data: Callable[[str], Path], name: str, bar: float
) -> None:
    splits = read_pieces(shared_data(f"music/{name}.mat"))
    found = scored(fitted(splits["train"]), splits["test"])
    assert found["markov"]["nll_per_frame"] == pytest.approx(bar, abs=0.005)
