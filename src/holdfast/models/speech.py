"""A network that hears: fewer frames, recurrent layers, and a distribution over units at each frame that is left.

Letters: T frames, S = ceil(T / R) frames that are left with a subsampling of R, B utterances, F numbers of a frame, H
hidden size, V units with the blank, which is unit 0.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.decoding.ctc import BLANK
from holdfast.nn.layers import LAYERS


@dataclass(frozen=True, kw_only=True)
class SpeechOptions:
    """What a speech network is made of.

    Attributes:
        features: F.
        units: V.
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        hidden_size: H of every layer, in each direction.
        num_layers: recurrent layers.
        bidirectional: layers read forwards and backwards; without, the network can listen live.
        front: how frames become fewer: ``stack`` (R of them side by side) or ``convolution``.
        subsampling: R.
        channels: numbers of a frame that is left.
        input_dropout, hidden_dropout, output_dropout: probability of dropping a number before the layers, between
            them and before the output.
    """

    features: int
    vocab_size: int
    cell: str = "gru"
    hidden_size: int = 128
    num_layers: int = 2
    bidirectional: bool = True
    front: Literal["stack", "convolution"] = "convolution"
    subsampling: int = 2
    channels: int = 128
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    output_dropout: float = 0.0


class _Stack(nn.Module):
    """``relu(layer_norm(W [x_jR; ...; x_jR+R-1] + b))``: R frames side by side; the last ones are filled up with zeros.

    A frame that is left depends on no frame after its own R, so that a stream gives the same numbers.
    """

    def __init__(self, features: int, channels: int, factor: int) -> None:
        super().__init__()
        self.factor, self.features = factor, features
        self.linear = nn.Linear(factor * features, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, F] -> [S, B, C]."""
        x = F.pad(x, (0, 0, 0, 0, 0, -len(x) % self.factor))
        groups = x.unflatten(0, (-1, self.factor)).transpose(1, 2).flatten(2)
        return F.relu(self.norm(self.linear(groups)))

    def stream(self) -> _StackStream:
        """The same, group by group."""
        return _StackStream(self)


class _StackStream:
    """:class:`_Stack` for frames as they come; what comes is a whole number of groups, but at the end."""

    def __init__(self, front: _Stack) -> None:
        self.front = front

    def step(self, x: Tensor) -> Tensor:
        """[n R, F] -> [n, C]."""
        return cast(Tensor, self.front(x[:, None])[:, 0])


