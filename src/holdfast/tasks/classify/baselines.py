"""What a network has to beat: the most frequent class, linear models, and the nearest neighbor."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.baselines import Baseline, BaselineSet, LeftOut
from holdfast.tasks.classify.metrics import probabilities, surprise
from holdfast.tasks.classify.preprocessing import ClassifyPreprocessing, ExampleSplit, scale_of

PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths C of the penalty, compared on the validation split."""

_MOST_WORDS = 200_000
"""Most words and pairs of words that are counted."""

_MOST_NEIGHBORS = 10_000
"""Most training examples of a nearest-neighbor search."""


def baseline_set(preprocessing: ClassifyPreprocessing) -> BaselineSet[ExampleSplit, Array]:
    """Return the baselines of texts or of series, not fitted; they predict probabilities [N, K]."""
    made = {"text": (Majority, BagOfWords), "series": (Majority, Statistics, NearestNeighbor)}
    return BaselineSet([make(preprocessing.multiple) for make in made[preprocessing.encoder.kind]])


class _Classifier(Baseline[ExampleSplit, Array]):
    """A baseline that knows whether an example may have several labels."""

    def __init__(self, multiple: bool) -> None:
        self.multiple = multiple


class Majority(_Classifier):
    """The share of each class in the training split, whatever the example."""

    name = "majority"
    saved = ("shares",)
    shares: Array

    def fit(self, train: ExampleSplit, valid: ExampleSplit) -> None:
        """Count the classes."""
        self.shares = train.targets.mean(0, dtype=np.float64)

    def predict(self, split: ExampleSplit) -> Array:
        """Return the same for every example: [N, K]."""
        return np.tile(self.shares, (len(split), 1))


class _Regression(_Classifier):
    """Logistic regression ``softmax(W x + b)``, or one per class where there may be several.

    Attributes:
        weight, bias: [K, F] and [K].
    """

    saved: ClassVar[tuple[str, ...]] = ("weight", "bias")
    weight: Array
    bias: Array

    def choose(self, train: Array, targets: Array, valid: Array, truth: Array) -> None:
        """Fit on features [N, F] and targets [N, K]; the validation split chooses the penalty."""
        best = np.inf
        for penalty in PENALTIES:
            weight, bias = _regressions(train, targets, penalty, self.multiple)
            loss = surprise(probabilities(valid @ weight.T + bias, 1.0, self.multiple), truth, self.multiple)
            if loss < best:
                best, self.weight, self.bias = loss, weight, bias

    def probabilities(self, features: Array) -> Array:
        """Return probabilities [N, K] of features [N, F]."""
        return probabilities(np.asarray(features @ self.weight.T) + self.bias, 1.0, self.multiple)

    def state(self) -> dict[str, Array]:
        """Return what was fitted, and whether an example may have several labels."""
        return {"multiple": np.array(self.multiple), **super().state()}


