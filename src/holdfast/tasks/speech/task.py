"""The speech recogniser: fit, evaluate, predict, save and load."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.decoding.lm_fusion import NGramWordModel
from holdfast.decoding.ngram import NGramBaselines
from holdfast.errors import UserError
from holdfast.files import load_json, save_json
from holdfast.tasks.legacy import LEARNT, TaskModel
from holdfast.tasks.speech import dataset, trainable
from holdfast.tasks.speech.baselines import Baselines
from holdfast.tasks.speech.config import NGRAM, DecodingConfig, SpeechConfig, SpeechScoring
from holdfast.tasks.speech.dataset import Part, Prepared
from holdfast.tasks.speech.decoder import Ear, Recogniser, tuned
from holdfast.tasks.speech.frontend import Sounds
from holdfast.tasks.speech.metrics import scores
from holdfast.tasks.speech.segments import Segment, text_of
from holdfast.tasks.speech.tokenizer import Alphabet

_TRAIN_UTTERANCES = 500
"""Training utterances, spread evenly, on which the training loss is taken again as they are."""


class SpeechRecognizer(TaskModel):
    """An LSTM, GRU or RNN that writes what it hears, trained by connectionist temporal classification.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``cell="lstm", token="word", bidirectional=False`` (see :class:`SpeechConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np, soundfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> rows = ["path\\ttext"]
        >>> for n in range(20):
        ...     tone = np.sin(np.arange(4000) * (0.3 if n % 2 else 0.6)) * 0.3
        ...     soundfile.write(folder / f"{n}.wav", tone, 8000)
        ...     rows.append(f"{n}.wav\\t{'low' if n % 2 else 'high'}")
        >>> _ = (folder / "all.tsv").write_text("\\n".join(rows))
        >>> model = SpeechRecognizer(token="word", hidden_size=8, channels=8, epochs=1)
        >>> _ = model.fit(folder / "all.tsv")
        >>> len(model.predict(folder / "0.wav"))
        1
    """

    task = "speech"
    settings = SpeechConfig

    def __init__(self, config: SpeechConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.alphabet: Alphabet | None = None
        self.sounds: Sounds | None = None
        self.grams: NGramWordModel | None = None
        self.chosen: dict[str, float] = {}
        self.digest = ""
        self.scoring = SpeechScoring()

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the recordings and cut them into parts; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return dataset.prepare(self.config, Path(data), *others)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """The most frequent sentence, and templates of single words."""
        return Baselines.fit(prepared.train.frames, prepared.train.texts)

    def _learn(self, prepared: Prepared) -> None:
        self.alphabet, self.sounds, self.digest = (
            prepared.alphabet,
            prepared.sounds.forgetful(),
            prepared.digest,
        )
        self.grams = NGramWordModel.fit(prepared.train.texts, self.config.order)

    def _save_learnt(self, folder: Path) -> None:
        assert self.alphabet is not None and self.sounds is not None and self.grams is not None
        own = {"digest": self.digest, "words": list(self.grams.words.words)}
        save_json(folder / LEARNT, {**own, **self.sounds.description(), **self.alphabet.state()})

    def _load_learnt(self, path: Path) -> None:
        self.learnt = load_json(path)
        self.alphabet = Alphabet.from_state(self.learnt, path)
        self.digest = str(self.learnt.get("digest", ""))
        self.sounds = Sounds.described(self.learnt, self.config.data, path)

    def _is_learnt(self, folder: Path, prepared: Prepared) -> bool:
        return load_json(folder / LEARNT).get("digest") == prepared.digest

    def _empty(self) -> torch.nn.Module:
        assert self.alphabet is not None and self.sounds is not None
        return trainable.build(self.config, self.sounds.size, self.alphabet.size)

    def _network(self, prepared: Prepared) -> tuple[torch.nn.Module, trainable.UtteranceTraining]:
        module = trainable.build(self.config, prepared.sounds.size, prepared.alphabet.size)
        return module, trainable.UtteranceTraining(module, self.config, prepared)

    def _arrays(self) -> dict[str, Array]:
        assert self.grams is not None and self.sounds is not None
        grams = NGramBaselines(self.grams.ngrams, self.grams.order).state()
        return (
            super()._arrays()
            | {f"ngram.{name}": array for name, array in grams.items()}
            | self.sounds.arrays()
        )

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        assert self.sounds is not None
        self.baselines = Baselines.from_state(arrays)
        self.grams = NGramWordModel(
            NGramBaselines.from_state(_named(arrays, "ngram")).ngrams,
            [str(w) for w in self.learnt.get("words", [])],
        )
        self.sounds = self.sounds.normalised_by(arrays)

    @classmethod
    def load(cls, folder: Path | str) -> SpeechRecognizer:
        """Read what :meth:`save` wrote (see :meth:`holdfast.tasks.task.TaskModel.load`)."""
        self = super().load(folder)
        self.chosen = dict(self.metrics.get("decoding", {}))
        return self

    def _judge(self, prepared: Prepared, training: trainable.UtteranceTraining) -> dict[str, Any]:
        part, name = prepared.test or prepared.valid, "test" if prepared.test else "validation"
        step = max(1, len(prepared.train) // _TRAIN_UTTERANCES)
        some = prepared.train[range(0, len(prepared.train), step)]
        judged = self._scores(part, name) | {
            "train_loss": trainable.mean_nats(trainable.scores_of(training.module, some.frames), some.units),
            "valid_loss": training.validate()["valid_loss"],
            "training_size": len(prepared.train),
            "epoch_size": len(prepared.train),
            "training_seconds_of_sound": round(sum(map(len, prepared.train.frames)) * 0.01, 2),
        }
        if any(" " in text.strip() for text in prepared.train.texts):
            self.chosen = tuned(self.recogniser(DecodingConfig(lm=NGRAM)), self.grams, prepared.valid)
            judged |= {"decoding": self.chosen, NGRAM: self._scored(part, DecodingConfig(lm=NGRAM))}
        return judged

    # -- figures -------------------------------------------------------------------------------------------------

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False, **asked: Any) -> dict[str, Any]:
        """Figures of the model and of the simple methods on the same recordings.

        Args:
            data: a manifest or folder of which everything is scored; None gives the test part's figures from training.
            int8: also score the model with its recurrent layers in int8 (:func:`holdfast.quantize`), on the file.
            asked: ``lm``, ``beam``, ``lm_weight``, ``word_bonus``, ``hot_words``, ``hot_boost``, ``live`` (see
                :class:`SpeechScoring`): other ways to score the file.

        Returns:
            as of every task, with ``utterances`` scored and their ``words`` and ``sound_seconds``; ``searched`` with
            what was asked for, and ``live`` where asked.
        """
        scoring = SpeechScoring(**asked)
        if data is None and scoring != SpeechScoring():
            rule = "Other ways to decode score a file."
            raise UserError(rule, "None was given.", "Give one that training did not see.")
        self.scoring = scoring
        try:
            return super().evaluate(data, int8=int8)
        finally:
            self.scoring = SpeechScoring()

    def _scores(self, part: Part, name: str) -> dict[str, Any]:
        """What :meth:`evaluate` gives of a part, with the other ways to decode that are asked for."""
        found, asked = super()._scores(part, name), self.scoring
        if replace(asked, live=False) != SpeechScoring():
            found["searched"] = self._scored(part, asked)
        if asked.live:
            found["live"] = self._scored_live(part, asked)
        return found

    def _figures(self, part: Part) -> dict[str, float]:
        return self._scored(part, DecodingConfig())

    def _scored(self, part: Part, decoding: DecodingConfig) -> dict[str, float]:
        began = time.perf_counter()
        texts = self.recogniser(decoding).texts(part.frames)
        took = time.perf_counter() - began + part.seconds_to_read
        return scores(texts, part.texts) | {"real_time_factor": took / max(part.sound_seconds, 1e-9)}

    def _scored_live(self, part: Part, decoding: DecodingConfig) -> dict[str, float]:
        began = time.perf_counter()
        texts = [self.ear(decoding).text(one) for one in part.utterances]
        took = time.perf_counter() - began
        return scores(texts, part.texts) | {"real_time_factor": took / max(part.sound_seconds, 1e-9)}

    def _baseline_figures(self, part: Part) -> dict[str, dict[str, float]]:
        return {name: scores(found, part.texts) for name, found in self.baselines.each(part.frames)}

    def _size(self, part: Part) -> dict[str, Any]:
        words = sum(len(text.split()) for text in part.texts)
        return {
            "utterances": len(part),
            "words": words,
            "sound_seconds": round(part.sound_seconds, 2),
            "threads": torch.get_num_threads(),
        }

    def _read(self, path: Path) -> Part:
        _, alphabet, sounds = self._fitted()
        part, self.notes = dataset.of_file(path, self.config.data, alphabet, sounds)
        return part

    # -- use -----------------------------------------------------------------------------------------------------

    def predict(self, data: Path | str | Iterable[Path | str], **asked: Any) -> list[str]:
        """The text of every sound.

        Args:
            data: a sound file, several of them, a folder of sounds, or a manifest (whose text is not looked at).
            asked: ``lm``, ``beam``, ``lm_weight``, ``word_bonus``, ``hot_words``, ``hot_boost`` (see
                :class:`holdfast.tasks.speech.config.DecodingConfig`).

        Raises:
            UserError: a file that is not there or no sound, a value outside its rule.
        """
        paths = [data] if isinstance(data, str | Path) else list(data)
        return [
            text_of(segments)
            for path in paths
            for _, segments in self.stream(Path(path), DecodingConfig(**asked))
        ]

    def stream(self, data: Path, asked: DecodingConfig) -> Iterator[tuple[Utterance, list[Segment]]]:
        """Each utterance of a file, folder or manifest with what is said in it, one after the other."""
        recogniser = self.recogniser(asked)
        return ((one, recogniser.heard(frames)) for one, frames in self.sounds_of(data))

    def sounds_of(self, data: Path) -> Iterator[tuple[Utterance, Array]]:
        """Each utterance of a file, folder or manifest with its frames as the network reads them."""
        sounds = self._fitted()[2]
        return dataset.heard_frames(dataset.to_hear(data, self.config.data, sounds), sounds)

    def listen(self, **asked: Any) -> Ear:
        """What listens live: give it samples as they come, and it gives segments of text as they end.

        Args:
            asked: as of :meth:`predict`.

        Raises:
            UserError: the network reads in both directions, or needs the whole utterance to normalise it.

        Example::

            ear = model.listen()
            for block in microphone:                # float32, -1 ... 1, at model.rate samples a second
                for segment in ear.accept(block):
                    print(segment.text)
        """
        return self.ear(DecodingConfig(**asked))

    def ear(self, asked: DecodingConfig) -> Ear:
        """As :meth:`listen`."""
        module, _, sounds = self._fitted()
        return Ear(module, sounds, self.recogniser(asked))

    @property
    def rate(self) -> int | None:
        """Samples a second of the sound that the network hears; None where it reads ready features."""
        return self._fitted()[2].rate

    def recogniser(self, asked: DecodingConfig) -> Recogniser:
        """The network with its units and the search that is asked for."""
        module, alphabet, _ = self._fitted()
        return Recogniser.of(module, alphabet, asked, self.grams, self.chosen)

    def _fitted(self) -> tuple[Any, Alphabet, Sounds]:
        module = self._trained()
        assert self.alphabet is not None and self.sounds is not None
        return module, self.alphabet, self.sounds


def _named(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose name begins so, without that beginning."""
    return {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}
