"""Every setting of a speech recognizer: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal

from holdfast.config import Scoring, Training, fractions
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, invalid_setting

WIDEST = 1000
"""Prefixes of a beam."""
NGRAM = "ngram"
"""The language model that is counted in the training part's own sentences."""


@dataclass(kw_only=True)
class SoundConfig:
    """The recordings, what is taken of them, and their parts.

    Attributes:
        path_field: column of a manifest with the sound's file, or several files that are joined (default: path or
            paths).
        text_field: column with what is said (default: text).
        speaker_field: column with who speaks (default: speaker, where there is one).
        encoding: of the manifest, such as utf-8 or latin-1.
        rate: samples a second that every sound is brought to; that of most training files when not given.
        bands: mel bands of a frame; frames are 25 ms long and begin every 10 ms.
        normalize: each band by its mean and spread over the training part (global), the mean over the utterance, both
            over all of a speaker's utterances, or both over what was heard so far (running); or none. Listening live
            takes global, running or none.
        token: what the network writes: character, word or subword (byte-pair encoding).
        vocabulary: most subwords.
        split: training, validation and test part where they have no files: fractions of the utterances.
        hold_out: a speaker whose utterances are the test part, and are in no other.
        cache: folder for the frames of files, so that they are computed once; they are kept in memory only when not
            given.
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
    """How training utterances are changed, anew in each epoch, so that there are more of them.

    Attributes:
        speeds: the speeds that each is played at by chance, such as 0.9,1.0,1.1 (Ko et al. 2015).
        noise: least signal-to-noise ratio of added noise, in dB; none is added when not given.
        noise_folder: folder of sounds to add; white and pink noise when not given.
        time_masks: stretches of frames that are blanked (SpecAugment: Park et al. 2019).
        time_width: longest of them, in frames; also at most a fifth of the utterance.
        band_masks: stretches of bands that are blanked.
        band_width: widest of them, in bands.
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
                "--noise-folder is added at a signal-to-noise ratio.",
                "No --noise was given.",
                "Give for example --noise 10.",
            )
        for name in ("time_masks", "band_masks"):
            check_at_least(name, getattr(self, name), 0, 2)
        for name in ("time_width", "band_width"):
            check_at_least(name, getattr(self, name), 1, 10)


