"""What to inspect in a translator: the first pair of a file, in the encoder and the decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.data.text.parallel import SentencePairs, read_lines
from holdfast.data.text.tokenizers import Ids
from holdfast.errors import UserError
from holdfast.insight.analysis.features import of_tokens, side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.translate import DecoderOutput, TranslationNetwork
from holdfast.tasks.translate import trainable
from holdfast.tasks.translate.dataset import parallel_format
from holdfast.tasks.translate.inference import Translation
from holdfast.tasks.translate.plots import attention_plot
from holdfast.tasks.translate.preprocessing import PairPreprocessing, PairSplit
from holdfast.tasks.translate.tokenizer import SentenceTokenizer, source_words

if TYPE_CHECKING:
    from holdfast.tasks.translate.task import Translator

_BATCH, _LEAST = 16, 4
"""Most and fewest pairs of one length on which memory and gradients are measured."""
_PAIRS = 128
"""Pairs that are searched for feature units, and on which the loss is measured."""
END = "\N{RETURN SYMBOL}"
"""Label of the end token, which the decoder reads first."""
_OTHERWISE = {
    "position in the sentence", "position in the text", "position in the line", "position in the paragraph",
    "speaker's name",
}  # fmt: skip
"""Features of a text that a single sentence lacks, or has as ``position``."""


@dataclass(frozen=True)
class _Inspected:
    """A network, its preprocessing, the pairs, whether the file gives both sides, and notes."""

    module: TranslationNetwork
    preprocessing: PairPreprocessing
    split: PairSplit
    given: bool
    notes: tuple[str, ...]

    def run(self, chosen: Sequence[int]) -> Callable[[], DecoderOutput]:
        """Return a function that runs the network on some pairs."""
        device = next(self.module.parameters()).device
        own = trainable.on(device, trainable.batch(self.split, chosen, self.preprocessing.ends))
        return lambda: self.module.decode(own.inputs, *self.module.encode(own.source, own.lengths))


def inspections(model: Translator, data: Path, steps: int) -> list[InspectionRequest]:
    """Return requests for the encoder on the first sentence, and the decoder on its translation.

    The translation is the file's, or the model's own where the file has sentences only.

    Raises:
        UserError: anything is wrong with the file, or it has no sentence.
    """
    inspected = _read(model, data, steps)
    name, score = model.config.network.cell.upper(), _score(inspected)
    encoder = InspectionRequest(
        f"{name} translator: its encoder reading the first sentence of {data.name}",
        inspected.module,
        inspected.run([0]),
        Steps(()),
        replace(score, step=None),  # its place is in the other sentence
        _loss(inspected) if inspected.given else None,
        inspected.run(_of_one_length(inspected.split)),
        layers=("encoder",),
        notes=inspected.notes,
        name="encoder",
    )
    layers = ["decoder first", *(f"decoder above {k}" for k in range(len(inspected.module.decoder.above)))]
    decoder = replace(
        encoder,
        title=f"{name} translator: its decoder writing the first translation of {data.name}",
        layers=("decoder",),
        extra_plots=lambda folder: [_attention(inspected, folder / "attention.png")],
        score=score,
        name="decoder",
        names={name: f"decoder, layer {k + 1}" for k, name in enumerate(layers)},
    )
    if not model.config.network.input_feeding:
        return [_described(encoder, inspected, "source"), _described(decoder, inspected, "target")]
    note = "The decoder reads its own previous output at each step (--input-feeding), so it is not inspected."
    return [replace(_described(encoder, inspected, "source"), notes=(*inspected.notes, note))]


def _read(model: Translator, data: Path, steps: int) -> _Inspected:
    """Read the first pairs, both sides cut to ``steps`` with their end tokens."""
    (module, preprocessing), settings = model.fitted(), model.config.data
    given = not data.is_file() if settings.pair else _has_pairs(data, settings.encoding)
    if given:
        whole, notes = parallel_format(settings).read(data)
    else:
        sentences = [line for line in read_lines(data, settings.encoding) if line][:_PAIRS]
        whole = SentencePairs.of(zip(sentences, model.predict(sentences), strict=True))
        notes = ("The file has no translations: they are the model's own, and there is no loss to measure.",)
    some = preprocessing.encode(whole[range(min(_PAIRS, len(whole)))])
    split = some.shortened(min(settings.max_length, steps - 1))
    split = split[[i for i in range(len(split)) if len(split.sources[i]) and len(split.targets[i])]]
    if not len(split):
        raise UserError(
            "A file to inspect must have a sentence and a translation that is not empty.",
            f"{data} has {'none that the model translates' if len(whole) else 'none'}.",
            "Give another file, or train for longer.",
        )
    note = f"The first {len(split)} pairs were searched for feature units."
    return _Inspected(module, preprocessing, split, given, (*notes, note))


def _has_pairs(data: Path, encoding: str) -> bool:
    """Return whether a file has translations as well: columns, or JSON lines."""
    if not data.is_file() or data.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return True
    return any("\t" in line for line in read_lines(data, encoding)[:_PAIRS])


def _of_one_length(split: PairSplit) -> list[int]:
    """Return pairs with the longest translations of one length: the decoder gets no lengths."""
    counts = Counter(map(len, split.targets))
    length = max((n for n, count in counts.items() if count >= _LEAST), default=len(split.targets[0]))
    return [i for i, target in enumerate(split.targets) if len(target) == length][:_BATCH]


# -- steps -----------------------------------------------------------------------------------------


def _described(request: InspectionRequest, inspected: _Inspected, side: str) -> InspectionRequest:
    """Add the steps of the first sentence of a side, and the features of all sentences."""
    source = side == "source"
    vocabulary = inspected.preprocessing.source if source else inspected.preprocessing.target
    split = inspected.split
    every, texts = (split.sources, split.pairs.sources) if source else (split.targets, split.pairs.targets)
    end = [vocabulary.end]
    read = [np.concatenate([ids, end] if source else [end, ids]) for ids in every]
    each = [_features(ids, vocabulary) for ids in read]
    features = side_by_side(each)
    names = _names(texts[0], every[0], vocabulary)
    labels = [*names, END] if source else [END, *names]
    own = {name: each[0][name] for name in features}
    return replace(
        request,
        steps=Steps(labels, vocabulary.tokens.kind, features=own),
        feature_batch=FeatureBatch(inspected.run(range(len(split))), features),
    )


def _names(text: str, ids: Ids, vocabulary: SentenceTokenizer) -> list[str]:
    """Return words as the sentence has them, other tokens as the vocabulary names them."""
    return source_words(text, vocabulary)[: len(ids)] if vocabulary.words else vocabulary.names(ids.tolist())


def _features(ids: Ids, vocabulary: SentenceTokenizer) -> dict[str, Array]:
    known = of_tokens(ids, vocabulary.tokens)
    found = {name: values for name, values in known.items() if name not in _OTHERWISE}
    place = np.arange(1.0, len(ids) + 1)
    return {"position": place, f"{vocabulary.tokens.kind}s to the end": len(ids) - place, **found}


# -- score, loss and plot --------------------------------------------------------------------------


def _score(inspected: _Inspected) -> Score:
    """Return the log-probability of the first word the model would not write, or of the last."""
    module, vocabulary, ids = inspected.module, inspected.preprocessing.target, inspected.split.targets[0]
    module.eval()
    with torch.no_grad():
        likeliest = module.scores(inspected.run([0])().readouts[:, 0]).argmax(-1).tolist()
    names = _names(inspected.split.pairs.targets[0], ids, vocabulary)
    spoken = [k for k, name in enumerate(names) if any(c.isalnum() for c in name)] or [0]
    place = next((k for k, token in enumerate(ids) if likeliest[k] != token), spoken[-1])
    token, other = int(ids[place]), likeliest[place]
    rather = "" if other == token else f" (the model would write {vocabulary.tokens.token(other)!r})"
    name = f"log-probability of {names[place]!r} at position {place + 1} of the translation{rather}"
    return Score(name, lambda answer: module.scores(answer.readouts[place, 0]).log_softmax(-1)[token], place)


def _loss(inspected: _Inspected) -> Loss:
    ends = inspected.preprocessing.ends
    name = f"nats per target {inspected.preprocessing.target.tokens.kind}"
    on = f"on the first {len(inspected.split)} pairs"
    return Loss(name, lambda: trainable.mean_nats(inspected.module, inspected.split, ends), on)


@torch.no_grad()
def _attention(inspected: _Inspected, path: Path) -> Path:
    """Plot the attention of the decoder on the first translation."""
    split, preprocessing = inspected.split, inspected.preprocessing
    source = _names(split.pairs.sources[0], split.sources[0], preprocessing.source)
    target = _names(split.pairs.targets[0], split.targets[0], preprocessing.target)
    inspected.module.eval()
    weights = inspected.run([0])().weights[: len(target), 0].cpu().numpy()
    return attention_plot([Translation("", 0.0, (*source, END), tuple(target), weights)], path)
