"""Settings of a recognizer: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal

from holdfast.config import Scoring, Training, fractions
from holdfast.errors import UserError
from holdfast.models.options import SpeechOptions
from holdfast.validation import check_at_least, check_at_most, check_sizes, invalid_setting

_WIDEST = 1000
"""Widest beam."""
NGRAM = "ngram"
"""Name of the language model that is counted in the training sentences."""


@dataclass(kw_only=True)
class SoundConfig:
    """The recordings, their frames and tokens, and the splits. An example is an utterance.

    Attributes:
        path_field: column of a manifest with the sound file, or several files to join (default:
            path or paths).
        text_field: column with the transcript (default: text).
        speaker_field: column with the speaker (default: speaker, where there is one).
        encoding: encoding of the manifest, such as utf-8 or latin-1.
        rate: samples per second, to which every sound is resampled; the rate of most training files
            when not given.
        bands: mel bands of a frame; frames are 25 ms long and start every 10 ms.
        normalize: normalization of each band: by the mean and deviation of the training split
            (global), of all utterances of the speaker (speaker), or of all frames so far (running);
            by the mean of the utterance (utterance); or none. Live sound needs global, running or
            none.
        token: what the network writes: character, word or subword (byte-pair encoding).
        vocabulary: largest number of subwords.
        split: training, validation and test split, in this order, as fractions of the utterances.
        hold_out: speaker whose utterances are the test split, and are in no other.
        cache: folder that keeps the frames of sound files for later runs; frames stay in memory
            when not given.
    """

    path_field: str | None = None
    text_field: str | None = None
    speaker_field: str | None = None
    encoding: str = "utf-8"
    rate: int | None = None
    bands: int = 40
    normalize: Literal["global", "utterance", "speaker", "running", "none"] = "global"
    token: Literal["character", "word", "subword"] = "character"
    vocabulary: int = 500
    split: str = "0.8/0.1/0.1"
    hold_out: str | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        check_at_least("rate", self.rate, 2000, 16000)
        check_at_least("bands", self.bands, 8, 40)
        check_at_least("vocabulary", self.vocabulary, 16, 500)
        fractions(self.split)


@dataclass(kw_only=True)
class AugmentConfig:
    """Augmentation of the training utterances, new in each epoch.

    Attributes:
        speeds: speeds to choose from at random, such as 0.9,1.0,1.1 (Ko et al. 2015).
        noise: lowest signal-to-noise ratio of added noise, in dB; no noise when not given.
        noise_folder: folder of sounds to add as noise; white and pink noise when not given.
        time_masks: number of masked stretches of frames (SpecAugment: Park et al. 2019).
        time_width: longest masked stretch, in frames; never more than a fifth of the utterance.
        band_masks: number of masked stretches of bands.
        band_width: widest masked stretch, in bands.
    """

    speeds: tuple[float, ...] = (1.0,)
    noise: float | None = None
    noise_folder: str | None = None
    time_masks: int = 0
    time_width: int = 20
    band_masks: int = 0
    band_width: int = 8

    def __post_init__(self) -> None:
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise invalid_setting(
                "speeds", "0.5 to 2", ",".join(map(str, self.speeds)) or "empty", "0.9,1.0,1.1"
            )
        if self.noise is not None and not -20 <= self.noise <= 100:
            raise invalid_setting("noise", "-20 to 100 dB", self.noise, 10)
        if self.noise_folder is not None and self.noise is None:
            raise UserError(
                "--noise-folder must be used with --noise, the signal-to-noise ratio.",
                "No --noise was given.",
                "Give for example --noise 10.",
            )
        for name in ("time_masks", "band_masks"):
            check_at_least(name, getattr(self, name), 0, 2)
        check_sizes(self, "time_width", "band_width")


@dataclass(kw_only=True)
class SpeechTraining(Training):
    """The training run: CTC on batches of utterances of similar length.

    Attributes:
        batch_size: maximum number of utterances in a batch.
        frames: maximum number of frames in a batch, with padding.
        select_by: validation metric that selects the best epoch: loss, error (token error rate of
            greedy decoding), or joint (error plus a hundredth of the loss).
    """

    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 2e-3
    patience: int = 10
    clip: float = 1.0
    frames: int = 20000
    select_by: Literal["joint", "loss", "error"] = "joint"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "frames")


@dataclass(kw_only=True)
class DecodingConfig:
    """Decoding: how the network's output becomes text.

    Attributes:
        beam: prefixes in the beam search; 1 is greedy decoding. The default is 1, or 16 with a
            language model or hot words.
        lm: language model for the search: ngram (of the training sentences), the run folder of a
            language model (of words or characters), or none.
        lm_weight: weight of its log probability; when not given, the best one of the n-grams on the
            validation split.
        word_bonus: nats added for each word; when not given, the best value as for lm-weight.
        hot_words: words to expect, such as names, separated by commas.
        hot_boost: nats added for each hot word.
    """

    beam: int | None = None
    lm: str | None = None
    lm_weight: float | None = None
    word_bonus: float | None = None
    hot_words: tuple[str, ...] = ()
    hot_boost: float = 3.0

    def __post_init__(self) -> None:
        check_at_least("beam", self.beam, 1, 16)
        check_at_most("beam", self.beam, _WIDEST, 16)
        check_at_least("lm_weight", self.lm_weight, 0, 0.5)
        for name in ("word_bonus", "hot_boost"):
            value = getattr(self, name)
            if value is not None and not -inf < value < inf:
                raise invalid_setting(name, "a finite number", value, 1.0)
        if any(not word.strip() or " " in word.strip() for word in self.hot_words):
            raise invalid_setting(
                "hot_words", "words separated by commas", ",".join(self.hot_words) or "empty", "Jane,Joe"
            )
        if self.beam == 1 and (self.hot_words or self.lm not in (None, "none")):
            raise UserError(
                "A language model or hot words must have a beam of at least 2.",
                "--beam was 1.",
                "Give --beam 16, or leave it out.",
            )
        if (self.lm_weight is not None or self.word_bonus is not None) and self.lm in (None, "none"):
            raise UserError(
                "--lm-weight and --word-bonus must be used with a language model.",
                "No --lm was given.",
                "Give --lm ngram, or the run folder of a language model.",
            )


@dataclass(kw_only=True)
class SpeechConfig:
    """A network that transcribes speech.

    Attributes:
        data: the recordings.
        augment: their augmentation in training.
        network: the network.
        training: the training run.
        order: longest n-gram of the language model of the training sentences.
    """

    data: SoundConfig = field(default_factory=SoundConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    network: SpeechOptions = field(default_factory=SpeechOptions)
    training: SpeechTraining = field(default_factory=SpeechTraining)
    order: int = 3

    def __post_init__(self) -> None:
        check_sizes(self, "order")


@dataclass(kw_only=True)
class SpeechScoring(DecodingConfig, Scoring):
    """Options of an evaluation.

    Attributes:
        live: also score live recognition, which reads the sound block by block.
    """

    live: bool = False


@dataclass(kw_only=True)
class Prediction(DecodingConfig):
    """Transcribe sound files, or live sound.

    Attributes:
        live: recognize sound as it comes: 16-bit mono PCM from stdin (at --pcm-rate), or a file in
            blocks.
        pcm_rate: samples per second of the sound from stdin; the model's rate when not given.
        times: write one line for each word: start and end in seconds, the word, and the confidence
            (0 to 1).
        plot: PNG file for a plot of the first sound: its spectrogram, with its text over time.
    """

    live: bool = False
    pcm_rate: int | None = None
    times: bool = False
    plot: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("pcm_rate", self.pcm_rate, 2000, 16000)
        if self.pcm_rate is not None and not self.live:
            raise UserError(
                "--pcm-rate must be used with --live.", "--live was not given.", "Give --live as well."
            )
        if self.plot is not None and Path(self.plot).suffix.lower() != ".png":
            rule = "A plot must be a PNG file."
            raise UserError(rule, f"Its name was {self.plot}.", "Give --plot words.png.")
        if self.plot is not None and self.live:
            raise UserError(
                "A plot must be of a whole sound.", "--live was given as well.", "Leave one of them out."
            )
