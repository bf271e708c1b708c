"""Frames to words: the network, a search, and a language model that joins in; of whole sounds, and as sound comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from holdfast.tasks.speech.dataset import Part
from holdfast.tasks.speech.frontend import Sounds
from holdfast.tasks.speech.metrics import scores
from holdfast.tasks.speech.segments import FRAME, Listener, Segment, heard, text_of
from holdfast.tasks.speech.tokenizer import Alphabet
from holdfast.tasks.speech.trainable import scores_of

_BEAM = 16
"""Prefixes that are followed where a language model or hot words join in and no beam is given."""
WEIGHTS, BONUSES = (0.25, 0.5, 1.0, 1.5), (0.0, 1.0, 2.0)
"""Weights of the language model and bonuses for words that are tried on the validation part."""
_TUNED_ON = 200
"""Validation utterances on which they are tried, at most."""
BLOCK = 0.1
"""Seconds of a file that are listened to at once, as they would come from a microphone."""


@dataclass(frozen=True)
class Recogniser:
    """A network, its units, and a search."""

    module: SpeechNetwork
    alphabet: Alphabet
    search: CTCDecoder

    @classmethod
    def of(
        cls,
        module: SpeechNetwork,
        alphabet: Alphabet,
        asked: DecodingConfig,
        grams: NGramWordModel | None,
        chosen: Mapping[str, float],
    ) -> Recogniser:
        """With the search that is asked for; weights that are not given are those ``chosen`` on the validation part."""
        model = _text_model(asked.lm, grams)
        if model is None and not asked.hot_words and asked.beam in (None, 1):
            return cls(module, alphabet, GreedyCTC())
        weights = {"lm_weight": asked.lm_weight, "word_bonus": asked.word_bonus}
        own = chosen if model is not None else {}
        weight, bonus = (own.get(n, d) if v is None else v for (n, v), d in zip(weights.items(), (0.5, 0.0)))
        hot = {word.strip(): asked.hot_boost for word in asked.hot_words}
        _check_hot(hot, alphabet)
        fusion = ShallowFusion(alphabet.pieces, model or NoTextModel(), weight, bonus, hot)
        return cls(module, alphabet, PrefixBeamSearch(asked.beam or _BEAM, fusion))

    @property
    def step(self) -> float:
        """Seconds from one frame of the network to the next."""
        return FRAME * self.module.options.subsampling

    def heard(self, frames: Array) -> list[Segment]:
        """The segments of one sound [T, F]."""
        return heard(scores_of(self.module, [frames])[0], self.search, self.alphabet, self.step)

    def texts(self, frames: Sequence[Array]) -> list[str]:
        """The text of every sound."""
        return self.found(scores_of(self.module, frames))

    def found(self, found: Iterable[Array]) -> list[str]:
        """The text of every ``log p`` [S, V]."""
        segments = (heard(own, self.search, self.alphabet, self.step) for own in found)
        return [text_of(own) for own in segments]


def _check_hot(hot: Iterable[str], alphabet: Alphabet) -> None:
    """Refuse words that the network cannot write.

    Raises:
        UserError: names the first.
    """
    for word in hot:
        if alphabet.unknown(word):
            others = (
                form for form in (word.lower(), word.upper(), word.title()) if not alphabet.unknown(form)
            )
            other = next(others, None)
            raise UserError(
                "Hot words are made of units that stood in the training sentences.",
                f"{word!r} has a {'word' if alphabet.kind == 'word' else 'sign'} that did not.",
                f"Did you mean {other!r}?"
                if other
                else "Leave it out; a network of --token character can write words that it was not trained on.",
            )


def _text_model(name: str | None, grams: NGramWordModel | None) -> TextModel | None:
    """The language model that is asked for.

    Raises:
        UserError: no such run, or a run of another task or of other units.
    """
    if name in (None, "none"):
        return None
    if name == NGRAM:
        assert grams is not None
        return WordModelAsText(grams)
    from holdfast.tasks.registry import load

    model = load(Path(str(name)))
    kind = model.config.text.token if model.task == "language" else model.task
    if kind not in ("word", "character"):
        raise UserError(
            "The language model that joins in is one of words or of characters.",
            f"The run in {name} is of {'the task ' if model.task != 'language' else 'the unit '}{kind}.",
            "Train one with holdfast train language TEXT.txt --token word, or --token character.",
        )
    reader: NextTokenModel = model.reader()
    return WordModelAsText(RecurrentWordModel(reader)) if kind == "word" else RecurrentCharacterModel(reader)


def tuned(recogniser: Recogniser, grams: NGramWordModel | None, valid: Part) -> dict[str, float]:
    """The weight and the bonus with the fewest wrong words on the validation part."""
    some = valid[range(min(_TUNED_ON, len(valid)))]
    found = scores_of(recogniser.module, some.frames)
    results = []
    for weight, bonus in product(WEIGHTS, BONUSES):
        asked = DecodingConfig(lm=NGRAM, lm_weight=weight, word_bonus=bonus)
        one = Recogniser.of(recogniser.module, recogniser.alphabet, asked, grams, {})
        results.append((scores(one.found(found), some.texts)["wer"], weight, bonus))
    _, weight, bonus = min(results)
    return {"lm_weight": weight, "word_bonus": bonus}


class Ear:
    """Listens to one sound: samples in, segments of text out as they end, in a memory that does not grow.

    All together it gives the text that the network gives of the whole sound (tested).

    Args:
        module: the network, which reads forwards only.
        sounds: how samples become frames.
        recogniser: how ``log p`` becomes text.

    Raises:
        UserError: the network reads in both directions, its frames are not computed from sound, or are normalised by
            what is known only at the end.
    """

    def __init__(self, module: SpeechNetwork, sounds: Sounds, recogniser: Recogniser) -> None:
        if module.options.bidirectional:
            raise UserError(
                "A network that listens live reads forwards only.",
                "This one reads in both directions.",
                "Train one with --no-bidirectional, or leave --live out.",
            )
        self.frames = sounds.stream()
        self.rate = self.frames.rate
        self.network = module.stream()
        self.listener = Listener(recogniser.search, recogniser.alphabet, recogniser.step)

    def accept(self, samples: Array) -> list[Segment]:
        """The segments that ended with these samples [n] within -1 ... 1."""
        if samples.dtype.kind != "f":
            raise UserError(
                "Samples are floating-point numbers within -1 ... 1.",
                f"They were {samples.dtype}.",
                "Divide 16-bit integers by 32768.",
            )
        return self.listener.accept(self.network.accept(self.frames.accept(samples)))

    def finish(self) -> list[Segment]:
        """The last segments, when the sound has ended."""
        rest = self.network.accept(self.frames.finish())
        return [
            *self.listener.accept(np.concatenate([rest, self.network.finish()])),
            *self.listener.finish(),
        ]

    def certain(self) -> str:
        """The first words of the segment that goes on, as far as no later sound can change them."""
        return self.listener.certain()

    def open(self) -> str:
        """The text of that segment as it looks now."""
        return self.listener.open()

    def text(self, one: Utterance) -> str:
        """The text of one utterance's files, block by block."""
        segments: list[Segment] = []
        for samples in _blocks(one, self.rate):
            segments += self.accept(samples)
        return text_of([*segments, *self.finish()])


def _blocks(one: Utterance, rate: int) -> Iterator[Array]:
    for path in one.paths:
        yield from read_blocks(path, rate, BLOCK)
