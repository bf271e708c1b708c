"""The speech network: streaming, batches, and its loss against a sum over all paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.models.options import SpeechOptions
from holdfast.models.speech import FRONTS, SpeechNetwork, ctc_nll

FRAMES = 23


def network(
    front: str = "convolution", subsampling: int = 4, bidirectional: bool = False, cell: str = "gru"
) -> SpeechNetwork:
    torch.manual_seed(1)
    options = SpeechOptions(
        cell=cell,
        hidden_size=9,
        num_layers=2,
        bidirectional=bidirectional,
        front=front,  # type: ignore[arg-type]
        subsampling=subsampling,
        channels=7,
        input_dropout=0.0,
        hidden_dropout=0.0,
        output_dropout=0.0,
    )
    return SpeechNetwork(6, 5, options).eval()


def sound(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, 6, generator=torch.Generator().manual_seed(seed))


@given(
    st.sampled_from(sorted(FRONTS)),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(["rnn", "gru", "lstm"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_streaming_equals_the_whole_utterance(
    front: str, subsampling: int, cell: str, pieces: list[int]
) -> None:
    own = network(front, subsampling, cell=cell)
    frames = sound(sum(pieces))
    stream = own.stream()
    found, at = [], 0
    for piece in pieces:
        found.append(stream.accept(frames[at : at + piece].numpy()))
        at += piece
    found.append(stream.finish())
    whole = np.concatenate(found)
    if at == 0:
        assert whole.shape == (0, 5)
        return
    with torch.no_grad():
        scores, lengths = own(frames[:, None], torch.tensor([at]))
    assert len(whole) == int(lengths[0]) == -(-at // subsampling)
    np.testing.assert_allclose(whole, scores[:, 0].numpy(), atol=2e-5)


def test_an_output_waits_for_its_group_only() -> None:
    stream = network(subsampling=4).stream()
    assert [len(stream.accept(sound(1).numpy())) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("front", sorted(FRONTS))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_utterance_does_not_depend_on_its_batch(front: str, bidirectional: bool) -> None:
    own = network(front, 4, bidirectional)
    short, long = sound(FRAMES, 1), sound(40, 2)
    padded = torch.nn.utils.rnn.pad_sequence([short, long])
    with torch.no_grad():
        together, lengths = own(padded, torch.tensor([FRAMES, 40]))
        alone, _ = own(short[:, None], torch.tensor([FRAMES]))
    assert lengths.tolist() == [6, 10]
    np.testing.assert_allclose(together[:6, 0].numpy(), alone[:, 0].numpy(), atol=1e-5)


def test_a_bidirectional_network_has_no_stream() -> None:
    with pytest.raises(ValueError, match="bidirectional"):
        network(bidirectional=True).stream()


def test_scores_are_probabilities() -> None:
    with torch.no_grad():
        scores, _ = network()(sound(FRAMES)[:, None], torch.tensor([FRAMES]))
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(6, 1))


def test_the_loss_sums_over_all_paths() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    targets, sizes, lengths = torch.tensor([[1, 2], [2, 0]]), torch.tensor([2, 1]), torch.tensor([5, 3])
    found = ctc_nll(scores, lengths, targets, sizes)
    for row, (tokens, frames) in enumerate([((1, 2), 5), ((2,), 3)]):
        total = sum(
            np.exp(sum(float(scores[f, row, u]) for f, u in enumerate(path)))
            for path in itertools.product(range(3), repeat=frames)
            if tuple(u for u, _ in itertools.groupby(path) if u) == tokens
        )
        assert float(found[row]) == pytest.approx(-np.log(total))


def test_every_parameter_has_a_gradient() -> None:
    own = network().train()
    scores, lengths = own(sound(FRAMES)[:, None], torch.tensor([FRAMES]))
    ctc_nll(scores, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in own.parameters())
