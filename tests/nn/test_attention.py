"""Attention against loops in plain Python, and the mask."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from holdfast.nn.attention import ATTENTIONS, Additive, Multiplicative, attend, length_mask

B, T, S, H, M = 3, 4, 5, 6, 7
LENGTHS = [5, 1, 3]


def vector(row: Tensor) -> list[float]:
    return [float(x) for x in row]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def apply(weight: Tensor, x: list[float]) -> list[float]:
    return [dot(vector(row), x) for row in weight]


def by_hand(module: Multiplicative | Additive, query: list[float], place: list[float]) -> float:
    key = apply(module.key.weight, place)
    if isinstance(module, Multiplicative):
        return dot(query, key)
    inner = [q + b + k for q, b, k in zip(apply(module.query.weight, query), vector(module.query.bias), key)]
    return dot(vector(module.value.weight[0]), [math.tanh(x) for x in inner])


@pytest.mark.parametrize("name", ATTENTIONS)
@torch.no_grad()
def test_scores_weights_and_contexts_follow_the_papers(name: str) -> None:
    module = ATTENTIONS[name](H, M)
    queries, memory = torch.randn(B, T, H), torch.randn(B, S, M)
    contexts, weights = attend(module(queries, module.keys(memory)), memory, length_mask(LENGTHS, S))
    for b in range(B):
        for t in range(T):
            scores = [by_hand(module, vector(queries[b, t]), vector(memory[b, s])) for s in range(LENGTHS[b])]
            total = sum(map(math.exp, scores))
            expected = [math.exp(score) / total for score in scores] + [0.0] * (S - LENGTHS[b])
            assert vector(weights[b, t]) == pytest.approx(expected, abs=1e-5)
            context = [sum(a * float(memory[b, s, m]) for s, a in enumerate(expected)) for m in range(M)]
            assert vector(contexts[b, t]) == pytest.approx(context, abs=1e-5)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_padding_changes_nothing_and_has_no_gradient(name: str) -> None:
    module = ATTENTIONS[name](H, M)
    queries = torch.randn(B, T, H)
    memory = torch.randn(B, S, M, requires_grad=True)
    mask = length_mask(torch.tensor(LENGTHS), S)
    contexts, _ = attend(module(queries, module.keys(memory)), memory, mask)
    contexts.square().sum().backward()
    assert memory.grad is not None
    assert not memory.grad[~mask].any() and bool(memory.grad[mask].any())
    other = torch.where(mask[:, :, None], memory, torch.tensor(9.0))
    torch.testing.assert_close(attend(module(queries, module.keys(other)), other, mask)[0], contexts)


def test_the_mask() -> None:
    assert length_mask([2, 0], 3).tolist() == [[True, True, False], [False, False, False]]
