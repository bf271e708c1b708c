"""Settings of the networks, without torch: the ``network`` part of the settings of each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from holdfast.errors import UserError
from holdfast.validation import check_fractions, check_sizes, flag_name, invalid_setting

_Cell = Literal["rnn", "gru", "lstm"]


@dataclass(kw_only=True)
class ForecastOptions:
    """The network.

    Attributes:
        model: recurrent (reads every step) or segment (SegRNN: reads segments of each target
            separately).
        cell: rnn, gru or lstm.
        hidden_size: hidden units of a layer.
        num_layers: recurrent layers.
        dropout: dropout probability during training.
        residual: forecast that the network corrects: the last value, the mean or the values of the
            last season, or none (auto: the season where there is one, otherwise and for segment the
            last value, none for returns).
        segment: steps in a segment (segment model only).
    """

    model: Literal["recurrent", "segment"] = "recurrent"
    cell: _Cell = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.1
    residual: Literal["auto", "last", "mean", "season", "none"] = "auto"
    segment: int = 24

    def __post_init__(self) -> None:
        check_sizes(self, "hidden_size", "num_layers", "segment")
        check_fractions(self, "dropout")

    @property
    def targets_only(self) -> bool:
        """Whether the network reads the targets only."""
        return self.model == "segment"


@dataclass(kw_only=True)
class LanguageOptions:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: hidden units of each layer.
        embedding_size: size of the token embeddings; the hidden size when not given.
        num_layers: recurrent layers.
        tied: share the weights of embedding and output layer; the last layer then has the
            embedding's size.
        sampled: tokens of the softmax that training computes, such as 2000 of 10000: the most
            frequent half of them always, the others sampled in each optimizer step; 0 computes all.
        adaptive: sizes at which an adaptive softmax cuts the vocabulary, such as 2000,10000; a full
            softmax when not given.
        input_dropout: dropout of the embeddings, with one mask for all time steps.
        hidden_dropout: dropout between layers, with one mask for all time steps.
        output_dropout: dropout before the output layer, with one mask for all time steps.
        embedding_dropout: dropout of whole tokens.
        weight_drop: dropout of the recurrent weights.
    """

    cell: _Cell = "lstm"
    hidden_size: int = 256
    embedding_size: int | None = None
    num_layers: int = 2
    tied: bool = True
    sampled: int = 0
    adaptive: tuple[int, ...] = ()
    input_dropout: float = 0.0
    hidden_dropout: float = 0.2
    output_dropout: float = 0.2
    embedding_dropout: float = 0.0
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self, "hidden_size", "num_layers", "embedding_size")
        check_fractions(self, "input_dropout", "hidden_dropout", "output_dropout")
        check_fractions(self, "embedding_dropout", "weight_drop")
        if list(self.adaptive) != sorted({cut for cut in self.adaptive if cut > 0}):
            raise UserError(
                "The cuts of an adaptive softmax must increase and be above 0.",
                f"They were {', '.join(map(str, self.adaptive))}.",
                "Give for example --adaptive 2000,10000.",
            )
        if self.sampled < 0 or (self.sampled and self.adaptive):
            raise UserError(
                "--sampled must be at least 0, and cannot be combined with --adaptive.",
                f"It was {self.sampled}{' with --adaptive' if self.adaptive else ''}.",
                "Give for example --sampled 2000 alone.",
            )
        if self.tied and self.num_layers == 1 and self.embedding_size not in (None, self.hidden_size):
            raise UserError(
                "With tied weights the only layer must have the embedding's size.",
                f"The layer has {self.hidden_size} units, and the embedding {self.embedding_size}.",
                "Give one of the two alone, or --no-tied.",
            )
        if self.adaptive and self.tied:
            raise UserError(
                "An adaptive softmax must have weights of its own.",
                "The weights are tied as well.",
                "Give --no-tied with --adaptive.",
            )

    @property
    def embedded(self) -> int:
        """The size of the token embeddings."""
        return self.embedding_size or self.hidden_size


