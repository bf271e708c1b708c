"""A speech recognition network: subsampling front end, recurrent layers, CTC output.

Letters: T frames, S = ceil(T / R) frames after subsampling by R, B utterances, F features of a
frame, C channels of the front end, H hidden size, V tokens with the blank (token 0), U tokens of an
utterance.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.decoding.ctc import BLANK
from holdfast.models.options import SpeechOptions
from holdfast.nn.layers import LAYERS


class _Stack(nn.Module):
    """Concatenate R frames: ``relu(layer_norm(W [x_jR; ...; x_jR+R-1] + b))``.

    The last frames are padded with zeros. An output depends on no frame after its
    own R, so that a stream computes the same values.
    """

    def __init__(self, features: int, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(factor * features, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [T, B, F] to [S, B, C]."""
        x = F.pad(x, (0, 0, 0, 0, 0, -x.size(0) % self.factor))
        groups = x.unflatten(0, (-1, self.factor)).transpose(1, 2).flatten(2)
        return F.relu(self.norm(self.linear(groups)))

    def stream(self) -> _StackStream:
        """Return a front end that reads a stream of frames."""
        return _StackStream(self)


class _StackStream:
    """:class:`_Stack` for a stream: every block but the last is a multiple of R frames."""

    def __init__(self, front: _Stack) -> None:
        self.front = front

    def step(self, x: Tensor) -> Tensor:
        """Map [n R, F] to [n, C]."""
        return cast(Tensor, self.front(x[:, None])[:, 0])


