"""The tagger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from holdfast._typing import Array
from holdfast.config import DataclassInstance
from holdfast.insight.analysis.request import InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.reporting.html import Section
from holdfast.tasks.baselines import Baseline, BaselineSet
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.metrics import Metric, Scoreboard
from holdfast.tasks.task import Task
from tagging.config import Prediction, TagConfig
from tagging.dataset import TagPreprocessing, TagSplit, read_dataset, read_sentences
from tagging.network import TagNetwork

Tags = list[Array]
Batch = tuple[Tensor, Tensor, Tensor]
PADDING = -100


class MostFrequent(Baseline[TagSplit, Tags]):
    """The most frequent tag of each word, and of all words for an unknown word."""

    name = "most_frequent"
    saved = ("table",)

    def __init__(self, sizes: tuple[int, int]) -> None:
        self.sizes = sizes

    def fit(self, train: TagSplit, valid: TagSplit) -> None:
        """Count the tags of each word."""
        counts = np.zeros(self.sizes)
        np.add.at(counts, (np.concatenate(train.words), np.concatenate(train.tags)), 1)
        counts[0] = counts.sum(0)
        self.table = counts.argmax(1)

    def predict(self, split: TagSplit) -> Tags:
        """Look up every word."""
        return [self.table[words] for words in split.words]


class TagTraining:
    """Batches of sentences, and their cross entropy in training and validation."""

    monitor = "valid_loss"

    def __init__(self, module: TagNetwork, config: TagConfig, train: TagSplit, valid: TagSplit) -> None:
        self.module, self.training, self.train, self.valid = module, config.training, train, valid
        self.steps_per_epoch = -(-len(train) // config.training.batch_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every training sentence once."""
        order = np.random.default_rng([self.training.seed, epoch]).permutation(len(self.train))
        for at in range(0, len(order), self.training.batch_size):
            yield batch(self.train, order[at : at + self.training.batch_size])

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross entropy of every tag."""
        words, lengths, tags = batch
        logits = self.module(words, lengths)
        return cross_entropy(logits.flatten(0, 1), tags.flatten(), ignore_index=PADDING)

    def mean_loss(self, split: TagSplit) -> float:
        """Return the loss of a whole split, in evaluation."""
        training = self.module.training
        self.module.eval()
        with torch.no_grad():
            found = float(self.loss(batch(split, range(len(split)))))
        self.module.train(training)
        return found

    def validate(self) -> dict[str, float]:
        """Return the loss of the validation split."""
        return {self.monitor: self.mean_loss(self.valid)}


def batch(split: TagSplit, chosen: Sequence[int] | Array | range) -> Batch:
    """Return words [T, B], lengths [B] and tags [T, B]."""
    words, tags = ([torch.from_numpy(side[i]) for i in chosen] for side in (split.words, split.tags))
    lengths = torch.tensor([one.size(0) for one in words])
    padded = torch.nn.utils.rnn.pad_sequence
    return padded(words), lengths, padded(tags, padding_value=PADDING)


class Tagger(Task[TagConfig, TagSplit, TagPreprocessing, Tags, TagNetwork]):
    """An LSTM, GRU or RNN that tags every word of a sentence."""

    task = "tagging"
    config_class = TagConfig
    preprocessing_class = TagPreprocessing
    scoreboard = Scoreboard(
        (Metric.higher_is_better("accuracy", "accuracy", "share of words with the right tag"),),
        examples="sentences",
        baselines={"most_frequent": "the most frequent tag of each word"},
    )
    size = "{words:,} words"
    title = "Tagger"
    data_settings = ("separator", "split")

    def read(self, data: Path, valid: Path | None, test: Path | None) -> Dataset[TagSplit, TagPreprocessing]:
        """Read the files."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[TagSplit, tuple[str, ...]]:
        """Read a file as one split."""
        return self.fitted()[1].encode(read_sentences(path, self.config.data.separator)), ()

    def baseline_set(self, preprocessing: TagPreprocessing) -> BaselineSet[TagSplit, Tags]:
        """Return the most frequent tag of each word."""
        return BaselineSet([MostFrequent((len(preprocessing.words) + 1, len(preprocessing.tags)))])

    def network(self, preprocessing: TagPreprocessing) -> TagNetwork:
        """Build the network."""
        net, sizes = self.config.network, (len(preprocessing.words), len(preprocessing.tags))
        return TagNetwork(net.cell, *sizes, net.hidden_size)

    def trainable(self, module: TagNetwork, dataset: Dataset[TagSplit, TagPreprocessing]) -> TagTraining:
        """Return the training."""
        return TagTraining(module, self.config, dataset.train, dataset.valid)

    def predictions(self, split: TagSplit) -> Tags:
        """Return the most probable tags of every sentence."""
        words, lengths, _ = batch(split, range(len(split)))
        with torch.no_grad():
            found = self.fitted_module()(words, lengths).argmax(-1).numpy()
        return [found[:length, column] for column, length in enumerate(lengths.tolist())]

    def score(self, split: TagSplit, predictions: Tags) -> dict[str, float]:
        """Return the accuracy."""
        right = np.concatenate(predictions) == np.concatenate(split.tags)
        return {"accuracy": float(right.mean())}

    def measure(self, split: TagSplit) -> dict[str, Any]:
        """Return the number of words."""
        return {"words": sum(map(len, split.words))}

    def losses(self, dataset: Dataset[TagSplit, TagPreprocessing]) -> dict[str, float]:
        """Return both losses."""
        training = self.trainable(self.fitted_module(), dataset)
        return {
            "train_loss": training.mean_loss(dataset.train),
            "valid_loss": training.mean_loss(dataset.valid),
        }

    def write_predictions(self, data: Path | None, options: DataclassInstance) -> Iterator[str]:
        """Yield a line of tags for each sentence of a file."""
        assert data is not None and isinstance(options, Prediction)
        split, _ = self.read_split(data)
        names = self.fitted()[1].tags
        for sentence, tags in zip(split.sentences, self.predictions(split), strict=True):
            pairs = ((word, names[tag]) for (word, _), tag in zip(sentence, tags, strict=True))
            yield " ".join(f"{word}/{tag}" if options.words else tag for word, tag in pairs) + "\n"

    def inspections(self, data: Path, steps: int) -> list[InspectionRequest]:
        """Return the longest sentence."""
        module, preprocessing = self.fitted()
        split, _ = self.read_split(data)
        longest = max(range(len(split)), key=lambda i: len(split.words[i]))
        words, lengths, tags = batch(split, [longest])
        last = int(tags[-1, 0])
        trainable = TagTraining(module, self.config, split, split)
        return [
            InspectionRequest(
                f"Tagger reading a sentence of {data.name}",
                module,
                lambda: module(words, lengths),
                Steps([word for word, _ in split.sentences[longest]], "word"),
                Score(
                    f"log-probability of {preprocessing.tags[last]}", lambda y: y[-1, 0].log_softmax(-1)[last]
                ),
                Loss("nats per tag", lambda: trainable.mean_loss(split)),
            )
        ]

    def report_sections(self, plots: Path) -> list[Section]:
        """Return the first sentences with their tags."""
        assert self.dataset is not None
        _, split = self.dataset.scored
        names = self.fitted()[1].tags
        rows = [
            [" ".join(word for word, _ in sentence), " ".join(names[tag] for tag in tags)]
            for sentence, tags in zip(split.sentences[:5], self.predictions(split), strict=False)
        ]
        return [Section("First sentences", [], [["sentence", "tags"], *rows])]