class BagOfWords(_Regression):
    """Logistic regression on the tf-idf of words and pairs of neighboring words."""

    name = "bag_of_words"

    def fit(self, train: ExampleSplit, valid: ExampleSplit) -> None:
        """Count the words of the training split; a large one leaves out those that occur once."""
        texts = train.examples.items
        self.counter = _vectorizer(min_df=2 if len(texts) > 1000 else 1, max_features=_MOST_WORDS)
        features = self.counter.fit_transform(texts)
        held = self.counter.transform(valid.examples.items)
        self.choose(features, train.targets, held, valid.targets)

    def predict(self, split: ExampleSplit) -> Array:
        """Return probabilities [N, K]."""
        return self.probabilities(self.counter.transform(split.examples.items))

    def state(self) -> dict[str, Array]:
        """Return the words (as JSON in bytes), their weights, and the regression."""
        words = sorted(self.counter.vocabulary_, key=self.counter.vocabulary_.get)
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {"words": text, "idf": self.counter.idf_, **super().state()}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` returned."""
        self.counter = _vectorizer(vocabulary=json.loads(arrays["words"].tobytes()))
        self.counter.idf_ = arrays["idf"]
        super().load_state(arrays)


class Statistics(_Regression):
    """Logistic regression on the :func:`statistics` of each channel."""

    name = "statistics"
    saved = ("scale", "weight", "bias")
    scale: Array

    def fit(self, train: ExampleSplit, valid: ExampleSplit) -> None:
        """Standardize the features of the training split, and fit."""
        self.scale = scale_of(statistics(train))
        self.choose(self._features(train), train.targets, self._features(valid), valid.targets)

    def _features(self, split: ExampleSplit) -> Array:
        found: Array = (statistics(split) - self.scale[0]) / self.scale[1]
        return found

    def predict(self, split: ExampleSplit) -> Array:
        """Return probabilities [N, K]."""
        return self.probabilities(self._features(split))


def statistics(split: ExampleSplit) -> Array:
    """Return features [N, 6 C + 1]: the mean, the standard deviation, and the smallest, largest,
    first and last value of each channel, and the length.
    """
    rows = [
        np.concatenate([x.mean(0), x.std(0), x.min(0), x.max(0), x[0], x[-1], [len(x)]]) for x in split.inputs
    ]
    return np.array(rows, np.float64)


class NearestNeighbor(_Classifier):
    """The labels of the nearest training series, after all are stretched to one length."""

    name = "nearest_neighbour"
    saved = ("series", "targets", "scale", "length")
    optional = True
    series: Array
    targets: Array
    scale: Array
    length: Array

    def fit(self, train: ExampleSplit, valid: ExampleSplit) -> None:
        """Keep the series, standardized by channel.

        Raises:
            LeftOut: there are too many.
        """
        if len(train) > _MOST_NEIGHBORS:
            raise LeftOut(f"more than {_MOST_NEIGHBORS:,} training series")
        self.scale = scale_of(np.concatenate(train.inputs).astype(np.float64))
        self.length = np.array(int(np.median(train.lengths)))
        self.series, self.targets = self._stretched(train), train.targets

    def _stretched(self, split: ExampleSplit) -> Array:
        places = np.linspace(0, 1, int(self.length))
        stretched = [
            [np.interp(places, np.linspace(0, 1, len(x)), channel) for channel in x.T]
            for x in ((x - self.scale[0]) / self.scale[1] for x in split.inputs)
        ]
        return np.array(stretched, np.float32).reshape(len(split), -1)

    def predict(self, split: ExampleSplit) -> Array:
        """Return 0 and 1, [N, K]."""
        series, norms = self._stretched(split), np.square(self.series).sum(1)
        nearest = [
            (norms - 2 * block @ self.series.T).argmin(1)
            for block in np.array_split(series, max(1, len(series) // 1000))
        ]
        found: Array = self.targets[np.concatenate(nearest)].astype(np.float64)
        return found


# -- logistic regression ---------------------------------------------------------------------------


def _regressions(features: object, targets: Array, penalty: float, multiple: bool) -> tuple[Array, Array]:
    """Return weights [K, F] and biases [K]."""
    if not multiple:
        return _regression(features, targets.argmax(1), targets.shape[1], penalty)
    found = [_regression(features, column > 0.5, 2, penalty) for column in targets.T]
    return np.stack([w[1] - w[0] for w, _ in found]), np.array([b[1] - b[0] for _, b in found])


def _regression(features: Any, classes: Array, count: int, penalty: float) -> tuple[Array, Array]:
    """Fit one regression for ``count`` classes; one without examples gets a probability near 0."""
    present = np.unique(classes).astype(int)
    weight, bias = np.zeros((count, features.shape[1])), np.full(count, -30.0)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    regression = load_extra("sklearn.linear_model", "text").LogisticRegression(C=penalty, max_iter=300)
    with warnings.catch_warnings():  # a fit that stops early is still a baseline
        warnings.simplefilter("ignore")
        model = regression.fit(features, classes)
    half = len(present) == 2  # the one row of weights is that of the second class
    weight[present] = np.concatenate([-model.coef_, model.coef_]) / 2 if half else model.coef_
    both = np.concatenate([-model.intercept_, model.intercept_]) / 2
    bias[present] = both if half else model.intercept_
    return weight, bias


def _vectorizer(**settings: object) -> Any:
    """Return a counter of words of one character or more, and of pairs of them."""
    return load_extra("sklearn.feature_extraction.text", "text").TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[^\w\s]", **settings
    )
