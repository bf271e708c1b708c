"""The sentences of an inspection."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.insight.analysis import summary
from holdfast.insight.analysis.inspection import analyze, inspect
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Score
from holdfast.insight.analysis.results import (
    AblatedComponent,
    Ablation,
    Attribution,
    Inspection,
    LayerTrace,
    Steps,
)
from inspected import characters, layer_trace


def ablate(losses: dict[str, float]) -> str:
    """Return the sentence on gates held at their means, in a network with a loss of 1."""
    steps = Steps(["a", "b"])
    cuts = [AblatedComponent("gate", 0, name, loss) for name, loss in losses.items()]
    found = Inspection(
        "title", steps, [layer_trace("layer 1", "lstm", steps, 3)], ablation=Ablation(1.0, "nats", cuts)
    )
    return summary.sentences(found)[-1]


HELD = ("input gate held at its mean", "forget gate held at its mean", "output gate held at its mean")


def test_the_least_important_gate_and_a_harmful_gate_are_named() -> None:
    sentence = ablate(
        dict(zip(HELD, (0.8, 1.5, 1.01)))
        | {"candidate held at its mean": 9.0, "forget gate always open": 1.3}
    )
    assert "rises most, from 1 to 1.5 nats, with the forget gate held at its mean (layer 1)" in sentence
    assert "changes least, to 1.01, with the output gate held at its mean (layer 1)" in sentence
    assert (
        "The loss falls to 0.8 with the input gate held at its mean (layer 1): the network would do better"
        in sentence
        and "candidate" not in sentence
    )
    assert "falls" not in ablate(dict(zip(HELD, (1.2, 1.5, 1.01))))
    worst = ablate(dict(zip(HELD, (1.2, 1.02, 1.3))) | {"forget gate always open": 4.0})
    assert "rises most, from 1 to 4 nats, with the forget gate always open (layer 1)" in worst
    assert "least, to 1.2, with the input gate held at its mean" in worst


def test_no_gate_matters_where_none_costs_anything() -> None:
    sentence = ablate(dict(zip(HELD, (0.8, 0.9, 1.0))))
    assert (
        sentence.startswith("The loss is 1 nats, and ablating a gate never raises it.")
        and "most" not in sentence
    )
    sentence = ablate(dict(zip(HELD, (0.98, 1.001, 1.0))) | {"forget gate always open": 0.9})
    assert (
        "rises most, from 1 to 1.001 nats, with the forget gate held at its mean" in sentence
        and "least" in sentence
    )
    sentence = ablate(dict(zip(HELD, (1.002, 0.999, 1.0))))
    assert sentence.startswith(
        "No gate matters measurably: the loss is 1 nats, and ablating any one gate changes it by less"
    )


@pytest.mark.parametrize(
    ("step", "named"),
    [(-1, "'c' (1 back)"), (3, "'c' (1 back)"), (1, "'c' (1 after)"), (2, "'c' (0 back)"), (None, "'c'.")],
)
def test_steps_are_counted_back_from_the_output(step: int | None, named: str) -> None:
    values = np.array([0, 0, 2.0, 0])
    by = Attribution("answer", values, values, 1.0, 0.0, step)
    (sentence,) = summary.sentences(Inspection("title", Steps(list("abcd"), "letter"), [], attribution=by))
    assert f"this time step (integrated gradients): {named}" in sentence


@pytest.mark.parametrize("step", [None, 2])
def test_the_step_of_a_score_comes_with_its_attribution(step: int | None) -> None:
    layer, x = nn.GRU(2, 3), torch.randn(5, 1, 2)
    score = Score("it", lambda answer: answer[0][2, 0, 0], step)
    found = analyze(InspectionRequest("title", layer, lambda: layer(x), Steps(list("abcde")), score))
    assert found.attribution is not None and found.attribution.step == step
    (sentence,) = (words for words in found.summary if words.startswith("The it was influenced most"))
    assert ("back)" in sentence) == (step is not None)


@pytest.mark.parametrize(
    ("lives", "reported"),
    [
        (
            [0.1, 0.0963, 0.2],
            "half-life of less than 1 frame. 0% of forget",
        ),
        (
            [1.0, 5.0, inf],
            "half-life of 5 frames (10th percentile: 1 frame; 90th percentile: more than the whole sequence)",
        ),
    ],
)
def test_half_lives_are_described_in_a_sentence(lives: list[float], reported: str) -> None:
    values = {"forget": np.full((4, 3), 0.5)}
    one = LayerTrace("layer 1", "lstm", values, ["forget"], np.array(lives), np.arange(3))
    assert reported in summary.sentences(Inspection("title", Steps(list("abcd"), "frame"), [one]))[0]


def test_a_model_without_a_task_gets_the_needs_of_ablation_as_a_note() -> None:
    layer, x = nn.GRU(2, 3), torch.randn(5, 1, 2)
    assert any("loss=" in note for note in inspect(layer)(x).notes)
    assert not any("loss=" in note for note in inspect(layer)(x, loss=lambda: 1.0).notes)
    request = InspectionRequest(
        "title", layer, lambda: layer(x), Steps(list("abcde")), Score("it", lambda y: y[0].sum())
    )
    assert not any("loss=" in note for note in analyze(request).notes)


def test_parts_keep_their_given_names_in_every_sentence() -> None:
    model = nn.ModuleDict({"deep": nn.GRU(2, 3)})
    x = torch.randn(5, 1, 2)
    request = InspectionRequest(
        "title", model, lambda: model["deep"](x), Steps(list("abcde")), names={"deep": "decoder, layer 1"}
    )
    found = analyze(request)
    assert [one.name for one in found.layers] == [one.name for one in found.gradients] == ["decoder, layer 1"]
    reported = [
        words
        for words in found.summary
        if "deep" in words or words.startswith("decoder, layer 1: the sequences are too short")
    ]
    assert len(reported) == 1 and "deep" not in reported[0]


def test_the_number_of_searched_sequences_is_reported() -> None:
    layer, x = nn.GRU(2, 3), torch.randn(30, 4, 2)
    feature = np.random.default_rng(0).normal(size=(30, 4))
    steps = Steps(characters(30).labels, features={"it": feature[:, 0]})
    request = InspectionRequest("title", layer, lambda: layer(x[:, :1]), steps)
    assert analyze(request).sequences == 1
    assert (
        analyze(replace(request, feature_batch=FeatureBatch(lambda: layer(x), {"it": feature}))).sequences
        == 4
    )