class _Convolution(nn.Module):
    """Causal convolutions over time with stride 2 or 1, each with layer norm and relu.

    Output j of a convolution with stride s reads frames ``s j + s - 3 ... s j + s - 1`` of the one
    before. So an output needs no frame after its own group of R.
    """

    WIDTH = 3
    """Frames that a convolution reads."""

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
        """Map [T, B, F] to [S, B, C]."""
        x = F.pad(x, (0, 0, 0, 0, 0, -x.size(0) % self.factor))
        for convolution, norm in self._pairs():
            before = x.new_zeros(self.WIDTH - convolution.stride[0], *x.shape[1:])
            x = self.step(convolution, norm, torch.cat([before, x]))
        return x

    @staticmethod
    def step(convolution: nn.Conv1d, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """Apply one convolution to frames [t, B, size] that include those before."""
        return F.relu(norm(convolution(x.permute(1, 2, 0)).permute(2, 0, 1)))

    def _pairs(self) -> list[tuple[nn.Conv1d, nn.LayerNorm]]:
        return cast(list[tuple[nn.Conv1d, nn.LayerNorm]], list(zip(self.convolutions, self.norms)))

    def stream(self) -> _ConvolutionStream:
        """Return a front end that reads a stream of frames."""
        return _ConvolutionStream(self)


class _ConvolutionStream:
    """:class:`_Convolution` for a stream: it keeps the frames that its next step reads again."""

    def __init__(self, front: _Convolution) -> None:
        self.front = front
        self.kept = [torch.zeros(front.WIDTH - c.stride[0], 1, c.in_channels) for c, _ in front._pairs()]

    def step(self, x: Tensor) -> Tensor:
        """Map [n R, F] to [n, C]."""
        x = F.pad(x, (0, 0, 0, -x.size(0) % self.front.factor))[:, None]
        for place, (convolution, norm) in enumerate(self.front._pairs()):
            x = torch.cat([self.kept[place], x])
            self.kept[place] = x[x.size(0) - self.kept[place].size(0) :]
            x = self.front.step(convolution, norm, x)
        return x[:, 0]


FRONTS: dict[str, type[_Stack | _Convolution]] = {"stack": _Stack, "convolution": _Convolution}
"""Name -> the subsampling front end."""


class SpeechNetwork(nn.Module):
    """Front end, recurrent layers and ``log softmax``, trained by CTC.

    Args:
        features: F.
        vocab_size: V.
        options: the architecture; a network that streams cannot be bidirectional.

    Example:
        >>> import torch
        >>> network = SpeechNetwork(40, 12, SpeechOptions(hidden_size=16)).eval()
        >>> scores, lengths = network(torch.zeros(9, 2, 40), torch.tensor([9, 4]))
        >>> scores.shape, lengths.tolist()
        (torch.Size([5, 2, 12]), [5, 2])
    """

    def __init__(self, features: int, vocab_size: int, options: SpeechOptions) -> None:
        super().__init__()
        self.features, self.options = features, options
        self.front = FRONTS[options.front](features, options.channels, options.subsampling)
        self.layers = LAYERS[options.cell](
            options.channels,
            options.hidden_size,
            options.num_layers,
            dropout=options.hidden_dropout if options.num_layers > 1 else 0.0,
            bidirectional=options.bidirectional,
        )
        self.output = nn.Linear(options.hidden_size * (1 + options.bidirectional), vocab_size)
        self.input_dropout = nn.Dropout(options.input_dropout)
        self.output_dropout = nn.Dropout(options.output_dropout)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames [T, B, F] and lengths [B] to ``log p`` [S, B, V] and its lengths [B]."""
        x = self.input_dropout(self.front(frames))
        subsampled = -(-lengths // self.options.subsampling)
        x, _ = self.layers(x, lengths=subsampled)
        return self.output(self.output_dropout(x)).log_softmax(-1), subsampled

    def stream(self) -> _SpeechStream:
        """Return a copy of the network on the CPU that reads a stream of frames.

        Raises:
            ValueError: the network is bidirectional.
        """
        return _SpeechStream(self)


class _SpeechStream:
    """A network that reads frames in blocks of any size and returns ``log p`` without delay.

    The result equals the network's on all frames at once (tested). Memory does not grow.
    """

    def __init__(self, network: SpeechNetwork) -> None:
        network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        self.network = network
        self.front = cast(Any, network.front).stream()
        self.layers = network.layers.stream()
        self.waiting = torch.zeros(0, network.features)

    def accept(self, frames: Array) -> Array:
        """Read frames [t, F]; return ``log p`` [s, V] of the groups that they complete."""
        self.waiting = torch.cat([self.waiting, torch.from_numpy(np.ascontiguousarray(frames, np.float32))])
        factor = self.network.options.subsampling
        ready = self.waiting.size(0) // factor * factor
        block, self.waiting = self.waiting[:ready], self.waiting[ready:]
        return self._log_p(block)

    def finish(self) -> Array:
        """Return ``log p`` of the frames that are left at the end."""
        frames, self.waiting = self.waiting, self.waiting[:0]
        return self._log_p(frames)

    @torch.no_grad()
    def _log_p(self, frames: Tensor) -> Array:
        if not frames.size(0):
            return np.zeros((0, self.network.output.out_features), np.float32)
        x = self.front.step(frames).numpy()
        hidden = np.stack([self.layers.step(row) for row in x])
        scores: Tensor = self.network.output(torch.from_numpy(hidden)).log_softmax(-1)
        return scores.numpy()


def ctc_nll(scores: Tensor, lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    """Return the CTC loss ``-log p`` [B] in nats of each utterance's tokens (Graves et al. 2006).

    Args:
        scores: ``log p`` [S, B, V].
        lengths: [B], frames of each utterance.
        targets: tokens [B, U], padded with any value.
        sizes: [B], tokens of each utterance. If they do not fit into the frames, the loss is
            infinite.
    """
    return F.ctc_loss(scores, targets, lengths, sizes, blank=BLANK, reduction="none")


def has_ctc_path(lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    """Return whether each utterance has enough frames for its tokens [B].

    It needs one frame for each token, and a blank between equal tokens. Otherwise the CTC loss is
    infinite and its gradient is NaN. Arguments as in :func:`ctc_nll`.

    Example:
        >>> has_ctc_path(torch.tensor([2, 3]), torch.tensor([[1, 1], [1, 1]]), torch.tensor([2, 2]))
        tensor([False,  True])
    """
    valid = torch.arange(1, targets.size(1), device=targets.device) < sizes[:, None]
    repeats = ((targets[:, 1:] == targets[:, :-1]) & valid).sum(1)
    return sizes + repeats <= lengths