@dataclass(kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: units of a layer, in each direction.
        num_layers: recurrent layers.
        bidirectional: layers read forwards and backwards: for files; --no-bidirectional listens live.
        front: how frames become fewer before the layers: convolution or stack (side by side).
        subsampling: 1, 2, 4 or 8 frames become one.
        channels: numbers of a frame that is left.
        input_dropout: dropout before the layers.
        hidden_dropout: dropout between layers.
        output_dropout: dropout before the output layer.
    """

    cell: Literal["rnn", "gru", "lstm"] = "gru"
    hidden_size: int = 128
    num_layers: int = 2
    bidirectional: bool = True
    front: Literal["convolution", "stack"] = "convolution"
    subsampling: int = 2
    channels: int = 128
    input_dropout: float = 0.1
    hidden_dropout: float = 0.2
    output_dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "channels"):
            check_at_least(name, getattr(self, name), 1, 128 if name != "num_layers" else 2)
        if self.subsampling not in (1, 2, 4, 8):
            raise invalid_setting("subsampling", "1, 2, 4 or 8", self.subsampling, 2)
        for name in ("input_dropout", "hidden_dropout", "output_dropout"):
            check_fraction(name, getattr(self, name), 0.2)


@dataclass(kw_only=True)
class SpeechTraining(Training):
    """How a recognizer is trained: by CTC, on batches of utterances of like length.

    Attributes:
        batch_size: utterances in a batch, at most.
        frames: frames in a batch, at most, padding counted.
        select_by: validation metric that selects the best epoch: loss, error (of the tokens, greedily decoded), or
            joint (error plus a hundredth of the loss).
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
        check_at_least("frames", self.frames, 1, 20000)


@dataclass(kw_only=True)
class DecodingConfig:
    """How text is found in what the network hears; what is not given is as in training.

    Attributes:
        beam: prefixes that are followed at once; 1 takes the likeliest unit of each frame (16 with a language model).
        lm: language model that joins in: ngram (of the training part's sentences), the folder of a language model's run
            (of words or characters), or none.
        lm_weight: weight of its log probability; what was best with the n-grams on the validation part when not given.
        word_bonus: nats that each word adds; as lm-weight when not given.
        hot_words: words that are expected, such as names, with commas between.
        hot_boost: nats that each of them adds.
    """

    beam: int | None = None
    lm: str | None = None
    lm_weight: float | None = None
    word_bonus: float | None = None
    hot_words: tuple[str, ...] = ()
    hot_boost: float = 3.0

    def __post_init__(self) -> None:
        check_at_least("beam", self.beam, 1, 16)
        if self.beam is not None and self.beam > WIDEST:
            raise invalid_setting("beam", f"at most {WIDEST}", self.beam, 16)
        check_at_least("lm_weight", self.lm_weight, 0, 0.5)
        for name in ("word_bonus", "hot_boost"):
            value = getattr(self, name)
            if value is not None and not -inf < value < inf:
                raise invalid_setting(name, "a finite number", value, 1.0)
        if any(not word.strip() or " " in word.strip() for word in self.hot_words):
            raise invalid_setting(
                "hot_words", "words with commas between", ",".join(self.hot_words) or "empty", "Jane,Joe"
            )
        if self.beam == 1 and (self.hot_words or self.lm not in (None, "none")):
            raise UserError(
                "A language model and hot words join a search.",
                "--beam was 1, which is none.",
                "Give --beam 16, or leave it out.",
            )
        if (self.lm_weight is not None or self.word_bonus is not None) and self.lm in (None, "none"):
            raise UserError(
                "--lm-weight and --word-bonus are those of a language model.",
                "No --lm was given.",
                "Give --lm ngram, or the folder of a language model's run.",
            )


@dataclass(kw_only=True)
class SpeechConfig:
    """A speech recognizer.

    Attributes:
        data: the recordings.
        augment: how they are changed in training.
        network: the network.
        training: the training run.
        order: longest n-gram of the language model that is counted in the training part's sentences.
    """

    data: SoundConfig = field(default_factory=SoundConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: SpeechTraining = field(default_factory=SpeechTraining)
    order: int = 3

    def __post_init__(self) -> None:
        check_at_least("order", self.order, 1, 3)


@dataclass(kw_only=True)
class SpeechScoring(DecodingConfig, Scoring):
    """What is asked of an evaluation.

    Attributes:
        live: listen as --live does, block by block, instead of to whole files.
    """

    live: bool = False


@dataclass(kw_only=True)
class Prediction(DecodingConfig):
    """What a recognizer is asked for.

    Attributes:
        live: listen as the sound comes: to 16-bit PCM from stdin (mono, at --pcm-rate), or to a file in blocks.
        pcm_rate: samples a second of what comes from stdin; the model's when not given.
        times: a line for each word: from when to when the network was sure of it, in seconds, the word, and how sure
            it was (0 to 1).
        plot: PNG file to draw the first sound's spectrogram into, with its text in time.
    """

    live: bool = False
    pcm_rate: int | None = None
    times: bool = False
    plot: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("pcm_rate", self.pcm_rate, 2000, 16000)
        if self.pcm_rate is not None and not self.live:
            raise UserError("--pcm-rate is that of live sound.", "--live was not given.", "Give it as well.")
        if self.plot is not None and Path(self.plot).suffix.lower() != ".png":
            rule = "A plot is a PNG file."
            raise UserError(rule, f"Its name was {self.plot}.", "Give --plot words.png.")
        if self.plot is not None and self.live:
            raise UserError(
                "A plot is of a whole sound.", "--live was given as well.", "Leave one of them out."
            )