@dataclass(kw_only=True)
class ClassifierOptions:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: hidden units of each layer, in each direction.
        embedding_size: size of the token embeddings, or of the projection of the channels; that of
            the vectors, or 100, when not given.
        num_layers: recurrent layers.
        bidirectional: read each example in both directions.
        pooling: how the time steps become one vector: last, mean, max, attention (a learned mean),
            or concat of the first three.
        word_dropout: probability of hiding a token in training.
        input_dropout: dropout of the input of each time step.
        hidden_dropout: dropout between layers.
        output_dropout: dropout before the output layer.
    """

    cell: _Cell = "gru"
    hidden_size: int = 64
    embedding_size: int | None = None
    num_layers: int = 1
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "attention", "concat"] = "max"
    word_dropout: float = 0.1
    input_dropout: float = 0.2
    hidden_dropout: float = 0.2
    output_dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(self, "hidden_size", "num_layers", "embedding_size")
        check_fractions(self, "word_dropout", "input_dropout", "hidden_dropout", "output_dropout")


@dataclass(kw_only=True)
class TranslationOptions:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: hidden units of each layer, in each direction of the encoder.
        embedding_size: size of the token embeddings; the hidden size when not given.
        encoder_layers: bidirectional recurrent layers that read the source.
        decoder_layers: recurrent layers that write the target.
        attention: multiplicative (Luong) or additive (Bahdanau).
        input_feeding: the decoder also reads its previous attention output; slower, since steps run
            one by one.
        tied: share the weights of target embedding and output layer.
        dropout: dropout of embeddings, between layers and before the output, with one mask for all
            time steps.
        embedding_dropout: dropout of whole tokens.
    """

    cell: _Cell = "gru"
    hidden_size: int = 256
    embedding_size: int | None = None
    encoder_layers: int = 1
    decoder_layers: int = 2
    attention: Literal["multiplicative", "additive"] = "multiplicative"
    input_feeding: bool = False
    tied: bool = True
    dropout: float = 0.3
    embedding_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self, "hidden_size", "embedding_size", "encoder_layers", "decoder_layers")
        check_fractions(self, "dropout", "embedding_dropout")

    @property
    def embedded(self) -> int:
        """The size of the token embeddings."""
        return self.embedding_size or self.hidden_size


@dataclass(kw_only=True)
class SpeechOptions:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: hidden units of each layer, in each direction.
        num_layers: recurrent layers.
        bidirectional: read forwards and backwards, for sound files; live sound needs
            --no-bidirectional.
        front: how subsampling joins frames before the recurrent layers: convolution, or stack
            (concatenation).
        subsampling: number of frames that become one: 1, 2, 4 or 8.
        channels: size of a frame after subsampling.
        input_dropout: dropout before the recurrent layers.
        hidden_dropout: dropout between layers.
        output_dropout: dropout before the output layer.
    """

    cell: _Cell = "gru"
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
        check_sizes(self, "hidden_size", "num_layers", "channels")
        if self.subsampling not in (1, 2, 4, 8):
            raise invalid_setting("subsampling", "1, 2, 4 or 8", self.subsampling, 2)
        check_fractions(self, "input_dropout", "hidden_dropout", "output_dropout")


@dataclass(kw_only=True)
class MusicOptions:
    """The network.

    Attributes:
        model: roll (piano roll: which keys sound in each frame) or events (expressive MIDI, token
            by token).
        output: output layer of a roll model: autoregressive (a chord note by note) or independent
            (each key by itself).
        cell: rnn, gru or lstm.
        hidden_size: hidden units of a recurrent layer.
        num_layers: number of recurrent layers.
        embedding_size: size of a token's embedding in an events model.
        chord_size: hidden units of the layer that predicts the next note of a chord, in a roll
            model.
        input_dropout: dropout of input keys or of embedding components, the same ones at every
            step.
        dropout: dropout between layers and before the output, of the same units at every step.
        weight_drop: dropout of the recurrent weights.
    """

    model: Literal["roll", "events"] = "roll"
    output: Literal["autoregressive", "independent"] = "autoregressive"
    cell: _Cell = "lstm"
    hidden_size: int = 256
    num_layers: int = 1
    embedding_size: int = 128
    chord_size: int = 128
    input_dropout: float = 0.0
    dropout: float = 0.3
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        self._check_kind()
        check_sizes(self, "hidden_size", "num_layers", "embedding_size", "chord_size")
        check_fractions(self, "input_dropout", "dropout", "weight_drop")

    def _check_kind(self) -> None:
        """Refuse settings that only the other kind of model has."""
        for kind, names in (("roll", ("output", "chord_size")), ("events", ("embedding_size",))):
            for name in names:
                if self.model != kind and getattr(self, name) != getattr(type(self), name):
                    raise UserError(
                        f"{flag_name(name)} must be used with --model {kind}.",
                        f"It was given with --model {self.model}.",
                        "Leave it out.",
                    )
