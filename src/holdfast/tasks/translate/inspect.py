"""What is looked at in a translator: the first pair of a file, read by the encoder and written by the decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.data.text.parallel import SentencePairs, read_lines
from holdfast.data.text.tokenizers import Ids
from holdfast.errors import UserError
from holdfast.insight.analysis.features import of_tokens, side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.translate import DecoderOutput
from holdfast.tasks.translate import trainable
from holdfast.tasks.translate.dataset import parallel_format
from holdfast.tasks.translate.inference import Translation
from holdfast.tasks.translate.preprocessing import PairPreprocessing, PairSplit
from holdfast.tasks.translate.tokenizer import SentenceTokenizer, source_words

if TYPE_CHECKING:
    from holdfast.tasks.translate.task import Translator

BATCH, LEAST, LOOKED_AT = 16, 4, 128
"""Pairs in which memory and gradients are measured, at most, and at least where there are as many of one length; and
pairs in which units that track something are looked for, and on which the loss is measured."""
END = "\N{RETURN SYMBOL}"
"""How the end of a sentence is shown; the decoder reads it first."""
_OTHERWISE = {
    "position in the sentence", "position in the text", "position in the line", "position in the paragraph",
    "speaker's name",
}  # fmt: skip
"""Features of a text that a single sentence has not, or has as ``position``."""


@dataclass(frozen=True)
class _Looked:
    """A network with its preprocessing, the pairs that are looked at, whether they are the file's, and notes."""

    module: Any
    preprocessing: PairPreprocessing
    split: PairSplit
    given: bool
    notes: tuple[str, ...]

    def run(self, chosen: Sequence[int]) -> Callable[[], DecoderOutput]:
        """What puts some pairs through the network."""
        device = next(self.module.parameters()).device
        own = trainable.on(device, trainable.batch(self.split, chosen, self.preprocessing.ends))
        return lambda: self.module.decode(own.inputs, *self.module.encode(own.source, own.lengths))


def subjects(model: Translator, data: Path, steps: int) -> list[InspectionRequest]:
    """The encoder over the first sentence, and the decoder over its translation.

    The translation is the file's; of a file of sentences alone it is the model's own.

    Raises:
        UserError: what is wrong with the file, or it has no sentence.
    """
    looked = _read(model, data, steps)
    name, score = model.config.network.cell.upper(), _score(looked)
    encoder = InspectionRequest(
        f"{name} translator: its encoder reading the first sentence of {data.name}",
        looked.module,
        looked.run([0]),
        Steps(()),
        replace(score, step=None),  # of a place in the other sentence
        _loss(looked) if looked.given else None,
        looked.run(_of_one_length(looked.split)),
        layers=("encoder",),
        notes=looked.notes,
        name="encoder",
    )
    decoder = replace(
        encoder,
        title=f"{name} translator: its decoder writing the first translation of {data.name}",
        layers=("decoder",),
        extra_plots=lambda folder: [_attention(looked, folder / "attention.png")],
        score=score,
        name="decoder",
        names=_names_of_layers(len(looked.module.decoder.above)),
    )
    if not model.config.network.input_feeding:
        return [_described(encoder, looked, "source"), _described(decoder, looked, "target")]
    note = "The decoder reads its own last output at each step (--input-feeding): it is not taken apart."
    return [replace(_described(encoder, looked, "source"), notes=(*looked.notes, note))]


def _read(model: Translator, data: Path, steps: int) -> _Looked:
    """The first pairs, both sides cut to so many steps with their end."""
    (module, preprocessing), settings = model.fitted(), model.config.data
    given = not data.is_file() if settings.pair else _has_pairs(data, settings.encoding)
    if given:
        whole, notes = parallel_format(settings).read(data)
    else:
        sentences = [line for line in read_lines(data, settings.encoding) if line][:LOOKED_AT]
        whole = SentencePairs.of(zip(sentences, model.predict(sentences), strict=True))
        notes = ("The file has no translations: they are the model's own, and there is no loss to measure.",)
    some = preprocessing.encode(whole[range(min(LOOKED_AT, len(whole)))])
    split = some.shortened(min(settings.max_length, steps - 1))
    split = split[[i for i in range(len(split)) if len(split.sources[i]) and len(split.targets[i])]]
    if not len(split):
        raise UserError(
            "A file that is inspected has a sentence, and a translation that is not empty.",
            f"{data} has {'none that the model translates' if len(whole) else 'none'}.",
            "Give another file, or train for longer.",
        )
    told = f"Units that track something were looked for in the first {len(split)} pairs."
    return _Looked(module, preprocessing, split, given, (*notes, told))


