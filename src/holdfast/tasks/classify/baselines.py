"""What a network has to beat: the most frequent class, and linear and nearest-neighbour methods without order."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.tasks.classify.dataset import Part
from holdfast.tasks.classify.metrics import probabilities, sklearn, surprise

PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths C of the penalty that are tried on the validation part."""

_MOST_WORDS = 200_000
"""Words and pairs of words that are counted: the most frequent."""

_MOST_NEIGHBOURS = 10_000
"""Training examples up to which the nearest one is looked for."""


class Baseline(Protocol):
    """A simple classifier."""

    @property
    def name(self) -> str:
        """As reports show it."""

    def fit(self, train: Part, valid: Part, multiple: bool) -> None:
        """Learn from the training part; the validation part may choose between settings."""

    def probabilities(self, part: Part) -> Array:
        """[N, K]."""

    def state(self) -> dict[str, Array]:
        """What was learnt, by name."""

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` gave."""


class _Majority:
    """The share of each class in the training part, whatever the example."""

    name = "majority"

    def fit(self, train: Part, valid: Part, multiple: bool) -> None:
        """Count."""
        self.shares = train.targets.mean(0, dtype=np.float64)

    def probabilities(self, part: Part) -> Array:
        """The same for every example: [N, K]."""
        return np.tile(self.shares, (len(part), 1))

    def state(self) -> dict[str, Array]:
        """The shares [K]."""
        return {"shares": self.shares}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take the shares."""
        self.shares = arrays["shares"]


class Linear:
    """Logistic regression ``softmax(W x + b)``, or of several classes one by one; C is chosen on validation."""

    multiple = False

    def fit(self, train: Array, targets: Array, valid: Array, truth: Array, multiple: bool) -> None:
        """Features [N, F] (or sparse) and targets [N, K] of both parts."""
        self.multiple, best = multiple, np.inf
        for penalty in PENALTIES:
            weight, bias = _regressions(train, targets, penalty, multiple)
            loss = surprise(probabilities(valid @ weight.T + bias, 1.0, multiple), truth, multiple)
            if loss < best:
                best, self.weight, self.bias = loss, weight, bias

    def probabilities(self, features: Array) -> Array:
        """[N, F] -> [N, K]."""
        return probabilities(np.asarray(features @ self.weight.T) + self.bias, 1.0, self.multiple)

    def state(self) -> dict[str, Array]:
        """Weights [K, F] and biases [K]."""
        return {"weight": self.weight, "bias": self.bias, "multiple": np.array(self.multiple)}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take them."""
        self.weight, self.bias, self.multiple = arrays["weight"], arrays["bias"], bool(arrays["multiple"])


class _BagOfWords:
    """Logistic regression on words and pairs of neighbouring words, weighted by tf-idf, without their order."""

    name = "bag_of_words"

    def __init__(self) -> None:
        self.linear = Linear()

    def fit(self, train: Part, valid: Part, multiple: bool) -> None:
        """Count the words of the training part; those that come once in a large part are left out."""
        texts = train.examples.items
        self.counter = _vectorizer(min_df=2 if len(texts) > 1000 else 1, max_features=_MOST_WORDS)
        features = self.counter.fit_transform(texts)
        held = self.counter.transform(valid.examples.items)
        self.linear.fit(features, train.targets, held, valid.targets, multiple)

    def probabilities(self, part: Part) -> Array:
        """[N, K]."""
        return self.linear.probabilities(self.counter.transform(part.examples.items))

    def state(self) -> dict[str, Array]:
        """The words (as JSON in bytes), their weights, and the regression."""
        words = sorted(self.counter.vocabulary_, key=self.counter.vocabulary_.get)
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {"words": text, "idf": self.counter.idf_, **self.linear.state()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take them."""
        self.counter = _vectorizer(vocabulary=json.loads(arrays["words"].tobytes()))
        self.counter.idf_ = arrays["idf"]
        self.linear.load(arrays)


class Statistics:
    """Logistic regression on the mean, deviation, least, largest, first and last value of each channel."""

    name = "statistics"

    def __init__(self) -> None:
        self.linear = Linear()

    def fit(self, train: Part, valid: Part, multiple: bool) -> None:
        """Standardise the features of the training part, and fit."""
        raw = statistics(train)
        std = raw.std(0)
        self.scale = np.stack([raw.mean(0), np.where(std > 0, std, 1.0)])
        self.linear.fit(self._features(train), train.targets, self._features(valid), valid.targets, multiple)

    def _features(self, part: Part) -> Array:
        found: Array = (statistics(part) - self.scale[0]) / self.scale[1]
        return found

    def probabilities(self, part: Part) -> Array:
        """[N, K]."""
        return self.linear.probabilities(self._features(part))

    def state(self) -> dict[str, Array]:
        """The features' scale [2, 6 C + 1], and the regression."""
        return {"scale": self.scale, **self.linear.state()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take them."""
        self.scale = arrays["scale"]
        self.linear.load(arrays)


def statistics(part: Part) -> Array:
    """Features [N, 6 C + 1]: six of each channel, and the length."""
    parts = [
        np.concatenate([x.mean(0), x.std(0), x.min(0), x.max(0), x[0], x[-1], [len(x)]]) for x in part.inputs
    ]
    return np.array(parts, np.float64)


class _Neighbour:
    """The labels of the nearest training series, by the distance of all steps after stretching to the same length."""

    name = "nearest_neighbour"

    def fit(self, train: Part, valid: Part, multiple: bool) -> None:
        """Keep the series, standardised by channel."""
        rows = np.concatenate(train.inputs).astype(np.float64)
        std = rows.std(0)
        self.scale = np.stack([rows.mean(0), np.where(std > 0, std, 1.0)])
        self.length = int(np.median(train.lengths))
        self.series, self.targets = self._stretched(train), train.targets

    def _stretched(self, part: Part) -> Array:
        places = np.linspace(0, 1, self.length)
        stretched = [
            [np.interp(places, np.linspace(0, 1, len(x)), channel) for channel in x.T]
            for x in ((x - self.scale[0]) / self.scale[1] for x in part.inputs)
        ]
        return np.array(stretched, np.float32).reshape(len(part), -1)

    def probabilities(self, part: Part) -> Array:
        """0 and 1, [N, K]."""
        series, norms = self._stretched(part), np.square(self.series).sum(1)
        nearest = [
            (norms - 2 * block @ self.series.T).argmin(1)
            for block in np.array_split(series, max(1, len(series) // 1000))
        ]
        found: Array = self.targets[np.concatenate(nearest)].astype(np.float64)
        return found

    def state(self) -> dict[str, Array]:
        """The series [N, C T], their targets, scale and length."""
        return {
            "series": self.series,
            "targets": self.targets,
            "scale": self.scale,
            "length": np.array(self.length),
        }

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take them."""
        self.series, self.targets, self.scale = arrays["series"], arrays["targets"], arrays["scale"]
        self.length = int(arrays["length"])


# -- the set that applies ----------------------------------------------------------------------------------------

_MAKE: dict[str, Callable[[], Baseline]] = {
    made.name: made for made in (_Majority, _BagOfWords, Statistics, _Neighbour)
}
_OF_KIND = {"text": ("majority", "bag_of_words"), "series": ("majority", "statistics", "nearest_neighbour")}


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines; ``notes`` tells what was left out and why."""

    members: tuple[Baseline, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, kind: str, train: Part, valid: Part, multiple: bool) -> Self:
        """Fit every baseline that applies.

        Raises:
            UserError: a library is missing (``pip install 'holdfast[text]'``).
        """
        names: tuple[str, ...] = _OF_KIND[kind]
        notes: tuple[str, ...] = ()
        if len(train) > _MOST_NEIGHBOURS and "nearest_neighbour" in names:
            names = tuple(name for name in names if name != "nearest_neighbour")
            notes = (f"baseline nearest_neighbour left out: more than {_MOST_NEIGHBOURS:,} training series",)
        members = tuple(_MAKE[name]() for name in names)
        for member in members:
            member.fit(train, valid, multiple)
        return cls(members, notes)

    def each(self, part: Part) -> Iterator[tuple[str, Array]]:
        """Name and probabilities [N, K] of each baseline."""
        for member in self.members:
            yield member.name, member.probabilities(part)

    def state(self) -> dict[str, Array]:
        """Everything fitted, as ``<name>.<array>``."""
        return {f"{m.name}.{key}": array for m in self.members for key, array in m.state().items()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        members = []
        try:
            for name in [name for name in _MAKE if any(key.startswith(f"{name}.") for key in arrays)]:
                member = _MAKE[name]()
                prefix = f"{name}."
                member.load({k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)})
                members.append(member)
        except (KeyError, ValueError) as error:
            rule = "baselines.safetensors holds the baselines as training wrote them."
            raise UserError(
                rule, f"It is damaged: {error}.", "Copy the folder again, or train anew."
            ) from error
        return cls(tuple(members))


def _regressions(features: Any, targets: Array, penalty: float, multiple: bool) -> tuple[Array, Array]:
    """Weights [K, F] and biases [K]."""
    if not multiple:
        return _regression(features, targets.argmax(1), targets.shape[1], penalty)
    found = [_regression(features, column > 0.5, 2, penalty) for column in targets.T]
    return np.stack([w[1] - w[0] for w, _ in found]), np.array([b[1] - b[0] for _, b in found])


def _regression(features: Any, classes: Array, count: int, penalty: float) -> tuple[Array, Array]:
    """Of one class among ``count``; classes without a single example get a probability of almost 0."""
    present = np.unique(classes).astype(int)
    weight, bias = np.zeros((count, features.shape[1])), np.full(count, -30.0)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    with warnings.catch_warnings():  # a fit that stops early is still one to beat
        warnings.simplefilter("ignore")
        model = sklearn("linear_model").LogisticRegression(C=penalty, max_iter=300).fit(features, classes)
    half = len(present) == 2  # the one row of weights is that of the second class
    weight[present] = np.concatenate([-model.coef_, model.coef_]) / 2 if half else model.coef_
    both = np.concatenate([-model.intercept_, model.intercept_]) / 2
    bias[present] = both if half else model.intercept_
    return weight, bias


def _vectorizer(**settings: Any) -> Any:
    """Words of one character or more, and pairs of them."""
    return sklearn("feature_extraction.text").TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[^\w\s]", **settings
    )
