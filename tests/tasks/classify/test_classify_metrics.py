"""Metrics of probabilities against counts by hand, scikit-learn and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.trainable import Likelihood, class_weights

ONE_HOT = np.eye(3)[[0, 1, 2, 1]]
FOUND = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.0, 0.95, 0.05]])


def test_metrics_by_hand() -> None:
    scores = metrics.score(FOUND, ONE_HOT, multiple=False)
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    gaps = (1 - 0.7, 0.5, 1 - 0.8, 1 - 0.95)  # four bins with one example each
    assert scores["ece"] == pytest.approx(sum(gaps) / 4)
    assert scores["auroc"] == pytest.approx((1 + 1 + 1) / 3)


def test_metrics_of_several_labels_by_hand() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 0]])
    found = np.array([[0.9, 0.1], [0.8, 0.3], [0.2, 0.4]])
    scores = metrics.score(found, truth, multiple=True)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert scores["auroc"] == pytest.approx((1 + 0.5) / 2)


def test_auroc_is_left_out_if_a_class_has_no_example() -> None:
    assert "auroc" not in metrics.score(FOUND[:2], ONE_HOT[:2], multiple=False)


def test_calibrated_probabilities_have_almost_no_error_and_certain_ones_do() -> None:
    random = np.random.default_rng(0)
    found = random.dirichlet(np.ones(4), 40_000)
    sampled = (found.cumsum(1) > random.random(len(found))[:, None]).argmax(1)
    assert metrics.reliability(found, np.eye(4)[sampled], multiple=False).ece < 0.01
    sure = np.eye(4)[np.zeros(len(found), int)]
    assert metrics.reliability(sure, np.eye(4)[sampled], False).ece == pytest.approx((sampled != 0).mean())


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_recovered(temperature: float, multiple: bool) -> None:
    random = np.random.default_rng(1)
    honest = 2 * random.standard_normal((20_000, 3))
    p = metrics.probabilities(honest, 1.0, multiple)
    if multiple:
        targets = (random.random(p.shape) < p).astype(float)
    else:
        targets = np.eye(3)[(p.cumsum(1) > random.random(len(p))[:, None]).argmax(1)]
    assert metrics.fit_temperature(honest * temperature, targets, multiple) == pytest.approx(
        temperature, rel=0.05
    )


def test_no_mistake_on_few_examples_is_not_certainty() -> None:
    targets = np.eye(2)[np.arange(20) % 2]
    temperature = metrics.fit_temperature(10 * targets, targets, multiple=False)
    sure = metrics.probabilities(10 * targets, temperature, multiple=False).max()
    assert sure == pytest.approx(1 - 1 / 44, abs=1e-3)


def test_probabilities_are_torchs() -> None:
    logits = 50 * torch.randn(20, 4, dtype=torch.float64)
    for multiple, expected in ((False, (logits / 3).softmax(1)), (True, (logits / 3).sigmoid())):
        found = metrics.probabilities(logits.numpy(), 3.0, multiple)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-300)


def test_confusion_is_scikit_learns() -> None:
    random = np.random.default_rng(2)
    truth, found = random.integers(0, 4, 100), random.dirichlet(np.ones(4), 100)
    expected = confusion_matrix(truth, found.argmax(1), labels=range(4))
    assert np.array_equal(metrics.confusion(found, np.eye(4)[truth]), expected)


def test_balanced_weights_let_every_class_count_alike() -> None:
    targets = np.eye(3, dtype=np.float32)[[0] * 6 + [1] * 3 + [2]]
    weights = class_weights(targets, multiple=False)
    np.testing.assert_allclose(weights.numpy() * targets.sum(0), [10 / 3] * 3, rtol=1e-6)
    logits = torch.randn(10, 3)
    nats = -logits.log_softmax(1)[torch.arange(10), torch.from_numpy(targets).argmax(1)]
    by_class = [nats[:6].mean(), nats[6:9].mean(), nats[9:].mean()]
    found = Likelihood(False, weights)(logits, torch.from_numpy(targets))
    torch.testing.assert_close(found, torch.stack(by_class).mean())


def test_balanced_weights_of_several_labels_let_presence_count_as_absence() -> None:
    targets = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    assert class_weights(targets, multiple=True).tolist() == pytest.approx([3, 1 / 3])
