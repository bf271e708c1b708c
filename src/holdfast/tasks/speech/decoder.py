"""Decode frames of whole or live sound into words, with or without a language model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.sound_files import read_blocks
from holdfast.decoding.ctc import CTCDecoder, GreedyCTC, PrefixBeamSearch
from holdfast.decoding.lm_fusion import (
    NextTokenModel,
    NGramWordModel,
    NoTextModel,
    RecurrentCharacterModel,
    RecurrentWordModel,
    ShallowFusion,
    TextModel,
    WordModelAsText,
)
from holdfast.errors import UserError
from holdfast.models.speech import SpeechNetwork
from holdfast.tasks.speech.config import NGRAM, DecodingConfig
from holdfast.tasks.speech.frontend import Frontend
from holdfast.tasks.speech.metrics import score
from holdfast.tasks.speech.preprocessing import SpeechSplit
from holdfast.tasks.speech.segments import FRAME, Segment, Segmenter, segments_of, text_of
from holdfast.tasks.speech.tokenizer import CTCTokenizer
from holdfast.tasks.speech.trainable import log_probabilities

_BEAM = 16
"""Beam of a search with a language model or hot words, where none is given."""
_WEIGHTS, _BONUSES = (0.25, 0.5, 1.0, 1.5), (0.0, 1.0, 2.0)
"""Weights of the language model and bonuses for words that are tried on the validation split."""
_TUNED_ON = 200
"""Most validation utterances on which they are tried."""
BLOCK = 0.1
"""Seconds of a file in one block, as from a microphone."""


@dataclass(frozen=True)
class Recognizer:
    """A network with its tokenizer and a decoder."""

    module: SpeechNetwork
    tokenizer: CTCTokenizer
    decoder: CTCDecoder

    @classmethod
    def of(
        cls,
        module: SpeechNetwork,
        tokenizer: CTCTokenizer,
        asked: DecodingConfig,
        ngrams: NGramWordModel | None,
        chosen: Mapping[str, float],
    ) -> Recognizer:
        """Build the decoder of the settings; ``chosen`` are default weights, from validation."""
        model = _text_model(asked.lm, ngrams)
        if model is None and not asked.hot_words and asked.beam in (None, 1):
            return cls(module, tokenizer, GreedyCTC())
        weights = {"lm_weight": asked.lm_weight, "word_bonus": asked.word_bonus}
        own = chosen if model is not None else {}
        weight, bonus = (own.get(n, d) if v is None else v for (n, v), d in zip(weights.items(), (0.5, 0.0)))
        hot = {word.strip(): asked.hot_boost for word in asked.hot_words}
        _check_hot(hot, tokenizer)
        fusion = ShallowFusion(tokenizer.pieces, model or NoTextModel(), weight, bonus, hot)
        return cls(module, tokenizer, PrefixBeamSearch(asked.beam or _BEAM, fusion))

    @property
    def step(self) -> float:
        """Seconds between frames of the network."""
        return FRAME * self.module.options.subsampling

    def segments(self, frames: Array) -> list[Segment]:
        """Return the segments of one sound [T, F]."""
        return self.decoded(log_probabilities(self.module, [frames]))[0]

    def texts(self, frames: Sequence[Array]) -> list[str]:
        """Return the text of every sound [T, F]."""
        return list(map(text_of, self.decoded(log_probabilities(self.module, frames))))

    def decoded(self, scores: Iterable[Array]) -> list[list[Segment]]:
        """Return the segments of every ``log p`` [S, V]."""
        return [segments_of(own, self.decoder, self.tokenizer, self.step) for own in scores]


def _check_hot(hot: Iterable[str], tokenizer: CTCTokenizer) -> None:
    """Refuse hot words that the network cannot write.

    Raises:
        UserError: names the first.
    """
    made = "" if tokenizer.kind == "word" else "made of characters that are "
    rule = f"A hot word must be {made}in the training sentences."
    for word in hot:
        if not tokenizer.unknown(word):
            continue
        forms = (word.lower(), word.upper(), word.title())
        other = next((form for form in forms if not tokenizer.unknown(form)), None)
        fix = "Leave it out, or train with --token character, which can write new words."
        raise UserError(rule, f"{word!r} is not.", f"Give {other!r} instead." if other else fix)


def _text_model(name: str | None, ngrams: NGramWordModel | None) -> TextModel | None:
    """Return the language model that is asked for.

    Raises:
        UserError: there is no such run, or it is of another task or of other tokens.
    """
    if name in (None, "none"):
        return None
    if name == NGRAM:
        assert ngrams is not None
        return WordModelAsText(ngrams)
    from holdfast.tasks.registry import load

    model = load(Path(str(name)))
    kind = model.config.text.token if model.task == "language" else model.task
    if kind not in ("word", "character"):
        raise UserError(
            "A language model for speech must be one of words or of characters.",
            f"The run in {name} is of the {'task' if model.task != 'language' else 'token'} {kind}.",
            "Train one with holdfast train language TEXT.txt --token word, or --token character.",
        )
    reader: NextTokenModel = model.reader()
    return WordModelAsText(RecurrentWordModel(reader)) if kind == "word" else RecurrentCharacterModel(reader)


def tuned(recognizer: Recognizer, ngrams: NGramWordModel | None, valid: SpeechSplit) -> dict[str, float]:
    """Return the weight and the bonus with the lowest word error rate on the validation split."""
    some = valid.select(range(min(_TUNED_ON, len(valid))))
    scores = log_probabilities(recognizer.module, some.frames)
    results = []
    for weight, bonus in product(_WEIGHTS, _BONUSES):
        asked = DecodingConfig(lm=NGRAM, lm_weight=weight, word_bonus=bonus)
        one = Recognizer.of(recognizer.module, recognizer.tokenizer, asked, ngrams, {})
        texts = list(map(text_of, one.decoded(scores)))
        results.append((score(texts, some.texts)["wer"], weight, bonus))
    _, weight, bonus = min(results)
    return {"lm_weight": weight, "word_bonus": bonus}


class StreamingRecognizer:
    """Recognizer of live sound: returns segments of text as they end, in constant memory.

    The segments together are the text that the network gives for the whole sound (tested).

    Args:
        module: a network that reads forwards only.
        frontend: from samples to frames.
        recognizer: from ``log p`` to text.

    Raises:
        UserError: the network reads in both directions, its frames are not computed from sound, or
            their normalization needs future frames.
    """

    def __init__(self, module: SpeechNetwork, frontend: Frontend, recognizer: Recognizer) -> None:
        if module.options.bidirectional:
            raise UserError(
                "A network for live sound must read forwards only.",
                "This one reads in both directions.",
                "Train one with --no-bidirectional, or leave --live out.",
            )
        self.frames = frontend.stream()
        self.rate = self.frames.rate
        self.network = module.stream()
        self.segmenter = Segmenter(recognizer.decoder, recognizer.tokenizer, recognizer.step)

    def accept(self, samples: Array) -> list[Segment]:
        """Return the segments that end within these samples [n], -1 ... 1."""
        if samples.dtype.kind != "f":
            raise UserError(
                "Samples must be floating-point numbers from -1 to 1.",
                f"They were {samples.dtype}.",
                "Divide 16-bit integers by 32768.",
            )
        return self.segmenter.accept(self.network.accept(self.frames.accept(samples)))

    def finish(self) -> list[Segment]:
        """Return the last segments, at the end of the sound."""
        rest = self.network.accept(self.frames.finish())
        return [
            *self.segmenter.accept(np.concatenate([rest, self.network.finish()])),
            *self.segmenter.finish(),
        ]

    def certain(self) -> str:
        """Return the first words of the open segment that no later sound can change."""
        return self.segmenter.certain()

    def open(self) -> str:
        """Return the text of the open segment so far."""
        return self.segmenter.open()

    def text(self, one: Utterance) -> str:
        """Return the text of one utterance, read block by block."""
        segments: list[Segment] = []
        for path in one.paths:
            for samples in read_blocks(path, self.rate, BLOCK):
                segments += self.accept(samples)
        return text_of([*segments, *self.finish()])
