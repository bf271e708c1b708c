"""The speech recognizer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.models.speech import SpeechNetwork
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.contract import Result
from holdfast.tasks.dataset import evenly
from holdfast.tasks.speech import trainable
from holdfast.tasks.speech.baselines import baseline_set
from holdfast.tasks.speech.config import NGRAM, DecodingConfig, SpeechConfig, SpeechScoring
from holdfast.tasks.speech.dataset import normalized_frames, read_dataset, read_sounds, read_whole
from holdfast.tasks.speech.decoder import Recognizer, StreamingRecognizer, tuned
from holdfast.tasks.speech.metrics import SCOREBOARD, score
from holdfast.tasks.speech.preprocessing import SpeechDataset, SpeechPreprocessing, SpeechSplit
from holdfast.tasks.speech.segments import FRAME, Segment, text_of
from holdfast.tasks.speech.trainable import UtteranceTraining, log_probabilities, mean_nats
from holdfast.tasks.task import Task

_LOSS_UTTERANCES = 500
"""Training utterances, spread evenly, on which the loss is measured without augmentation."""


class SpeechRecognizer(Task[SpeechConfig, SpeechSplit, SpeechPreprocessing, list[str], SpeechNetwork]):
    """An LSTM, GRU or RNN that transcribes speech (connectionist temporal classification, CTC).

    Give its settings by name, such as ``cell="lstm", token="word", bidirectional=False`` (see
    :class:`SpeechConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

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
    config_class = SpeechConfig
    scoreboard = SCOREBOARD
    size = "{utterances:,} utterances, {words:,} words, {sound_seconds:,.0f} s of sound"
    title = "Speech recognition"
    data_settings = (
        "path_field",
        "text_field",
        "speaker_field",
        "encoding",
        "rate",
        "bands",
        "normalize",
        "token",
        "vocabulary",
        "split",
        "hold_out",
    )
    sentence = "The network's word error rate is {own:.2%} ({model[accuracy]:.2%} of the utterances are right); {bar}"

    def __init__(self, config: SpeechConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.decoding: dict[str, float] = {}  # weights of the n-grams, from validation
        self._scoring: SpeechScoring | None = None  # None while a training run is judged

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> SpeechDataset:
        """Read the recordings and compute their frames."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[SpeechSplit, tuple[str, ...]]:
        """Read a manifest or folder as one split."""
        return read_whole(path, self.config.data, self.fitted()[1])

    def read_preprocessing(self, values: JsonMapping, where: Path) -> SpeechPreprocessing:
        """Rebuild the tokenizer and the front end."""
        return SpeechPreprocessing.from_dict(values, where, self.config.data)

    def arrays(self) -> dict[str, Array]:
        """Return the n-grams and the normalization."""
        assert self.preprocessing is not None
        return self.preprocessing.arrays()

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take the n-grams and the normalization."""
        assert self.preprocessing is not None
        self.preprocessing = self.preprocessing.with_arrays(arrays)

    def baseline_set(self, preprocessing: SpeechPreprocessing) -> BaselineSet[SpeechSplit, list[str]]:
        """Return the most frequent sentence, and the nearest template of single words."""
        return baseline_set()

    def network(self, preprocessing: SpeechPreprocessing) -> SpeechNetwork:
        """Build the untrained network."""
        return trainable.build(self.config, preprocessing.frontend.size, preprocessing.tokenizer.size)

    def trainable(self, module: SpeechNetwork, dataset: SpeechDataset) -> UtteranceTraining:
        """Return batches of augmented utterances with the CTC loss."""
        return UtteranceTraining(module, self.config, dataset)

    def calibrate(self, dataset: SpeechDataset) -> None:
        """Choose weights of the n-grams on the validation split, for sentences of several words."""
        several = any(" " in text.strip() for text in dataset.train.texts)
        recognizer = self.recognizer(DecodingConfig())
        self.decoding = tuned(recognizer, dataset.preprocessing.ngrams, dataset.valid) if several else {}

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what :meth:`save` wrote (see :meth:`holdfast.tasks.task.Task.load`)."""
        self = super().load(folder)
        self.decoding = dict(self.metrics.get("decoding", {}))
        return self

    # -- results -----------------------------------------------------------------------------------

    def predictions(self, split: SpeechSplit) -> list[str]:
        """Return the text of every utterance."""
        return self.recognizer(DecodingConfig()).texts(split.frames)

    def score(self, split: SpeechSplit, predictions: list[str]) -> dict[str, float]:
        """Return word and character error rate, accuracy, and the shares of each kind of error."""
        return score(predictions, split.texts)

    def measure(self, split: SpeechSplit) -> JsonObject:
        """Return the utterances, the words, the seconds of sound, and the number of threads."""
        return {
            "utterances": len(split),
            "words": sum(len(text.split()) for text in split.texts),
            "sound_seconds": round(split.sound_seconds, 2),
            "threads": torch.get_num_threads(),
        }

    def losses(self, dataset: SpeechDataset) -> dict[str, float]:
        """Return the CTC losses in nats per token, and the amount of sound in an epoch."""
        train = dataset.train
        some = train.select(evenly(len(train), _LOSS_UTTERANCES))
        return {
            "train_loss": self._loss(some),
            "valid_loss": self._loss(dataset.valid),
            "epoch_size": len(train),
            "training_seconds_of_sound": round(sum(map(len, train.frames)) * FRAME, 2),
        }

    def _loss(self, split: SpeechSplit) -> float:
        return mean_nats(log_probabilities(self.fitted_module(), split.frames), split.tokens)

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False, **asked: Any) -> Result:
        """Score the model and the baselines on the same recordings.

        Args:
            data: a manifest or folder, scored as a whole. None returns the results of the test
                split from training.
            int8: also score the model with its recurrent layers in int8
                (:func:`holdfast.quantize`), on the file.
            asked: ``lm``, ``beam``, ``lm_weight``, ``word_bonus``, ``hot_words``, ``hot_boost``,
                ``live`` (see :class:`SpeechScoring`): other ways to decode the file.

        Returns:
            as for every task, with the number of ``utterances`` and ``words`` scored and their
            ``sound_seconds``; ``searched`` with the decoding that was asked for, and ``live`` where
            asked for.
        """
        scoring = SpeechScoring(**asked)
        if data is None and scoring != SpeechScoring():
            rule = "Other ways to decode must score a file."
            raise UserError(rule, "None was given.", "Give one that training did not see.")
        self._scoring = scoring
        try:
            return super().evaluate(data, int8=int8)
        finally:
            self._scoring = None

    def network_metrics(self, split: SpeechSplit) -> dict[str, float]:
        """Return the metrics of greedy decoding, and its real-time factor."""
        return self._scored(split, DecodingConfig())

    def scored_otherwise(self, split: SpeechSplit) -> JsonObject:
        """Return results with n-grams after training, or with the decoding that was chosen."""
        asked = self._scoring
        if asked is None:
            if not self.decoding:
                return {}
            return {"decoding": self.decoding, NGRAM: self._scored(split, DecodingConfig(lm=NGRAM))}
        searched = replace(asked, live=False) != SpeechScoring()
        found: JsonObject = {"searched": self._scored(split, asked)} if searched else {}
        return found | ({"live": self._scored(split, asked, live=True)} if asked.live else {})

    def _scored(self, split: SpeechSplit, asked: DecodingConfig, live: bool = False) -> dict[str, float]:
        """Return the metrics of one way to decode."""
        began = time.perf_counter() - (0.0 if live else split.seconds_to_read)
        if live:
            texts = [self.streaming_recognizer(asked).text(one) for one in split.utterances]
        else:
            texts = self.recognizer(asked).texts(split.frames)
        took = time.perf_counter() - began
        return score(texts, split.texts) | {"real_time_factor": took / max(split.sound_seconds, 1e-9)}

    @classmethod
    def remarks(cls, result: JsonMapping) -> list[str]:
        """Return how fast the network is."""
        factor, on = result["model"]["real_time_factor"], counted(result["threads"], "thread")
        return [f"Recognizing 1 second of sound takes {factor:.3g} s on {on}."]

    @classmethod
    def result_keys(cls) -> list[str]:
        """Return the keys that ``evaluate --json`` prints."""
        return [*super().result_keys(), "threads"]

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that transcribe a sound, and a folder with a language model."""
        return [
            ["holdfast", "predict", run, "SOUND.wav", "--times", "--plot", "words.png"],
            ["holdfast", "predict", run, "FOLDER", "--lm", "ngram"],
        ]

    # -- use ---------------------------------------------------------------------------------------

    def predict(self, data: Path | str | Iterable[Path | str], **asked: Any) -> list[str]:
        """Return the text of every sound.

        Args:
            data: a sound file, several of them, a folder of sounds, or a manifest (its texts are
                not read).
            asked: ``lm``, ``beam``, ``lm_weight``, ``word_bonus``, ``hot_words``, ``hot_boost``
                (see :class:`holdfast.tasks.speech.config.DecodingConfig`).

        Raises:
            UserError: a file is missing or not a sound, or a value is outside its rule.
        """
        paths = [data] if isinstance(data, str | Path) else list(data)
        return [
            text_of(segments)
            for path in paths
            for _, segments in self.stream(Path(path), DecodingConfig(**asked))
        ]

    def stream(self, data: Path, asked: DecodingConfig) -> Iterator[tuple[Utterance, list[Segment]]]:
        """Yield each utterance of a file, folder or manifest with its segments of text."""
        recognizer = self.recognizer(asked)
        return ((one, recognizer.segments(frames)) for one, frames in self.frames_of(data))

    def frames_of(self, data: Path) -> Iterator[tuple[Utterance, Array]]:
        """Yield each utterance of a file, folder or manifest with its normalized frames."""
        frontend = self.fitted()[1].frontend
        return normalized_frames(read_sounds(data, self.config.data, frontend), frontend)

    def listen(self, **asked: Any) -> StreamingRecognizer:
        """Return a recognizer for live sound, which returns segments as they end.

        Args:
            asked: as for :meth:`predict`.

        Raises:
            UserError: the network reads in both directions, or its normalization needs the whole
                utterance.

        Example::

            stream = model.listen()
            for block in microphone:                # float32, -1 ... 1, model.rate samples a second
                for segment in stream.accept(block):
                    print(segment.text)
        """
        return self.streaming_recognizer(DecodingConfig(**asked))

    def streaming_recognizer(self, asked: DecodingConfig) -> StreamingRecognizer:
        """Return what :meth:`listen` returns, from settings."""
        module, preprocessing = self.fitted()
        return StreamingRecognizer(module, preprocessing.frontend, self.recognizer(asked))

    @property
    def rate(self) -> int | None:
        """Samples per second of the sound that the network reads; None for precomputed features."""
        return self.fitted()[1].frontend.rate

    def recognizer(self, asked: DecodingConfig) -> Recognizer:
        """Return the network with its tokenizer and a decoder."""
        module, preprocessing = self.fitted()
        return Recognizer.of(module, preprocessing.tokenizer, asked, preprocessing.ngrams, self.decoding)