class _Convolution(nn.Module):
    """Convolutions over time, each with stride 2 or 1, layer norm and relu; none sees a frame after its own.

    Frame j of a convolution of stride s reads frames ``s j + s - 3 ... s j + s - 1`` of the one before, so that a
    group of R frames is all that the last one of its outputs has to wait for.
    """

    WIDTH = 3

    def __init__(self, features: int, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        strides = [2] * (factor.bit_length() - 1) or [1]
        sizes = [features, *[channels] * len(strides)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, channels, self.WIDTH, stride) for size, stride in zip(sizes, strides)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in strides)

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, F] -> [S, B, C]."""
        x = F.pad(x, (0, 0, 0, 0, 0, -len(x) % self.factor))
        for convolution, norm in self._pairs():
            before = x.new_zeros(self.WIDTH - convolution.stride[0], *x.shape[1:])
            x = self.step(convolution, norm, torch.cat([before, x]))
        return x

    @staticmethod
    def step(convolution: nn.Conv1d, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """One convolution of frames with those before them."""
        return F.relu(norm(convolution(x.permute(1, 2, 0)).permute(2, 0, 1)))

    def _pairs(self) -> list[tuple[nn.Conv1d, nn.LayerNorm]]:
        return cast(list[tuple[nn.Conv1d, nn.LayerNorm]], list(zip(self.convolutions, self.norms)))

    def stream(self) -> _ConvolutionStream:
        """The same, group by group."""
        return _ConvolutionStream(self)


class _ConvolutionStream:
    """:class:`_Convolution` for frames as they come: each convolution keeps the frames that its next one reads."""

    def __init__(self, front: _Convolution) -> None:
        self.front = front
        self.kept = [torch.zeros(front.WIDTH - c.stride[0], 1, c.in_channels) for c, _ in front._pairs()]

    def step(self, x: Tensor) -> Tensor:
        """[n R, F] -> [n, C]."""
        x = F.pad(x, (0, 0, 0, -len(x) % self.front.factor))[:, None]
        for place, (convolution, norm) in enumerate(self.front._pairs()):
            x = torch.cat([self.kept[place], x])
            self.kept[place] = x[len(x) - len(self.kept[place]) :]
            x = self.front.step(convolution, norm, x)
        return x[:, 0]


FRONTS: dict[str, type[_Stack | _Convolution]] = {"stack": _Stack, "convolution": _Convolution}
"""Name -> how frames become fewer."""


class SpeechNetwork(nn.Module):
    """Frames -> front -> recurrent layers -> ``log softmax``, trained by CTC.

    Example:
        >>> import torch
        >>> network = SpeechNetwork(SpeechOptions(features=40, vocab_size=12, hidden_size=16)).eval()
        >>> scores, lengths = network(torch.zeros(9, 2, 40), torch.tensor([9, 4]))
        >>> scores.shape, lengths.tolist()
        (torch.Size([5, 2, 12]), [5, 2])
    """

    def __init__(self, options: SpeechOptions) -> None:
        super().__init__()
        self.options = options
        self.front = FRONTS[options.front](options.features, options.channels, options.subsampling)
        self.layers = LAYERS[options.cell](
            options.channels,
            options.hidden_size,
            options.num_layers,
            dropout=options.hidden_dropout if options.num_layers > 1 else 0.0,
            bidirectional=options.bidirectional,
        )
        width = options.hidden_size * (2 if options.bidirectional else 1)
        self.output = nn.Linear(width, options.vocab_size)
        self.input_dropout = nn.Dropout(options.input_dropout)
        self.output_dropout = nn.Dropout(options.output_dropout)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [T, B, F], of which ``lengths`` [B] are there -> ``log p`` [S, B, V] and how many are left [B]."""
        x = self.input_dropout(self.front(frames))
        left = -(-lengths // self.options.subsampling)
        x, _ = self.layers(x, lengths=left)
        return self.output(self.output_dropout(x)).log_softmax(-1), left

    def stream(self) -> _SpeechStream:
        """The same frame by frame, on the CPU.

        Raises:
            ValueError: the network reads in both directions.
        """
        return _SpeechStream(self)


class _SpeechStream:
    """A network that listens: frames come in any number, ``log p`` comes out as soon as its frames are there.

    All together it gives what the network gives of all frames at once (tested), in a memory that does not grow.
    """

    def __init__(self, network: SpeechNetwork) -> None:
        network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        self.network = network
        self.front = cast(Any, network.front).stream()
        self.layers = network.layers.stream()
        self.waiting = torch.zeros(0, network.options.features)

    def accept(self, frames: Array) -> Array:
        """Frames [t, F] -> ``log p`` [s, V] of the groups of frames that became whole, s may be 0."""
        self.waiting = torch.cat([self.waiting, torch.from_numpy(np.ascontiguousarray(frames, np.float32))])
        factor = self.network.options.subsampling
        ready = len(self.waiting) // factor * factor
        frames_now, self.waiting = self.waiting[:ready], self.waiting[ready:]
        return self._heard(frames_now)

    def finish(self) -> Array:
        """What is left when no more frames come."""
        frames, self.waiting = self.waiting, self.waiting[:0]
        return self._heard(frames)

    @torch.no_grad()
    def _heard(self, frames: Tensor) -> Array:
        if not len(frames):
            return np.zeros((0, self.network.options.vocab_size), np.float32)
        x = self.front.step(frames).numpy()
        hidden = np.stack([self.layers.step(row) for row in x])
        scores: Tensor = self.network.output(torch.from_numpy(hidden)).log_softmax(-1)
        return scores.numpy()


def ctc_nll(scores: Tensor, lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    """``-log p`` of each utterance's units by CTC (Graves et al. 2006): [B].

    Args:
        scores: ``log p`` [S, B, V].
        lengths: frames of each [B].
        targets: units [B, U], filled up with anything.
        sizes: units of each [B]; with repeats they must fit into the frames, or the loss is infinite.
    """
    return F.ctc_loss(scores, targets, lengths, sizes, blank=BLANK, reduction="none")


def has_ctc_path(lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    """Whether each utterance's frames are enough for its units [B]: one for each, and a blank between equal ones.

    Where they are not, the loss is infinite and its gradient is no number.
    """
    there = torch.arange(1, targets.size(1), device=targets.device) < sizes[:, None]
    repeats = ((targets[:, 1:] == targets[:, :-1]) & there).sum(1)
    return sizes + repeats <= lengths