def _has_pairs(data: Path, encoding: str) -> bool:
    """Whether a file holds translations as well: columns, or JSON lines."""
    if not data.is_file() or data.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return True
    return any("\t" in line for line in read_lines(data, encoding)[:LOOKED_AT])


def _of_one_length(split: PairSplit) -> list[int]:
    """Pairs with the longest translations of which there are enough: the decoder is told of no ends."""
    counts = Counter(map(len, split.targets))
    length = max((n for n, count in counts.items() if count >= LEAST), default=len(split.targets[0]))
    return [i for i, target in enumerate(split.targets) if len(target) == length][:BATCH]


# -- what a step is ---------------------------------------------------------------------------------------------


def _described(subject: InspectionRequest, looked: _Looked, side: str) -> InspectionRequest:
    """The subject with the steps of the first sentence of a side, and what is known of all of them."""
    source = side == "source"
    vocabulary = looked.preprocessing.source if source else looked.preprocessing.target
    split = looked.split
    every, texts = (split.sources, split.pairs.sources) if source else (split.targets, split.pairs.targets)
    end = [vocabulary.end]
    read = [np.concatenate([ids, end] if source else [end, ids]) for ids in every]
    each = [_features(ids, vocabulary) for ids in read]
    features = side_by_side(each)
    names = _names(texts[0], every[0], vocabulary)
    labels = [*names, END] if source else [END, *names]
    own = {name: each[0][name] for name in features}
    return replace(
        subject,
        steps=Steps(labels, vocabulary.tokens.kind, features=own),
        feature_batch=FeatureBatch(looked.run(range(len(split))), features),
    )


def _names_of_layers(above: int) -> dict[str, str]:
    """What the decoder's layers are called by their places -> in words."""
    found = ["decoder first", *(f"decoder above {k}" for k in range(above))]
    return {name: f"decoder, layer {k + 1}" for k, name in enumerate(found)}


def _names(text: str, ids: Ids, vocabulary: SentenceTokenizer) -> list[str]:
    """Words as they stand in the sentence, other units as the vocabulary shows them."""
    return source_words(text, vocabulary)[: len(ids)] if vocabulary.words else vocabulary.names(ids.tolist())


def _features(ids: Ids, vocabulary: SentenceTokenizer) -> dict[str, Array]:
    known = of_tokens(ids, vocabulary.tokens)
    found = {name: values for name, values in known.items() if name not in _OTHERWISE}
    place = np.arange(1.0, len(ids) + 1)
    return {"position": place, f"{vocabulary.tokens.kind}s to the end": len(ids) - place, **found}


# -- score, loss and picture ------------------------------------------------------------------------------------


def _score(looked: _Looked) -> Score:
    """The log-probability of the first word of the translation that the model would write otherwise, or of its last."""
    module, vocabulary, ids = looked.module, looked.preprocessing.target, looked.split.targets[0]
    module.eval()
    with torch.no_grad():
        likeliest = module.scores(looked.run([0])().readouts[:, 0]).argmax(-1).tolist()
    names = _names(looked.split.pairs.targets[0], ids, vocabulary)
    spoken = [k for k, name in enumerate(names) if any(c.isalnum() for c in name)] or [0]
    place = next((k for k, unit in enumerate(ids) if likeliest[k] != unit), spoken[-1])
    unit, other = int(ids[place]), likeliest[place]
    rather = "" if other == unit else f" (the model would write {vocabulary.tokens.token(other)!r})"
    name = f"log-probability of {names[place]!r} in place {place + 1} of the translation{rather}"
    return Score(name, lambda answer: module.scores(answer.readouts[place, 0]).log_softmax(-1)[unit], place)


def _loss(looked: _Looked) -> Loss:
    ends = looked.preprocessing.ends
    name = f"nats per target {looked.preprocessing.target.tokens.kind}"
    on = f"on the first {len(looked.split)} pairs"
    return Loss(name, lambda: trainable.mean_nats(looked.module, looked.split, ends), on)


@torch.no_grad()
def _attention(looked: _Looked, path: Path) -> Path:
    """The picture of what the decoder attended to while it wrote the first translation."""
    from holdfast.tasks.translate.plots import attention_plot  # loads matplotlib

    split, preprocessing = looked.split, looked.preprocessing
    source = _names(split.pairs.sources[0], split.sources[0], preprocessing.source)
    target = _names(split.pairs.targets[0], split.targets[0], preprocessing.target)
    looked.module.eval()
    weights = looked.run([0])().weights[: len(target), 0].cpu().numpy()
    return attention_plot([Translation("", 0.0, (*source, END), tuple(target), weights)], path)
