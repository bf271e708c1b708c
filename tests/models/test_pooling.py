"""Pooling against sums over each sequence alone; the classifier against padding and torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from holdfast.models.classify import (
    LAYERS,
    ChannelProjection,
    ClassifierNetwork,
    TokenEmbedding,
)
from holdfast.models.options import ClassifierOptions
from holdfast.models.pooling import POOLINGS

T, H = 9, 3
LENGTHS = torch.tensor([9, 1, 4, 6])


def alone(name: str, pooling: nn.Module, y: Tensor) -> Tensor:
    """Pool one sequence [n, 2 H] by the definition."""
    rows = [list(map(float, row)) for row in y]
    last = torch.tensor(rows[-1][:H] + rows[0][H:])
    mean = torch.tensor([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    most = torch.tensor([max(column) for column in zip(*rows, strict=True)])
    simple = {"last": last, "mean": mean, "max": most, "concat": torch.cat([last, mean, most])}
    if name in simple:
        return simple[name]
    weight, bias = pooling.projection.weight, pooling.projection.bias
    scores = torch.stack([(weight @ row + bias).tanh() @ pooling.score.weight[0] for row in y])
    weights = scores.exp() / scores.exp().sum()
    return sum(a * row for a, row in zip(weights, y, strict=True))


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_a_batch_equals_pooling_each_sequence(name: str) -> None:
    pooling = POOLINGS[name](H, 2)
    y = torch.randn(T, len(LENGTHS), 2 * H)
    found = pooling(y, LENGTHS)
    assert found.vector.shape == (len(LENGTHS), pooling.size)
    for b, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found.vector[b], alone(name, pooling, y[:n, b]))
        if found.weights is not None:
            assert not found.weights[n:, b].any()
            torch.testing.assert_close(found.weights[:, b].sum(), torch.tensor(1.0))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("name", POOLINGS)
def test_padding_changes_neither_logits_nor_gradients(name: str, cell: str, bidirectional: bool) -> None:
    options = ClassifierOptions(
        cell=cell, hidden_size=4, num_layers=2, pooling=name, bidirectional=bidirectional
    )
    network = ClassifierNetwork(TokenEmbedding(11, 5), 3, options).eval()
    tokens = torch.randint(11, (T, len(LENGTHS)))
    inside = torch.arange(T)[:, None] < LENGTHS
    variants = [tokens, torch.where(inside, tokens, (tokens + 3) % 11), torch.cat([tokens, tokens[:4]])]
    results = []
    for x in variants:
        network.zero_grad()
        logits = network(x, LENGTHS).logits
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad.clone() for p in network.parameters())])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    for b, n in enumerate(LENGTHS.tolist()):
        single = network(tokens[:n, b : b + 1], torch.tensor([n])).logits[0]
        torch.testing.assert_close(single, results[0][0][b], rtol=1e-4, atol=1e-6)


def test_the_network_equals_torch_with_the_same_weights() -> None:
    options = ClassifierOptions(cell="lstm", hidden_size=4, pooling="max")
    network = ClassifierNetwork(ChannelProjection(3, 5), 2, options).eval()
    network.inputs.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    network.inputs.std.copy_(torch.tensor([2.0, 1.0, 0.5]))
    peer = nn.LSTM(5, 4, bidirectional=True)
    peer.load_state_dict(network.layers.state_dict())
    x = torch.randn(T, 2, 3)
    z = (x - torch.tensor([1.0, 2.0, 3.0])) / torch.tensor([2.0, 1.0, 0.5])
    expected = network.output(peer(network.inputs.linear(z))[0].amax(0))
    torch.testing.assert_close(network(x, torch.tensor([T, T])).logits, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("unknown", [None, 7])
def test_dropped_tokens_become_unknown_or_zero(unknown: int | None) -> None:
    embed = TokenEmbedding(9, 4, unknown, dropout=0.5).train()
    tokens = torch.randint(0, 7, (50, 20))
    found, own = embed(tokens), embed.embedding(tokens)
    instead = torch.zeros(4) if unknown is None else embed.embedding.weight[unknown]
    kept, gone = (found == own).all(-1), (found == instead).all(-1)
    assert bool((kept ^ gone).all())
    assert 0.4 < float(gone.float().mean()) < 0.6
    torch.testing.assert_close(embed.eval()(tokens), own)
